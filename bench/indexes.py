#!/usr/bin/env python3
"""How fast are Concord's indexes beside next-plaid's, fast-plaid's and xtr-warp's, and what do they find?

All build an index of the same embeddings, in turns, and are then asked for the same queries, in turns: one query after
another, and all at once. What they find is compared with the best passages by all embeddings as they are given.
DATA is a folder with `passages/embeddings.npy`, `passages/embeddings.doclens.npy` and `queries.npy`; `--collection`,
`--queries` and `--checkpoint` write it, and so does `--generate`.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

from encoders import numbers, processor
from engines import environments
from engines.index_engines import NBITS, NITERS, engines, run
from engines.measure import Series
from engines.process import NotThere, Process


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--concord", type=lambda path: Path(path).resolve(), required=True, help="the program, a release build")
    parser.add_argument("--data", type=Path, required=True, help="the folder with the embeddings")
    parser.add_argument("--collection", type=Path, help="passages, to write the folder")
    parser.add_argument("--queries", type=Path, help="queries, to write the folder")
    parser.add_argument("--checkpoint", type=Path, help="a folder with model.safetensors, to write the folder")
    parser.add_argument("--generate", type=numbers, metavar="PASSAGES,TOKENS,WIDTH", help="write the folder with generated embeddings and 500 queries, by seed 7")
    parser.add_argument("--uneven", action="store_true", help="generate passages of so many embeddings on average, as unevenly long as real ones")
    parser.add_argument("--threads", type=numbers, default=[1, 2], help="threads that search [default: 1,2]")
    parser.add_argument("--builds", type=int, default=3, help="how often each is built, on all threads [default: 3]")
    parser.add_argument("--rounds", type=int, default=5, help="how often each is searched [default: 5]")
    parser.add_argument("--k", type=int, default=10, help="results of a query [default: 10]")
    parser.add_argument("--json", type=Path, metavar="OUT", help="write everything that was measured")
    options = parser.parse_args()
    options.data = options.data.resolve()
    with tempfile.TemporaryDirectory(dir=environments.FOLDER.parent) as folder:
        try:
            result = measure(options, Path(folder))
        except NotThere as reason:
            sys.exit(f"nothing can be measured: {reason}")
    if options.json:
        options.json.write_text(json.dumps(result, indent=1) + "\n")
    print(*tables(result), sep="\n")
    return 0 if "seconds" in result["engines"]["Concord"] else 1


def measure(options, scratch: Path) -> dict:
    """Everything, in the form in which `--json` keeps it."""
    if options.collection:
        command = [environments.peers(), "embed", "--checkpoint", options.checkpoint, "--collection", options.collection]
        environments.run([*command, "--queries", options.queries, "--out", options.data], "encoding")
    if options.generate:
        generate(options)
    compared = engines(options.concord, options.data)
    result = {
        "processor": processor(),
        "cores": os.cpu_count(),
        "nbits": NBITS,
        "niters": NITERS,
        "k": options.k,
        "engines": {index.name: {} for index in compared},
    }
    folders = {}
    for number in range(options.builds):
        for index in compared:
            if index.same_as is None:
                build(index, result["engines"][index.name], scratch / f"{index.name}-{number}", folders)
    truth = exact(options, scratch)
    for threads in options.threads:
        search(compared, folders, threads, options, scratch, truth, result["engines"])
    return result


def generate(options) -> None:
    passages, tokens, width = options.generate
    script = environments.ENGINES / "plaid_rounds.py"
    command = [environments.plaid(), script, "generate", "--data", options.data, "--passages", passages]
    command += ["--tokens", tokens, "--width", width, "--queries", 500, "--seed", 7]
    command += ["--uneven"] if options.uneven else []
    environments.run(command, "generating embeddings")


def build(index, kept: dict, out: Path, folders: dict) -> None:
    """Builds an index once more. The last one is searched."""
    if "not there" in kept:
        return
    if isinstance(index.build, NotThere):
        kept["not there"] = str(index.build)
        return
    try:
        built = run(index.build(out), out)
    except NotThere as reason:
        kept["not there"] = str(reason)
        return
    kept.setdefault("builds", []).append(asdict(built))
    for name in ("wall", "seconds", "processor", "memory", "size"):
        kept[name] = statistics.median(build[name] for build in kept["builds"])
    folders[index.name] = out


def exact(options, scratch: Path) -> "list | None":
    """For each query the pids of the best passages; none without the environment that computes them."""
    try:
        python = environments.plaid()
    except NotThere as reason:
        print(f"no recall: {reason}", file=sys.stderr)
        return None
    out = scratch / "exact.npy"
    script = environments.ENGINES / "plaid_rounds.py"
    command = [python, script, "exact", "--data", options.data, "--k", options.k, "--out", out]
    environments.run(command, "computing the exact results")
    return rows(python, out)


def rows(python: Path, file: Path) -> list:
    program = "import sys, json, numpy; print(json.dumps(numpy.load(sys.argv[1]).tolist()))"
    return json.loads(environments.run([python, "-c", program, file], "reading results"))


def search(compared: list, folders: dict, threads: int, options, scratch: Path, truth, kept: dict) -> None:
    """Asks every engine in turns."""
    series = {}
    processes = []
    try:
        for index in compared:
            folder = folders.get(index.same_as or index.name)
            if folder is None:
                continue
            environment = {**os.environ, "RAYON_NUM_THREADS": str(threads), "OPENBLAS_NUM_THREADS": str(threads)}
            environment["OMP_NUM_THREADS"] = str(threads)
            command = [*index.search(folder), "--threads", threads]
            try:
                process = Process(command, scratch / f"{index.name}-{threads}.log", environment)
            except NotThere as reason:
                kept[index.name].setdefault("search", {})[threads] = {"not there": str(reason)}
                continue
            processes.append(process)
            kept[index.name]["version"] = process.name
            if truth is not None and "recall" not in kept[index.name]:
                found = scratch / f"{index.name}.npy"
                process.ask(f"results {options.k} {found}")
                kept[index.name]["recall"] = recall(rows(environments.plaid(), found), truth)
            for request in ("one", "all"):
                series[index.name, request] = Series(process, f"{request} {options.k}")
        for _ in range(options.rounds):
            for of_engine in series.values():
                of_engine.measure()
    finally:
        for process in processes:
            process.close()
    for (name, request), of_engine in series.items():
        of_threads = kept[name].setdefault("search", {}).setdefault(threads, {})
        of_threads[request] = of_engine.result(options.rounds)
    kept["Concord"]["queries"] = len(truth) if truth is not None else None


def recall(found: list, truth: list) -> float:
    """Which part of the best passages was found, on average over the queries."""
    return statistics.fmean(len(set(a) & set(b)) / len(b) for a, b in zip(found, truth))


def tables(result: dict) -> list:
    """What was measured, as lines of Markdown."""
    lines = [f"{result['processor']}, {result['cores']} cores; {result['nbits']} bits, {result['niters']} iterations", "",
             f"| engine | centroids | build (s) | processor (s) | memory (MB) | index (MB) | recall@{result['k']} |",
             "|---|---|---|---|---|---|---|"]
    for name, kept in result["engines"].items():
        if "not there" in kept:
            lines.append(f"| {name} | | {kept['not there']} | | | | |")
            continue
        if "seconds" not in kept:
            lines.append(f"| {name} | | | | | | {kept.get('recall', float('nan')):.3f} |")
            continue
        lines.append(f"| {kept.get('version', name)} | {kept['builds'][-1]['centroids']} | {kept['seconds']:.1f} | {kept['processor']:.1f} | "
                     f"{kept['memory'] / 1e6:.0f} | {kept['size'] / 1e6:.1f} | {kept.get('recall', float('nan')):.3f} |")
    queries = result["engines"]["Concord"].get("queries")
    if queries:
        lines += ["", "| engine | threads | one by one (queries/s) | all at once (queries/s) |", "|---|---|---|---|"]
        for name, kept in result["engines"].items():
            for threads, of_threads in kept.get("search", {}).items():
                cells = [rate(of_threads.get(request), queries) for request in ("one", "all")]
                lines.append(f"| {name} | {threads} | {cells[0]} | {cells[1]} |")
    return lines


def rate(series: "dict | None", queries: int) -> str:
    if series is None:
        return "not there"
    if "not there" in series:
        return series["not there"]
    return f"{queries / series['median']:.0f}{'' if series['quiet'] else ' (loaded)'}"


if __name__ == "__main__":
    sys.exit(main())

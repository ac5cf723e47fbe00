#!/usr/bin/env python3
"""How fast is Concord's encoder beside those that people use, and beside what the cores can do at most?

Measures Concord in each precision, onnxruntime, PyTorch and candle on the same weights and token ids, in
turns: one process computes while the others sleep, and every round goes through all of them. Only encoding
is timed; loading, tokenisation and padding are done before. Prints tokens per second (padding not counted),
the share of the measured peak of the instructions, the ratio to each peer, and the time of one query.

What cannot be measured is named with the reason. Ends with 1 if Concord itself is not there in f32.
"""

import argparse
import json
import os
import platform
import sys
import tempfile
from pathlib import Path

from engines import environments, passages
from engines.engine import Inputs, engines, referee
from engines.measure import Measurement, embeddings
from engines.process import NotThere
from engines.tables import Report
from engines.work import operations_per_token

# As `peers/src/linear.rs` has it.
LINEAR_SHAPE = [2272, 384, 1536]

# The query whose latency is measured; `[MASK]`s fill it up to the checkpoint's length, 32 tokens.
QUERY = "can I appeal a parking fine that I got in another council's area"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--concord", type=lambda path: Path(path).resolve(), help="the program, a release build")
    parser.add_argument("--collection", type=Path, help="passages [default: generated ones of ConditionalQA's lengths]")
    parser.add_argument("--checkpoint", type=Path, help="a folder with model.safetensors [default: concord-mini]")
    parser.add_argument("--passages", type=int, default=500, help="how many, at even distances [default: 500]")
    parser.add_argument("--threads", type=numbers, default=[1, 2], help="numbers of threads [default: 1,2]")
    parser.add_argument("--rounds", type=int, default=5, help="[default: 5]")
    parser.add_argument("--torch-python", type=Path, action="append", default=[], metavar="PYTHON", help="an interpreter with PyTorch and transformers; several can be given [default: those of `concord env`]")
    parser.add_argument("--setup", action="store_true", help="let `concord env` make the environments of PyTorch that are not there")
    parser.add_argument("--json", type=Path, metavar="OUT", help="write everything that was measured")
    parser.add_argument("--markdown", type=Path, metavar="OUT", help="write the tables as Markdown")
    parser.add_argument("--show", type=Path, nargs="+", metavar="JSON", help="measure nothing; the tables of what --json wrote, one file for each number of threads or for several")
    options = parser.parse_args()
    if options.show:
        result = joined([json.loads(file.read_text()) for file in options.show])
    elif options.concord:
        with tempfile.TemporaryDirectory() as folder:
            result = measure(options, Path(folder))
    else:
        parser.error("--concord is needed, or --show")
    if options.json:
        options.json.write_text(json.dumps(result, indent=1) + "\n")
    report = Report(result)
    for table in report.tables():
        print(table.plain(), end="\n\n")
    print(*report.notes(), sep="\n")
    if options.markdown:
        notes = "\n".join(f"- {note}" for note in report.notes())
        options.markdown.write_text("\n\n".join([*(table.markdown() for table in report.tables()), notes]) + "\n")
    there = all("median" in threads["encode"]["Concord f32"] for threads in result["threads"].values())
    return 0 if there else 1


def numbers(text: str) -> list:
    return [int(number) for number in text.split(",")]


def measure(options, scratch: Path) -> dict:
    """Everything, in the form in which `--json` keeps it."""
    environments.FOLDER.mkdir(parents=True, exist_ok=True)
    try:
        program = environments.peers()
        inputs = prepare(options, program, scratch)
        compared = engines(inputs, program)
        reference = truth(inputs, program, scratch)
    except NotThere as reason:
        sys.exit(f"nothing can be measured: {reason}")
    tokens = json.loads(inputs.tokens.read_text())["passages"]
    return {
        "processor": processor(),
        "passages": len(tokens),
        "tokens": sum(map(len, tokens)),
        "rounds": options.rounds,
        "operations_per_token": operations_per_token(inputs.checkpoint, reference[1]),
        "linear_shape": LINEAR_SHAPE,
        "precisions": {engine.name: engine.precision for engine in compared},
        "threads": {
            str(threads): with_threads(threads, options.rounds, compared, reference, program, scratch)
            for threads in options.threads
        },
    }


def prepare(options, program: Path, scratch: Path) -> Inputs:
    """Checkpoint, collection and token ids, where the user gave none as well."""
    checkpoint, collection = options.checkpoint, options.collection
    if checkpoint is None:
        checkpoint = scratch / "concord-mini"
        environments.run([options.concord, "export-model", checkpoint], "writing concord-mini")
    if collection is None:
        collection = scratch / "collection.tsv"
        passages.write_generated(collection, options.passages, environments.ROOT / "data" / "collection.tsv")
    tokens = scratch / "tokens.json"
    command = [program, "tokenize", "--checkpoint", checkpoint, "--collection", collection]
    command += ["--passages", options.passages, "--query", QUERY, "--out", tokens]
    environments.run(command, "tokenizing")
    return Inputs(
        concord=options.concord,
        checkpoint=checkpoint.resolve(),
        collection=collection,
        tokens=tokens,
        torch_pythons=options.torch_python,
        setup=options.setup,
        scratch=scratch,
    )


def truth(inputs: Inputs, program: Path, scratch: Path) -> tuple:
    """The embeddings of the `f64` referee, and how many numbers each has."""
    with Measurement(os.cpu_count() or 1, scratch) as alone:
        return embeddings(alone.start("referee", referee(inputs, program)), scratch)


def with_threads(threads: int, rounds: int, compared: list, reference: tuple, program: Path, scratch: Path) -> dict:
    with Measurement(threads, scratch) as measurement:
        measurement.add_peaks(program)
        measurement.add_linear(program)
        for engine in compared:
            measurement.add_engine(engine, reference)
        measurement.run(rounds)
        return measurement.result(rounds)


def joined(results: list) -> dict:
    """Several results that differ in the number of threads alone, as one."""
    threads = {}
    for result in results:
        threads.update(result["threads"])
    differing = [
        key for key, value in results[0].items() for other in results if key != "threads" and other[key] != value
    ]
    if differing:
        sys.exit(f"these were not measured on the same: they differ in {', '.join(sorted(set(differing)))}")
    return {**results[0], "threads": threads}


def processor() -> str:
    """What the system calls the processor."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


if __name__ == "__main__":
    sys.exit(main())

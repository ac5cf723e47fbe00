#!/usr/bin/env python3
"""Compare Concord's measures with those of trec_eval on random cases full of ties.

Each case searches an index of passages that occur several times, writes the run and the measures, and gives the run
to pytrec_eval. Ends with exit code 0 if all measures agree, 1 if some do not, 2 if Concord failed to run.
"""

import argparse
import json
import random
import sys
import tempfile
from pathlib import Path

import pytrec_eval

from suite.concord import Concord, Failure
from suite.trec import as_ours, disagreements, random_case, random_qrels

EMBEDDED = "concord-mini"
PASSAGES, COPIES = 40, 5


def main() -> int:
    options = arguments()
    if options.golden is not None:
        write_golden(options.golden, options.seed)
        return 0
    if options.concord is None:
        print("--concord or --golden is needed", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="concord-measures-") as folder:
        try:
            return run(options, Path(folder))
        except Failure as failure:
            print(failure, file=sys.stderr)
            return 2


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--concord", type=lambda text: Path(text).resolve(), help="the program")
    parser.add_argument("--cases", type=int, default=200)
    parser.add_argument("--seed", type=int, default=20)
    parser.add_argument("--golden", type=Path, help="write cases for the Rust tests to this file instead")
    return parser.parse_args()


def run(options: argparse.Namespace, work: Path) -> int:
    draw = random.Random(options.seed)
    data = Path(__file__).resolve().parent.parent / "data"
    ids = write_collection(draw, data / "collection.tsv", work / "corpus.jsonl")
    texts = [line.split("\t")[1] for line in (data / "queries.tsv").read_text().splitlines()]
    concord = Concord(options.concord)
    concord.index(work / "corpus.jsonl", EMBEDDED, work / "index")

    found, queries, tied = [], 0, 0
    for case in range(options.cases):
        qids = [f"q{number}" for number in range(draw.randint(1, 6))]
        lines = [f"{qid}\t{draw.choice(texts)}\n" for qid in qids]
        (work / "queries.tsv").write_text("".join(lines))
        # Some judged queries are not searched, some searched ones not judged; one of each is.
        judged = {qids[0], *draw.sample(qids, draw.randint(0, len(qids))), *draw.sample(["x", "y"], draw.randint(0, 2))}
        qrels = random_qrels(draw, sorted(judged), ids)
        qrels[qids[0]][draw.choice(ids)] = draw.randint(1, 3)
        write_qrels(qrels, work / "case.qrels")
        measured = concord.measures(
            work / "index", work / "queries.tsv", work / "case.qrels", work, draw.choice([1, 3, 5, 10, 11, 50])
        )
        with (work / "run.trec").open() as file:
            written = pytrec_eval.parse_run(file)
        wrong = disagreements(measured, as_ours(qrels, written))
        found += [f"case {case}: {line}" for line in wrong]
        queries += len(measured["queries"])
        tied += sum(query["order_of_ties_decides"] for query in measured["queries"])
    print("\n".join(found[:20]))
    print(f"{options.cases} cases, {queries} queries, of {tied} the order of ties decides; {len(found)} disagreements")
    # Cases without ties would prove nothing.
    return 0 if not found and tied > options.cases // 4 else 1


def write_collection(draw: random.Random, texts: Path, out: Path) -> list[str]:
    """Passages that occur several times, under ids whose order is not theirs."""
    chosen = [line.split("\t")[1] for line in texts.read_text().splitlines()[:PASSAGES]] * COPIES
    draw.shuffle(chosen)
    ids = [f"{draw.choice('abzAZ09é')}{number}" for number in draw.sample(range(10_000), len(chosen))]
    with out.open("w") as file:
        for name, text in zip(ids, chosen):
            file.write(json.dumps({"_id": name, "text": text}) + "\n")
    return ids


def write_qrels(qrels: dict[str, dict[str, int]], out: Path) -> None:
    rows = [f"{qid} 0 {name} {grade}\n" for qid, own in qrels.items() for name, grade in own.items()]
    out.write_text("".join(rows))


def write_golden(out: Path, seed: int) -> None:
    draw = random.Random(seed)
    cases = [random_case(draw) for _ in range(40)]
    with out.open("w") as file:
        for documents, written, qrels in cases:
            case = {"documents": documents, "run": written, "qrels": qrels}
            as_run = {qid: {name: float(score) for name, score in own} for qid, own in written.items()}
            case["expected"] = as_ours(qrels, as_run)
            file.write(json.dumps(case) + "\n")


if __name__ == "__main__":
    sys.exit(main())

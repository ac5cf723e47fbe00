#!/usr/bin/env python3
"""Compare Concord with the real ColBERT both ways: each searches the index that the other built.

Ends with exit code 0 if all rankings agree, 1 if some do not, 2 if Concord failed to run.
"""

import argparse
import sys
import tempfile
from itertools import islice
from pathlib import Path

from suite import reference
from suite.agreement import Tally, compare_all
from suite.concord import Concord, Failure

SHOWN_FAILURES = 10


def main() -> int:
    options = arguments()
    with tempfile.TemporaryDirectory(prefix="concord-live-") as folder:
        try:
            return run(options, Path(folder) if options.work is None else options.work)
        except Failure as failure:
            print(failure, file=sys.stderr)
            return 2


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    path = {"type": lambda text: Path(text).resolve(), "required": True}
    parser.add_argument("--concord", help="the program", **path)
    parser.add_argument("--collection", help="TSV of pid and text", **path)
    parser.add_argument("--queries", help="TSV of qid and text", **path)
    parser.add_argument("--checkpoint", help="a ColBERT checkpoint folder", **path)
    parser.add_argument("--passages", type=int, help="take the first so many")
    parser.add_argument("--queries-limit", type=int, default=200)
    parser.add_argument("--k", type=int, default=10)
    parser.add_argument("--tolerance", type=float, default=1e-4)
    parser.add_argument(
        "--work", type=Path, help="keep the indexes in this empty folder"
    )
    return parser.parse_args()


def run(options: argparse.Namespace, work: Path) -> int:
    work.mkdir(parents=True, exist_ok=True)
    collection, queries = work / "collection.tsv", work / "queries.tsv"
    copy_lines(options.collection, collection, options.passages)
    copy_lines(options.queries, queries, options.queries_limit)

    concord = Concord(options.concord)
    built_by_concord, built_by_reference = work / "concord", work / "reference"
    concord.index(collection, options.checkpoint, built_by_concord)
    reference.build_index(collection, options.checkpoint, built_by_reference)

    report, failures = [], 0
    for name, index in {
        "index built by Concord": built_by_concord,
        "index built by ColBERT": built_by_reference,
    }.items():
        ours = concord.search(index, queries, options.k, clip_negative=True)
        theirs = reference.search(
            index, options.checkpoint, collection, read_queries(queries), options.k
        )
        tally = compare_all(ours, theirs, options.k, options.tolerance)
        report += described(name, tally)
        failures += len(tally.failures)
        concord.verify(index)
    same = concord.diff(built_by_concord, built_by_reference)
    report.append(f"the two indexes are {'the same' if same else 'different'}")
    print("\n".join(report))
    return 1 if failures else 0


def described(name: str, tally: Tally) -> list[str]:
    """The lines of the report about one index."""
    failures = list(tally.failures.items())
    lines = [f"  query {qid}: {reason}" for qid, reason in failures[:SHOWN_FAILURES]]
    if len(failures) > SHOWN_FAILURES:
        lines.append(f"  and {len(failures) - SHOWN_FAILURES} more")
    return [f"{name}: {tally}", *lines]


def copy_lines(source: Path, target: Path, limit: int | None) -> None:
    """Copy the first lines of a file, or all of them."""
    with source.open("rb") as lines, target.open("wb") as copy:
        copy.writelines(islice(lines, limit))


def read_queries(path: Path) -> dict[str, str]:
    """Text by query id."""
    with path.open(encoding="utf-8") as rows:
        return dict(row.rstrip("\n").split("\t")[:2] for row in rows)


if __name__ == "__main__":
    sys.exit(main())

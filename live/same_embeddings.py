#!/usr/bin/env python3
"""Compare the embeddings of a checkpoint in Concord with those of the real ColBERT on PyTorch.

Without --checkpoint it is the checkpoint that is part of Concord, exported to a folder. Ends with exit
code 0 if no value differs by more than the tolerance, 1 if one does, 2 if Concord failed to run.
"""

import argparse
import sys
import tempfile
from itertools import islice
from pathlib import Path

import numpy as np
from suite import recorded, reference
from suite.concord import Concord, Failure

EMBEDDED = "concord-mini"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    path = {"type": lambda text: Path(text).resolve()}
    parser.add_argument("--concord", help="the program", required=True, **path)
    parser.add_argument(
        "--collection", help="TSV of pid and text", required=True, **path
    )
    parser.add_argument("--checkpoint", help="a ColBERT checkpoint folder", **path)
    parser.add_argument("--passages", type=int, help="take the first so many")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--tolerance", type=float, default=2e-6)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="concord-live-") as folder:
        try:
            return compare(options, Path(folder))
        except Failure as failure:
            print(failure, file=sys.stderr)
            return 2


def compare(options: argparse.Namespace, work: Path) -> int:
    collection = work / "collection.tsv"
    with options.collection.open(encoding="utf-8") as lines:
        taken = list(islice(lines, options.passages))
    collection.write_text("".join(taken), encoding="utf-8")
    passages = [line.rstrip("\n").split("\t", 1)[1] for line in taken]

    concord = Concord(options.concord)
    folder = options.checkpoint or work / EMBEDDED
    if options.checkpoint is None:
        concord.export_model(folder)
    concord.record(collection, options.checkpoint or EMBEDDED, work / "run")
    ours = recorded.artifact(work / "run", "D")
    our_lengths = recorded.artifact(work / "run", "doclens").tolist()
    theirs, their_lengths = reference.embeddings(folder, passages, options.batch)
    if our_lengths != list(their_lengths):
        print("the passages have other numbers of embeddings")
        return 1
    difference = np.abs(ours - theirs)
    largest = float(difference.max())
    same = int((difference == 0).sum())
    print(
        f"{len(passages)} passages, {len(ours)} embeddings of {ours.shape[1]} dimensions: "
        f"largest difference {largest:.2g}, {same} of {ours.size} values the same"
    )
    if largest > options.tolerance:
        print(f"more than {options.tolerance:g}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

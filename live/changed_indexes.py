#!/usr/bin/env python3
"""Have the real ColBERT load and search indexes that were changed by Concord.

An index is built, added to, deleted from, compacted, merged with a shard of its codec, and trained anew; after each step
both programs search it, and their rankings must agree. Passages whose scores lie nearer to each other than the tolerance
may change places.

Ends with exit code 0 if all rankings agree, 1 if some do not, 2 if Concord failed to run.
"""

import argparse
import json
import sqlite3
import sys
import tempfile
from itertools import islice
from pathlib import Path

from both_ways import copy_lines, described, read_queries
from suite import reference
from suite.agreement import compare_all
from suite.concord import CODEC, Concord, Failure


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    path = {"type": lambda text: Path(text).resolve(), "required": True}
    parser.add_argument("--concord", help="the program", **path)
    parser.add_argument("--collection", help="TSV of pid and text", **path)
    parser.add_argument("--queries", help="TSV of qid and text", **path)
    parser.add_argument("--checkpoint", help="a ColBERT checkpoint folder", **path)
    parser.add_argument("--passages", type=int, default=120)
    parser.add_argument("--queries-limit", type=int, default=20)
    parser.add_argument("--k", type=int, default=10)
    parser.add_argument("--tolerance", type=float, default=1e-4)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="concord-live-") as folder:
        try:
            return run(options, Path(folder))
        except Failure as failure:
            print(failure, file=sys.stderr)
            return 2


def run(options: argparse.Namespace, work: Path) -> int:
    concord, checkpoint = Concord(options.concord), options.checkpoint
    queries = work / "queries.tsv"
    copy_lines(options.queries, queries, options.queries_limit)
    texts = passages(options.collection, options.passages)
    names = [f"p{number}" for number in range(len(texts))]
    known = dict(zip(names, texts, strict=True))
    # Half of them first, then a quarter, and the last one in a shard.
    cuts = [0, len(texts) // 2, len(texts) * 3 // 4, len(texts)]
    parts = [
        beir(work / f"part-{part}.jsonl", names[start:end], known)
        for part, (start, end) in enumerate(zip(cuts, cuts[1:], strict=False))
    ]
    index, shard, merged = work / "index", work / "shard", work / "merged"
    whole = beir(work / "all.jsonl", names, known)

    def agrees(step: str, changed: Path) -> bool:
        """Whether both find the same in an index."""
        named = rows(changed)
        ours = concord.search(changed, queries, options.k, clip_negative=True)
        texts_by_pid = tsv(work / "texts.tsv", [known[name] for name, _ in named])
        found = reference.search(changed, checkpoint, texts_by_pid, read_queries(queries), options.k)
        tally = compare_all(ours, found, options.k, options.tolerance)
        gone = {pid for ranking in found.values() for pid, _ in ranking if named[pid][1]}
        lines = described(step, tally)
        if gone:
            lines.append(f"  ColBERT found passages that are deleted: {sorted(gone)}")
        print("\n".join(lines), flush=True)
        concord.verify(changed)
        return not (tally.failures or gone)

    concord.index(parts[0], checkpoint, index)
    concord.change("add", index, parts[1])
    good = agrees("added to", index)
    # Every seventh, and five in a row, the first and the last among them.
    there = names[: cuts[2]]
    concord.change("delete", index, *sorted({*there[::7], *there[8:13], there[-1]}))
    good &= agrees("deleted from", index)
    concord.change("compact", index)
    good &= agrees("compacted", index)
    concord.change("add", index, "--replace", beir(work / "again.jsonl", names[20:30], known))
    good &= agrees("replaced in", index)
    concord.index(parts[2], checkpoint, shard, *[f"--swap={name}={index}" for name in CODEC])
    concord.change("merge", index, shard, "--out", merged)
    good &= agrees("merged", merged)
    concord.change("compact", merged, "--retrain", "--collection", whole)
    good &= agrees("trained anew", merged)
    return 0 if good else 1


def passages(collection: Path, limit: int) -> list[str]:
    """The first texts of a collection."""
    with collection.open(encoding="utf-8") as rows:
        return [row.rstrip("\n").split("\t")[1] for row in islice(rows, limit)]


def beir(path: Path, names: list[str], texts: dict[str, str]) -> Path:
    """Writes passages with their ids."""
    lines = (json.dumps({"_id": name, "text": texts[name]}) + "\n" for name in names)
    path.write_text("".join(lines), encoding="utf-8")
    return path


def tsv(path: Path, texts: list[str]) -> Path:
    """Writes passages with their numbers."""
    lines = (f"{pid}\t{text}\n" for pid, text in enumerate(texts))
    path.write_text("".join(lines), encoding="utf-8")
    return path


def rows(index: Path) -> list[tuple[str, bool]]:
    """What an index says of its passages, by their numbers: the id, and whether it is deleted."""
    connection = sqlite3.connect(f"file:{index / 'passages.db'}?mode=ro&immutable=1", uri=True)
    try:
        return connection.execute("SELECT id, deleted FROM passages ORDER BY pid").fetchall()
    finally:
        connection.close()


if __name__ == "__main__":
    sys.exit(main())

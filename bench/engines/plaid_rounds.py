"""fast-plaid and xtr-warp, and the exact results that every index is measured by: what needs PyTorch.

    plaid_rounds.py build --engine fast-plaid --data DATA --out INDEX --nbits 4 --niters 4
    plaid_rounds.py serve --engine fast-plaid --data DATA --index INDEX --threads 2
    plaid_rounds.py exact --data DATA --k 10 --out FILE
    plaid_rounds.py generate --data DATA --passages 5000 --tokens 109 --width 128 --queries 500 --seed 7

A folder DATA is as `peers/src/collection.rs` writes it, and `serve` answers as `peers/src/indexes.rs` does.
"""

import argparse
import json
import sys
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch

from generated import generate
from rounds import answer_lines, refuse, seconds

# Embeddings that are scored at once when all are: a few hundred megabytes of scores.
BLOCK = 60_000


class FastPlaid:
    package = "fast-plaid"

    def __init__(self, index: Path):
        from fast_plaid import search

        self.index = search.FastPlaid(index=str(index), device="cpu")

    def build(self, passages: list, nbits: int, niters: int) -> None:
        self.index.create(documents_embeddings=passages, kmeans_niters=niters, nbits=nbits)

    def open(self) -> None:
        """It opens its index when it is searched first."""

    def search(self, queries: torch.Tensor, k: int, threads: int) -> list:
        processes = threads if len(queries) > 1 else 1
        found = self.index.search(queries, top_k=k, show_progress=False, n_processes=processes)
        return [[pid for pid, _ in of_query] for of_query in found]


class XtrWarp:
    package = "xtr-warp-rs"

    def __init__(self, index: Path):
        from xtr_warp import XTRWarp

        self.index = XTRWarp(str(index), device="cpu")

    def build(self, passages: list, nbits: int, niters: int) -> None:
        self.index.create(passages, device="cpu", kmeans_niters=niters, nbits=nbits, show_progress=False)

    def open(self) -> None:
        self.index.load(device="cpu")

    def search(self, queries: torch.Tensor, k: int, threads: int) -> list:
        found = self.index.search(queries, top_k=k, num_threads=threads, show_progress=False)
        return [[pid for pid, _ in of_query] for of_query in found]


ENGINES = {engine.package: engine for engine in (FastPlaid, XtrWarp)}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["build", "serve", "exact", "generate"])
    parser.add_argument("--engine", choices=ENGINES)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--index", "--out", type=Path)
    parser.add_argument("--nbits", type=int)
    parser.add_argument("--niters", type=int)
    parser.add_argument("--k", type=int)
    parser.add_argument("--threads", type=int)
    for name in ("passages", "tokens", "width", "queries", "seed"):
        parser.add_argument(f"--{name}", type=int)
    parser.add_argument("--uneven", action="store_true")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    if options.what == "build":
        build(options)
    elif options.what == "serve":
        serve(options)
    elif options.what == "generate":
        generate(options.data, options.passages, options.tokens, options.width, options.queries, options.seed, options.uneven)
    else:
        np.save(options.index, exact(options.data, options.k))


def passages(data: Path) -> tuple:
    """The embeddings of all passages, and where each passage ends."""
    embeddings = np.load(data / "passages" / "embeddings.npy", mmap_mode="r")
    return embeddings, np.cumsum(np.load(data / "passages" / "embeddings.doclens.npy"))


def build(options) -> None:
    embeddings, ends = passages(options.data)
    each = [torch.from_numpy(passage.copy()) for passage in np.split(embeddings, ends[:-1])]
    options.index.parent.mkdir(parents=True, exist_ok=True)
    engine = ENGINES[options.engine](options.index)
    taken = seconds(lambda: engine.build(each, options.nbits, options.niters))
    print(json.dumps({"seconds": taken}))


def serve(options) -> None:
    try:
        engine = ENGINES[options.engine](options.index)
        engine.open()
    except Exception as error:
        refuse(f"{type(error).__name__}: {error}")
        return
    queries = torch.from_numpy(np.load(options.data / "queries.npy"))

    def one_by_one(k: int) -> list:
        return [engine.search(query[None], k, options.threads)[0] for query in queries]

    def answer(word: str, rest: str):
        k, _, file = rest.partition(" ")
        k = int(k)
        if word == "one":
            return seconds(lambda: one_by_one(k))
        if word == "all":
            return seconds(lambda: engine.search(queries, k, options.threads))
        found = [(pids + [-1] * k)[:k] for pids in one_by_one(k)]
        np.save(file, np.array(found, dtype=np.int64))
        return None

    answer_lines(f"{options.engine} {version(options.engine)}", ["one", "all", "results"], answer)


def exact(data: Path, k: int) -> np.ndarray:
    """The best `k` passages of each query by MaxSim over the embeddings as they are given, in `float32`."""
    embeddings, ends = passages(data)
    starts = np.concatenate([[0], ends[:-1]])
    queries = torch.from_numpy(np.load(data / "queries.npy"))
    count, tokens, dim = queries.shape
    scores = torch.zeros(count, len(ends))
    first = 0
    began = time.monotonic()
    while first < len(ends):
        last = max(first + 1, int(np.searchsorted(ends, starts[first] + BLOCK, side="right")))
        block = torch.from_numpy(embeddings[starts[first] : ends[last - 1]].copy())
        lengths = torch.from_numpy(np.diff(np.concatenate([[starts[first]], ends[first:last]])))
        passage = torch.repeat_interleave(torch.arange(last - first), lengths)
        for at in range(0, count, 32):
            similarities = queries[at : at + 32].reshape(-1, dim) @ block.T
            # A passage without embeddings has nothing that any query could be near to.
            best = torch.full((len(similarities), last - first), -torch.inf)
            best.index_reduce_(1, passage, similarities, "amax")
            scores[at : at + 32, first:last] = best.reshape(-1, tokens, last - first).sum(1)
        first = last
        print(f"{first} of {len(ends)} passages, {time.monotonic() - began:.0f} s", file=sys.stderr)
    return scores.topk(min(k, len(ends)), dim=1).indices.numpy()


if __name__ == "__main__":
    main()

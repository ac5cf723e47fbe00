"""Embeddings of passages and queries that nobody encoded: seeded, of unit length, in clusters.

Every passage is about some of all topics, and each of its embeddings lies near one of them; a query's embeddings lie near
those of one passage. Imported where NumPy is.
"""

from pathlib import Path

import numpy as np
from passages import LENGTHS

# How many topics there are for all passages, and how many each passage is about.
TOPICS = 20_000
OF_A_PASSAGE = 40

# How far an embedding lies from its topic, in each dimension, beside topics of variance 1; and how far an embedding of a
# query from one of a passage.
SPREAD = 0.6
OF_A_QUERY = 0.06

QUERY_TOKENS = 32


def generate(folder: Path, passages: int, tokens: int, width: int, queries: int, seed: int, uneven: bool = False) -> None:
    """Writes a folder as `peers/src/collection.rs` does: passages of `tokens` embeddings each, or of as many on average
    and as unevenly long as those of a real collection, and queries. The embeddings go to the file passage after passage."""
    random = np.random.default_rng(seed)

    def normal(*shape: int) -> np.ndarray:
        return random.standard_normal(shape, dtype=np.float32)

    (folder / "passages").mkdir(parents=True, exist_ok=True)
    topics = normal(TOPICS, width)
    about = random.integers(0, TOPICS, size=(passages, OF_A_PASSAGE))
    doclens = of_real_lengths(random, passages, tokens) if uneven else np.full(passages, tokens, np.int64)
    ends = np.cumsum(doclens)
    file = folder / "passages" / "embeddings.npy"
    all_of_them = np.lib.format.open_memmap(file, "w+", np.float32, (int(ends[-1]), width))
    for passage, (length, end) in enumerate(zip(doclens, ends)):
        own = topics[about[passage][random.integers(0, OF_A_PASSAGE, length)]] + np.float32(SPREAD) * normal(length, width)
        all_of_them[end - length : end] = unit(own)
    np.save(folder / "passages" / "embeddings.doclens.npy", doclens)
    asked = np.empty((queries, QUERY_TOKENS, width), np.float32)
    for query in range(queries):
        passage = random.integers(0, passages)
        rows = random.integers(0, doclens[passage], QUERY_TOKENS)
        near = all_of_them[ends[passage] - doclens[passage] + rows]
        asked[query] = unit(near + np.float32(OF_A_QUERY) * normal(QUERY_TOKENS, width))
    np.save(folder / "queries.npy", asked)
    all_of_them.flush()


def of_real_lengths(random: np.random.Generator, passages: int, mean: int) -> np.ndarray:
    """How many embeddings passages have whose lengths are spread as in the table of `passages.py`, at least one each."""
    places = np.linspace(0, 1, len(LENGTHS))
    lengths = np.interp(random.random(passages), places, LENGTHS)
    of_table = np.mean([(a + b) / 2 for a, b in zip(LENGTHS, LENGTHS[1:])])
    return np.maximum(1, np.rint(lengths * (mean / of_table))).astype(np.int64)


def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)

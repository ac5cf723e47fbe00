"""Embeddings of passages and queries that nobody encoded: seeded, of unit length, in clusters.

Every passage is about some of all topics, and each of its embeddings lies near one of them; a query's embeddings lie near
those of one passage. Imported where NumPy is.
"""

from pathlib import Path

import numpy as np

# How many topics there are for all passages, and how many each passage is about.
TOPICS = 20_000
OF_A_PASSAGE = 40

# How far an embedding lies from its topic, in each dimension, beside topics of variance 1; and how far an embedding of a
# query from one of a passage.
SPREAD = 0.6
OF_A_QUERY = 0.06

QUERY_TOKENS = 32


def generate(folder: Path, passages: int, tokens: int, width: int, queries: int, seed: int) -> None:
    """Writes a folder as `peers/src/collection.rs` does: passages of `tokens` embeddings each, and queries. The embeddings
    go to the file passage after passage."""
    random = np.random.default_rng(seed)

    def normal(*shape: int) -> np.ndarray:
        return random.standard_normal(shape, dtype=np.float32)

    (folder / "passages").mkdir(parents=True, exist_ok=True)
    topics = normal(TOPICS, width)
    about = random.integers(0, TOPICS, size=(passages, OF_A_PASSAGE))
    file = folder / "passages" / "embeddings.npy"
    all_of_them = np.lib.format.open_memmap(file, "w+", np.float32, (passages * tokens, width))
    for passage in range(passages):
        own = topics[about[passage][random.integers(0, OF_A_PASSAGE, tokens)]] + np.float32(SPREAD) * normal(tokens, width)
        all_of_them[passage * tokens : (passage + 1) * tokens] = unit(own)
    np.save(folder / "passages" / "embeddings.doclens.npy", np.full(passages, tokens, np.int64))
    asked = np.empty((queries, QUERY_TOKENS, width), np.float32)
    for query in range(queries):
        passage, rows = random.integers(0, passages), random.integers(0, tokens, QUERY_TOKENS)
        near = all_of_them[passage * tokens + rows]
        asked[query] = unit(near + np.float32(OF_A_QUERY) * normal(QUERY_TOKENS, width))
    np.save(folder / "queries.npy", asked)
    all_of_them.flush()


def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)

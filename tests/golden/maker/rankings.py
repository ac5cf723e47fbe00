"""What the reference finds, and which passages its two filters leave for the last stage."""

from dataclasses import asdict, dataclass
from unittest import mock

import torch
from colbert import Searcher


@dataclass
class Settings:
    """One way to search; a None is filled in by the reference from ``k``."""

    k: int
    ncells: int | None = None
    centroid_score_threshold: float | None = None
    ndocs: int | None = None


# Defaults for each range of k; then many cells, a threshold no centroid reaches (every passage ties),
# one that all reach, and filters narrow enough to lose passages.
WAYS = [
    Settings(5),
    Settings(10),
    Settings(20),
    Settings(200),
    Settings(10, 8, 0.45, 1024),
    Settings(10, 4, 2.0, 16),
    Settings(10, 1, -1.0, 64),
    Settings(10, 2, 0.5, 24),
]


def rankings(searcher: Searcher, queries: torch.Tensor) -> list[dict]:
    """For every way to search, the settings in force and for every query its stages' passages."""
    return [_search(searcher, queries, way) for way in WAYS]


def scores_of_all(searcher: Searcher, queries: torch.Tensor) -> list[list[float]]:
    """The exact score of every passage for every query, without any filter, in pid order."""
    everything = list(range(len(searcher.collection)))
    rows = []
    for query in queries:
        pids, scores = searcher.ranker.rank(
            searcher.config, query.unsqueeze(0), pids=everything
        )
        by_pid = dict(zip(pids, scores, strict=True))
        rows.append([by_pid[pid] for pid in everything])
    return rows


def _search(searcher: Searcher, queries: torch.Tensor, way: Settings) -> dict:
    # The reference keeps the defaults of its first call for all later ones, so they are set each time.
    searcher.configure(
        ncells=way.ncells,
        centroid_score_threshold=way.centroid_score_threshold,
        ndocs=way.ndocs,
    )
    results = [_search_one(searcher, query, way.k) for query in queries]
    used = Settings(
        way.k,
        searcher.config.ncells,
        searcher.config.centroid_score_threshold,
        searcher.config.ndocs,
    )
    return {"asked": asdict(way), "used": asdict(used), "queries": results}


def _search_one(searcher: Searcher, query: torch.Tensor, k: int) -> dict:
    stages = {}
    score_pids = searcher.ranker.score_pids

    def keep_stages(config, query, pids, centroid_scores):
        scores, survivors = score_pids(config, query, pids, centroid_scores)
        stages["candidates"], stages["survivors"] = (
            pids.tolist(),
            sorted(survivors.tolist()),
        )
        return scores, survivors

    with mock.patch.object(searcher.ranker, "score_pids", keep_stages):
        pids, _, scores = searcher.dense_search(query.unsqueeze(0), k)
    return stages | {"pids": pids, "scores": scores}

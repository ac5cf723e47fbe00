"""The real ColBERT (``colbert-ai``), on a CPU, in this process."""

import os
import sys
from pathlib import Path

# Read when the libraries are imported: no GPU, nothing fetched. Extensions are compiled with the
# ninja of this environment and kept in it.
os.environ |= {"CUDA_VISIBLE_DEVICES": "", "HF_HUB_OFFLINE": "1"}
os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
os.environ.setdefault("TORCH_EXTENSIONS_DIR", str(Path(sys.prefix, "torch_extensions")))

import torch  # noqa: E402
from colbert import Indexer, Searcher  # noqa: E402
from colbert.infra import ColBERTConfig, Run, RunConfig  # noqa: E402
from colbert.modeling.checkpoint import Checkpoint  # noqa: E402

from .agreement import Ranking  # noqa: E402


def build_index(collection: Path, checkpoint: Path, out: Path) -> None:
    """Index a collection with the checkpoint's own settings."""
    with _run(out.parent):
        Indexer(str(checkpoint), verbose=0).index(out.name, str(collection))


def search(
    index: Path, checkpoint: Path, collection: Path, queries: dict[str, str], k: int
) -> dict[str, Ranking]:
    """Every passage scored for each query, best first, found with the settings that ``k`` implies."""
    with _run(index.parent):
        searcher = Searcher(
            index.name,
            checkpoint=str(checkpoint),
            collection=str(collection),
            verbose=0,
        )
    encoded = searcher.encode(list(queries.values()))
    # The first search sets whatever follows from k; it returns k passages of those it scored.
    searcher.dense_search(encoded[:1], k)
    rankings = {}
    for qid, query in zip(queries, encoded, strict=True):
        pids, scores = searcher.ranker.rank(searcher.config, query.unsqueeze(0))
        rankings[qid] = list(zip(pids, scores, strict=True))
    return rankings


def embeddings(checkpoint: Path, passages: list[str], bsize: int):
    """The embeddings ``(tokens, dim)`` of all passages and how many each has, as the indexer makes them."""
    encoder = Checkpoint(str(checkpoint), ColBERTConfig.load_from_checkpoint(str(checkpoint)))
    with torch.no_grad():
        found, lengths = encoder.docFromText(
            passages, bsize=bsize, keep_dims="flatten", showprogress=False
        )
    return found.float().numpy(), lengths


def _run(index_root: Path):
    settings = RunConfig(
        root=str(index_root),
        index_root=str(index_root),
        experiment="live",
        gpus=0,
        avoid_fork_if_possible=True,
    )
    return Run().context(settings)

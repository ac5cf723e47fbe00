"""The real ColBERT, indexing in this process, with the tensors between its stages kept.

Nothing of it is replaced: a subclass notes what the stages hand on, and the class is put where the
reference looks its indexer up.
"""

import contextlib
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from unittest import mock

import torch
from colbert import Indexer, Searcher
from colbert.data import Collection
from colbert.indexing import collection_indexer
from colbert.infra import ColBERTConfig, Run, RunConfig
from colbert.modeling.checkpoint import Checkpoint

CHECKPOINT, COLLECTION = "checkpoint", "collection.tsv"


@dataclass
class Build:
    """What one index build handed from stage to stage; rows are tokens, columns the embedding."""

    sampled_pids: list[int] = field(default_factory=list)
    # (embeddings f32, kept tokens per passage): first the sample, then every chunk.
    encoded: list[tuple[torch.Tensor, list[int]]] = field(default_factory=list)
    sample: torch.Tensor | None = None
    heldout: torch.Tensor | None = None
    centroids: torch.Tensor | None = None


def build_index(folder: Path, nbits: int, chunksize: int | None = None) -> Build:
    """Index the collection into ``folder``, a path relative to the working directory.

    ``chunksize`` stands in for the 25,000 passages a chunk has otherwise.
    """
    shutil.rmtree(folder, ignore_errors=True)
    build = Build()
    with contextlib.ExitStack() as stack:
        stack.enter_context(_run(folder.parent))
        stack.enter_context(
            mock.patch.object(
                collection_indexer, "CollectionIndexer", _recording(build)
            )
        )
        if chunksize is not None:
            stack.enter_context(
                mock.patch.object(Collection, "get_chunksize", lambda _: chunksize)
            )
        Indexer(CHECKPOINT, ColBERTConfig(nbits=nbits), verbose=0).index(
            folder.name, COLLECTION
        )
    return build


def open_index(folder: Path) -> Searcher:
    """The reference's searcher over an index folder."""
    with _run(folder.parent):
        return Searcher(folder.name, collection=COLLECTION, verbose=0)


def open_checkpoint() -> Checkpoint:
    """The reference's encoder with its tokenizers, configured by the checkpoint alone."""
    with _run(Path(".")):
        return Checkpoint(
            CHECKPOINT, ColBERTConfig.load_from_checkpoint(CHECKPOINT), verbose=0
        )


def _run(index_root: Path):
    # Every setting that would otherwise hold a date, a path or the number of GPUs is given, because
    # the index's metadata keeps them all.
    settings = RunConfig(
        root=".",
        experiment="golden",
        name="golden",
        index_root=str(index_root),
        gpus=0,
        avoid_fork_if_possible=True,
    )
    return Run().context(settings)


def _recording(build: Build) -> type:
    class Recording(collection_indexer.CollectionIndexer):
        def __init__(self, *args, **options):
            super().__init__(*args, **options)
            encode_passages = self.encoder.encode_passages

            def encode_and_keep(passages):
                build.encoded.append(encode_passages(passages))
                return build.encoded[-1]

            self.encoder.encode_passages = encode_and_keep

        def _sample_pids(self):
            pids = super()._sample_pids()
            build.sampled_pids = sorted(pids)
            return pids

        def _concatenate_and_split_sample(self):
            build.sample, build.heldout = super()._concatenate_and_split_sample()
            return build.sample, build.heldout

        def _train_kmeans(self, sample, shared_lists):
            build.centroids = super()._train_kmeans(sample, shared_lists)
            return build.centroids

    return Recording

"""What the reference's tokenizers make of the collection and the queries."""

from colbert.data import Collection
from colbert.modeling.checkpoint import Checkpoint

from .text import QUERIES

BATCH = 32
# An index of QUERIES whose text does not fit into the checkpoint's query length.
LONG_QUERY = 8


def tokenization(checkpoint: Checkpoint, collection: str) -> dict:
    """Ids and masks of the documents in slices of ``BATCH``, and of the queries in all their modes."""
    passages = Collection(path=collection).data
    slices, reverse_indices = checkpoint.doc_tokenizer.tensorize(passages, bsize=BATCH)
    queries = checkpoint.query_tokenizer
    return {
        "skiplist": sorted(
            token for token in checkpoint.skiplist if isinstance(token, int)
        ),
        "doc_marker": checkpoint.doc_tokenizer.D_marker_token_id,
        "query_marker": queries.Q_marker_token_id,
        "documents": {
            "bsize": BATCH,
            "slices": [_batch(*batch) for batch in slices],
            "reverse_indices": reverse_indices.tolist(),
        },
        "queries": _batch(*queries.tensorize(QUERIES)),
        "queries_attending_to_mask_tokens": _attending(checkpoint),
        "full_length_query": _full_length(checkpoint),
        "queries_with_context": _batch(
            *queries.tensorize(QUERIES[:2], context=["the river in winter", "fox"])
        ),
    }


def _batch(ids, mask) -> dict:
    return {"input_ids": ids.tolist(), "attention_mask": mask.tolist()}


def _full_length(checkpoint: Checkpoint) -> dict | None:
    try:
        batch = checkpoint.query_tokenizer.tensorize(
            [QUERIES[LONG_QUERY]], full_length_search=True
        )
    except AttributeError:
        # The reference asks its tokenizer to move plain lists to a device, which older releases of
        # transformers cannot: this mode does not exist there.
        return None
    return {"qid": LONG_QUERY} | _batch(*batch)


def _attending(checkpoint: Checkpoint) -> dict:
    config = checkpoint.query_tokenizer.config
    config.attend_to_mask_tokens = True
    try:
        return _batch(*checkpoint.query_tokenizer.tensorize(QUERIES))
    finally:
        config.attend_to_mask_tokens = False

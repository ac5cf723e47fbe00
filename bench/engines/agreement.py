"""Whether an engine computes what it should: its embeddings beside those of Concord's `f64` referee."""

import array
import math
from pathlib import Path

from .process import NotThere

# Below this mean cosine an engine does not compute the same thing in another precision, but another thing.
ALIKE = 0.95


def read(path: Path) -> array.array:
    """Embeddings as the engines write them: bare `float32`."""
    values = array.array("f")
    values.frombytes(path.read_bytes())
    return values


def compare(embeddings: array.array, dim: int, reference: array.array, reference_dim: int) -> dict:
    """The largest difference of a number and the mean cosine, over the tokens that the reference keeps: those
    of punctuation are zero there, and engines that know nothing of ColBERT have embeddings for them.

    Raises `NotThere` for embeddings of something else.
    """
    if (len(embeddings), dim) != (len(reference), reference_dim):
        raise NotThere(f"it gave {len(embeddings)} numbers, {dim} to a token, and not {len(reference)}, {reference_dim}")
    largest, cosines = 0.0, []
    for start in range(0, len(reference), dim):
        expected = reference[start : start + dim]
        if not any(expected):
            continue
        found = embeddings[start : start + dim]
        largest = max(largest, max(abs(a - b) for a, b in zip(found, expected)))
        product = sum(a * b for a, b in zip(found, expected))
        cosines.append(product / (math.hypot(*found) * math.hypot(*expected) or math.nan))
    mean = math.fsum(cosines) / len(cosines)
    # Written so that a mean which is not a number fails it.
    if not mean > ALIKE:
        raise NotThere(f"it computes something else: the mean cosine with what it should is {mean:.3f}")
    return {"largest_difference": largest, "mean_cosine": mean}

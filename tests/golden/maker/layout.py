"""How values are written: JSON with one list a line, and digests of arrays too large to keep."""

import hashlib
import json
from pathlib import Path

import numpy as np


def digest(array: np.ndarray) -> str:
    """SHA-256 of the elements in row-major order, little-endian, without shape or dtype."""
    little = array.astype(array.dtype.newbyteorder("<"), copy=False)
    return hashlib.sha256(np.ascontiguousarray(little).tobytes()).hexdigest()


def write_json(path: Path, value) -> None:
    """Objects are indented and lists of scalars kept on one line, so that a difference reads as a line."""
    path.write_text(_text(value, 0) + "\n", encoding="utf-8")


def _text(value, depth: int) -> str:
    nested = (dict, list)
    if not isinstance(value, nested) or not value:
        return json.dumps(value)
    if isinstance(value, list) and not any(isinstance(item, nested) for item in value):
        return json.dumps(value, separators=(",", ":"))
    if isinstance(value, dict):
        parts = [
            f"{json.dumps(key)}: {_text(item, depth + 1)}"
            for key, item in value.items()
        ]
    else:
        parts = [_text(item, depth + 1) for item in value]
    opening, closing = "{}" if isinstance(value, dict) else "[]"
    margin = "\n" + " " * depth
    return opening + margin + " " + f",{margin} ".join(parts) + margin + closing

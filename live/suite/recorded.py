"""Reading the runs that ``concord record`` leaves."""

import json
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file


def artifact(run: Path, name: str) -> np.ndarray:
    """The values of an artifact with one tensor, its chunks joined."""
    events = map(json.loads, (run / "events.jsonl").open(encoding="utf-8"))
    chunks = [event for event in events if event.get("artifact") == name]
    if not chunks:
        raise LookupError(f"{run} has no artifact {name!r}")
    parts = []
    for chunk in sorted(chunks, key=lambda chunk: chunk["chunk"]):
        (field,) = chunk["fields"]
        digest = field["hash"].partition(":")[2]
        (tensor,) = load_file(
            run / "blobs" / digest[:2] / f"{digest}.safetensors"
        ).values()
        parts.append(tensor)
    return np.concatenate(parts)

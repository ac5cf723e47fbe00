"""The operations that an encoder cannot do without."""

import json
from pathlib import Path


def operations_per_token(checkpoint: Path, dim: int) -> int:
    """Multiplications and additions of the linear layers for one token: four of hidden × hidden and two of
    hidden × intermediate in every layer, and the head. What attention does between tokens, a few percent at
    the lengths of passages, is not counted, nor are biases, normalisation and GELU."""
    config = json.loads((checkpoint / "config.json").read_text())
    hidden, intermediate = config["hidden_size"], config["intermediate_size"]
    products = config["num_hidden_layers"] * (4 * hidden * hidden + 2 * hidden * intermediate) + hidden * dim
    return 2 * products

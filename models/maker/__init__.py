"""The parts of ``make.py``: the text, the vocabulary, the two steps of training, and the checkpoint folder."""

SEED = 20260

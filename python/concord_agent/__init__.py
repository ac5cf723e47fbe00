"""Runs a ColBERT checkpoint on PyTorch and writes down what every module computes, for ``concord diff``."""

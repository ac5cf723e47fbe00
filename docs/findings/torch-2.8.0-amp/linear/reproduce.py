#!/usr/bin/env python3
"""`torch.nn.functional.linear(x, w, bias)` has other bits as torch==2.8.0,amp=bf16 computes it than as torch==2.8.0 does.

Both compute the first 307200 elements of the result from the same numbers; 307197 of them differ. Each side is
computed in a process of its own. Needs torch and numpy alone; computes on the CPU.
"""
import hashlib
import os
import subprocess
import sys

SIDES = {
    "a": ("torch==2.8.0", {}, "sha256 a0cf6b58e440315b y[0] bef39578"),
    "b": ("torch==2.8.0,amp=bf16", {}, "sha256 e96e09d42d6a8744 y[0] bef50000"),
}
if len(sys.argv) < 2:
    for name, (_, variables, _) in SIDES.items():
        subprocess.run([sys.executable, os.path.abspath(__file__), name], env=dict(os.environ, **variables), check=True)
    sys.exit()

import numpy as np
import torch


def numbers(seed, scale, *shape):
    """Numbers from -scale/2 to scale/2, the same to the bit in every version."""
    n = np.arange(np.prod(shape), dtype=np.uint64) + np.uint64(seed << 32)
    n = n * np.uint64(0x9E3779B97F4A7C15)
    n = (n ^ (n >> np.uint64(31))) * np.uint64(0xBF58476D1CE4E5B9)
    unit = (n >> np.uint64(40)).astype(np.float32) / np.float32(1 << 24)
    return torch.from_numpy(((unit - np.float32(0.5)) * np.float32(scale)).reshape(shape))


def a():
    x = numbers(1, 2.0, 32, 25, 384)
    w = numbers(2, 0.2, 384, 384)
    bias = numbers(3, 0.2, 384)
    with torch.no_grad():
        return torch.nn.functional.linear(x, w, bias)


def b():
    x = numbers(1, 2.0, 32, 25, 384)
    w = numbers(2, 0.2, 384, 384)
    bias = numbers(3, 0.2, 384)
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        return torch.nn.functional.linear(x, w, bias)


subject, _, expected = SIDES[sys.argv[1]]
y = globals()[sys.argv[1]]().float().contiguous().numpy().reshape(-1)[:307200]
found = "sha256 %s y[%d] %08x" % (hashlib.sha256(y.tobytes()).hexdigest()[:16], 0, y.view(np.uint32)[0])
print("torch", torch.__version__, "as", subject, found, "as expected" if found == expected else "expected " + expected)

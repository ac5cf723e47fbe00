#!/usr/bin/env python3
"""`torch.matmul(q, k)` has other bits as torch==1.13.1,batch=32 computes it than as torch==1.13.1,batch=8 does.

Both compute the first 46464 elements of the result from the same numbers; 1372 of them differ. Each side is
computed in a process of its own. Needs torch and numpy alone; computes on the CPU.
"""
import hashlib
import os
import subprocess
import sys

SIDES = {
    "a": ("torch==1.13.1,batch=8", {}, "sha256 ac4c6e9777a719a3 y[38] 3ef81680"),
    "b": ("torch==1.13.1,batch=32", {}, "sha256 ca24cbe74fd1ab9b y[38] 3ef81683"),
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
    q = numbers(1, 2.0, 8, 12, 22, 32)
    k = numbers(2, 2.0, 8, 12, 32, 22)
    with torch.no_grad():
        return torch.matmul(q, k)[..., :22, :22]


def b():
    q = torch.nn.functional.pad(numbers(1, 2.0, 32, 12, 22, 32), (0, 0, 0, 3), value=0.0)
    k = torch.nn.functional.pad(numbers(2, 2.0, 32, 12, 32, 22), (0, 3, 0, 0), value=0.0)
    with torch.no_grad():
        return torch.matmul(q, k)[..., :22, :22]


subject, _, expected = SIDES[sys.argv[1]]
y = globals()[sys.argv[1]]().float().contiguous().numpy().reshape(-1)[:46464]
found = "sha256 %s y[%d] %08x" % (hashlib.sha256(y.tobytes()).hexdigest()[:16], 38, y.view(np.uint32)[38])
print("torch", torch.__version__, "as", subject, found, "as expected" if found == expected else "expected " + expected)

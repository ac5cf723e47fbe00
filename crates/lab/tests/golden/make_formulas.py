"""Writes what PyTorch computes for GELU, layer normalisation, unit length and softmax.

    python make_formulas.py INSTRUCTIONS

INSTRUCTIONS is `avx512`, `avx2` or `scalar`; the environment that PyTorch reads must hold it to these
before it starts, as `isa=` of a subject does:

    avx2    ATEN_CPU_CAPABILITY=avx2     ONEDNN_MAX_CPU_ISA=AVX2   MKL_ENABLE_INSTRUCTIONS=AVX2
    scalar  ATEN_CPU_CAPABILITY=default  ONEDNN_MAX_CPU_ISA=SSE41  MKL_ENABLE_INSTRUCTIONS=SSE4_2

The lines that it prints are lines of formulas.txt: the version, the instructions, the operation, the
width, and the SHA-256 of the results for the sweep of seed 1 as little-endian floats. With a second
argument, a folder, it writes `gelu.txt` into it: an input and its result a line, bits in hexadecimal.

The sweep is that of ../../src/formula/sweep.rs.
"""

import hashlib
import pathlib
import struct
import sys

import torch

F = torch.nn.functional
EPS = 1e-12
ROWS = 16
KINDS = ("ordinary", "offset", "tiny", "large", "near-constant")

# Where GELU changes its course: zeros, subnormal numbers, the largest, the far tails, and where pieces
# and approximations begin and end.
EDGES = [
    *(0x00000000, 0x00000001, 0x007FFFFF, 0x00800000, 0x7F7FFFFF, 0x7149F2CA),
    *(0x40B15CED, 0x40B15CEE, 0x40B15CEF, 0x41200000, 0x41500000, 0x42C80000),
    *(0x3DE00000 + (piece << 21) + offset for piece in range(24) for offset in (0, 1, 2)),
]
EVERY = 200


class Random:
    """SplitMix64 (Steele, Lea and Flood, 2014)."""

    def __init__(self, seed):
        self.state = seed

    def next(self):
        mask = 2**64 - 1
        self.state = (self.state + 0x9E3779B97F4A7C15) & mask
        z = self.state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
        return z ^ (z >> 31)

    def below(self, end):
        return self.next() % end

    def uniform(self):
        return (self.next() >> 11) * 2.0**-53

    def normal(self):
        total = 0.0
        for _ in range(12):
            total += self.uniform()
        return total - 6.0


def bits(value):
    """Of the nearest `f32`."""
    return struct.unpack("<I", struct.pack("<f", value))[0]


def elements(random):
    values = [0x00000000, 0x80000000, 0x7F7FFFFF, 0xFF7FFFFF]
    for exponent in range(255):
        for _ in range(128):
            number = random.next()
            values.append((number >> 63) << 31 | exponent << 23 | (number & 0x7FFFFF))
    return values + [bits(random.uniform() * 12.0 - 6.0) for _ in range(1 << 15)]


def rows(operation, width, random):
    down, up = (10, 6) if operation == "softmax" else (40, 40)
    values = []
    for kind in KINDS:
        for _ in range(ROWS):
            mean = 1.0 + random.uniform() * 999.0
            scale = 1.0
            if kind == "tiny":
                scale = 2.0 ** (-1 - random.below(down))
            elif kind == "large":
                scale = 2.0 ** (1 + random.below(up))
            one = bits(random.normal())
            for _ in range(width):
                if kind == "offset":
                    values.append(bits(mean + random.normal()))
                elif kind == "near-constant":
                    values.append(one & ~15 | random.below(16))
                else:
                    values.append(bits(scale * random.normal()))
    return values


def tensor(values):
    return torch.frombuffer(bytearray(packed(values)), dtype=torch.float32)


def packed(values):
    return struct.pack(f"<{len(values)}I", *values)


def results(operation, width):
    """The results for the sweep of seed 1, and a function that gives those for other inputs."""
    random = Random(1)
    if operation == "gelu":
        return F.gelu(tensor(elements(random))), F.gelu
    x = tensor(rows(operation, width, random)).reshape(-1, width)
    if operation == "layer-norm":
        weights = [(bits(0.5 + random.uniform()), bits(random.normal())) for _ in range(width)]
        gamma, beta = (tensor(part) for part in zip(*weights))
        return F.layer_norm(x, (width,), gamma, beta, EPS), None
    if operation == "normalize":
        return F.normalize(x, p=2, dim=-1, eps=EPS), None
    return F.softmax(x, dim=-1), None


def unpacked(values):
    data = values.contiguous().numpy().tobytes()
    return struct.unpack(f"<{len(data) // 4}I", data)


def main():
    instructions = sys.argv[1]
    version = torch.__version__.split("+")[0]
    folder = pathlib.Path(sys.argv[2]) if len(sys.argv) > 2 else None
    torch.set_grad_enabled(False)
    for operation, widths in (
        ("gelu", (1,)),
        ("layer-norm", (384, 768)),
        ("normalize", (128,)),
        ("softmax", (50, 384)),
    ):
        for width in widths:
            values, of = results(operation, width)
            digest = hashlib.sha256(values.contiguous().numpy().tobytes()).hexdigest()
            print(version, instructions, operation, width, digest)
            if folder is None:
                continue
            if operation == "gelu":
                inputs = EDGES + [edge | 0x80000000 for edge in EDGES]
                inputs += elements(Random(1))[::EVERY]
                lines = zip(inputs, unpacked(of(tensor(inputs))))
                text = "".join(f"{x:08x} {y:08x}\n" for x, y in lines)
                (folder / "gelu.txt").write_text(text)


if __name__ == "__main__":
    main()

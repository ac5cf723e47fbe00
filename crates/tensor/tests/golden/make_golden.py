"""Writes the golden files of this folder with the PyTorch that runs it.

    python make_golden.py

The files go beside this script, in a folder named after PyTorch's version. What each holds is
repeated in ../pt_golden.rs, which reads them.
"""

import pathlib
import warnings
from collections import OrderedDict

import numpy
import torch

warnings.simplefilter("ignore")
VERSION = torch.__version__.split("+")[0]
FOLDER = pathlib.Path(__file__).resolve().parent / f"torch-{VERSION}"

DTYPES = [
    torch.bool,
    torch.uint8,
    torch.int8,
    torch.int16,
    torch.int32,
    torch.int64,
    torch.float16,
    torch.bfloat16,
    torch.float32,
    torch.float64,
]


class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(3, 2)
        self.norm = torch.nn.LayerNorm(2)
        with torch.no_grad():
            for index, parameter in enumerate(self.parameters()):
                parameter.copy_(torch.arange(parameter.numel()).reshape(parameter.shape) + index)


def values():
    grid = torch.arange(12, dtype=torch.int32).reshape(3, 4)
    one = torch.arange(6, dtype=torch.float32)
    yield "tensor", torch.tensor([[1.0, -0.0], [float("inf"), 0.1]])
    yield "every_dtype", [torch.tensor([0, 1, 1]).to(dtype) for dtype in DTYPES]
    yield "scalar", torch.tensor(2.5, dtype=torch.float16)
    yield "empty", (torch.zeros(0, 3), torch.zeros(2, 0, dtype=torch.int64))
    yield "transposed", grid.t()
    yield "column", grid[:, 2]
    yield "steps", grid[::2, 1::2]
    yield "slice", grid[1:]
    yield "permuted", torch.arange(24).reshape(2, 3, 4).permute(2, 0, 1)
    yield "expanded", torch.tensor([[7], [8]], dtype=torch.uint8).expand(2, 3)
    yield "shared", (one, one[2:4], one)
    yield "parameter", torch.nn.Parameter(torch.tensor([1.5, -2.0]))
    yield "state_dict", Model().state_dict()
    yield "five_dimensions", torch.arange(5, dtype=torch.int16).reshape(1, 1, 5, 1, 1)
    yield "twelve", [torch.tensor([index], dtype=torch.uint8) for index in range(12)]
    yield (
        "nested",
        {
            "numbers": [0, 255, 256, 65536, -1, -(2**31), 2**31, -(2**40), 2**63 - 1, -(2**63)],
            "floats": (0.5, float("-inf")),
            "words": ("", "ColBERT", "\u00fcber"),
            "flags": [True, False, None],
            7: {},
            "ordered": OrderedDict([("b", 1), ("a", ())]),
            "size": torch.Size([2, 3]),
            "state": {"step": 3, "moments": [torch.tensor([1, 2])]},
            "four": (1, 2, 3, 4),
        },
    )


def main():
    FOLDER.mkdir(exist_ok=True)
    for name, value in values():
        torch.save(value, FOLDER / f"{name}.pt")
    if VERSION.startswith("1."):
        torch.save(torch.ones(2), FOLDER / "legacy.pt", _use_new_zipfile_serialization=False)
        torch.save(torch.ones(2), FOLDER / "protocol_4.pt", pickle_protocol=4)
        torch.save(torch.nn.Linear(1, 1), FOLDER / "module.pt")
        numpy.save(FOLDER / "matrix.npy", numpy.arange(6, dtype="<f2").reshape(2, 3))
        numpy.save(FOLDER / "fortran.npy", numpy.asfortranarray(numpy.arange(6).reshape(2, 3)))
        numpy.save(FOLDER / "truths.npy", numpy.array([True, False, True]))
        numpy.save(FOLDER / "scalar.npy", numpy.float64(-0.0))
        numpy.save(FOLDER / "big_endian.npy", numpy.arange(3, dtype=">i4"))
        numpy.save(FOLDER / "record.npy", numpy.zeros(2, dtype=[("a", "<f4")]))


main()

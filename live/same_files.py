#!/usr/bin/env python3
"""Hold `concord diff A.pt B.pt` against a deep comparison in Python.

Makes random nested Python objects, seeded, and of each a twin that is either equal or altered at one random place.
Both are written by `torch.save`; the program must end with 0 exactly where the deep comparison below says that they
are equal, and with 1 where it says that they are not. Needs torch and numpy, of any version: what a version of torch
does not have, the objects do not hold.

usage: live/same_files.py --concord target/release/concord [--pairs 200] [--seed 0]
"""

import argparse
import collections
import copy
import random
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy
import torch

#: Types of elements, as far as this version of torch has them and can write them.
DTYPES = (
    "bool uint8 int8 int16 int32 int64 float16 bfloat16 float32 float64 complex32 complex64 complex128 uint16 uint32 "
    "uint64 float8_e4m3fn float8_e4m3fnuz float8_e5m2 float8_e5m2fnuz float8_e8m0fnu float4_e2m1fn_x2 int1 int2 int4 "
    "uint1 uint4"
).split()


def same(a, b):
    """Whether two objects are the same: the reference that the program is held against.

    Of one type and content. Floats go by their bits, so that NaN is itself and -0.0 is not 0.0; the order of keys
    counts in an OrderedDict and nowhere else, and that of a set's elements nowhere; tensors are the same if dtype,
    shape and bits are, whatever their strides.
    """
    if type(a) is not type(b):
        return False
    if isinstance(a, torch.Tensor):
        return a.dtype == b.dtype and a.shape == b.shape and bits(a) == bits(b)
    if isinstance(a, float):
        return struct.pack(">d", a) == struct.pack(">d", b)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict):
        if isinstance(a, collections.OrderedDict) and not all(map(same, a, b)):
            return False
        # Python finds 1 under True and under 1.0, which are other keys here.
        keys = {(type(key), key): key for key in b}
        matched = [keys.get((type(key), key), keys) for key in a]
        return len(a) == len(b) and all(
            other is not keys and same(key, other) and same(a[key], b[other]) for key, other in zip(a, matched)
        )
    if isinstance(a, (set, frozenset)):
        return {(type(item), item) for item in a} == {(type(item), item) for item in b}
    if isinstance(a, (numpy.generic, numpy.ndarray)):
        return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    if isinstance(a, argparse.Namespace):
        return same(vars(a), vars(b))
    return a == b


def bits(tensor):
    """The bytes of a tensor's elements in row-major order."""
    return tensor.reshape(-1).view(torch.uint8).numpy().tobytes()


def of_bits(generator, dtype, shape):
    """A tensor of random bits, or of random truths."""
    size = torch.empty(0, dtype=dtype).element_size()
    among = range(2) if dtype == torch.bool else range(256)
    data = generator.choices(among, k=count(shape) * size)
    return torch.tensor(data, dtype=torch.uint8).view(dtype).reshape(shape)


def count(shape):
    """How many elements a shape has."""
    elements = 1
    for size in shape:
        elements *= size
    return elements


def usable():
    """The types of elements that this version has, writes, and copies."""
    found, copied = [], []
    for name in DTYPES:
        dtype = getattr(torch, name, None)
        try:
            tensor = of_bits(random.Random(0), dtype, (2,))
            with tempfile.TemporaryFile() as file:
                torch.save([tensor, copy.deepcopy(tensor)], file)
            bits(tensor[1:])
            found.append(dtype)
        except (RuntimeError, NotImplementedError, AttributeError, TypeError, KeyError):
            continue
        try:
            torch.empty(2, dtype=dtype).copy_(tensor)
            copied.append(dtype)
        except (RuntimeError, NotImplementedError):
            pass
    return [dtype for dtype in found if dtype is not None], copied


class Maker:
    """Makes random objects."""

    def __init__(self, generator):
        self.generator = generator

    def text(self):
        """A short text, of all planes."""
        return "".join(self.generator.choices("abcxyz.'\"\\ äß漢😀\n", k=self.generator.randrange(8)))

    def tensor(self):
        """A tensor of any type, now and then a view."""
        shape = tuple(self.generator.choices(range(4), k=self.generator.randrange(4)))
        tensor = of_bits(self.generator, self.generator.choice(USABLE), shape)
        kind = self.generator.randrange(6)
        if kind == 0 and len(shape) > 1 and tensor.dtype in COPIED:
            return tensor.transpose(0, 1)
        if kind == 1 and len(shape) > 0 and shape[0] > 1:
            return tensor[1:]
        return tensor

    def leaf(self):
        """Something that holds nothing."""
        generator = self.generator
        return generator.choice(
            [
                lambda: None,
                lambda: generator.choice((True, False)),
                lambda: generator.choice((0, 1, -1, 255, 256, 65536, 2**31, -(2**63), 2**63, 2**200)),
                lambda: generator.randrange(-(10**6), 10**6),
                lambda: generator.choice((0.0, -0.0, 1.0, float("nan"), float("inf"), 1e-300)),
                generator.random,
                self.text,
                lambda: bytes(generator.choices(range(256), k=generator.randrange(6))),
                lambda: numpy.float64(generator.random()),
                lambda: numpy.float32(generator.random()),
                lambda: numpy.int64(generator.randrange(1000)),
                lambda: numpy.bool_(generator.random() < 0.5),
                lambda: numpy.arange(generator.randrange(4), dtype=generator.choice(("f4", "i8", "u2", "c8"))),
                lambda: set(generator.choices(range(20), k=generator.randrange(5))),
                lambda: frozenset(self.text() for _ in range(generator.randrange(4))),
                lambda: torch.Size(generator.choices(range(5), k=generator.randrange(3))),
                lambda: generator.choice((torch.float32, torch.int8)),
                lambda: torch.device(generator.choice(("cpu", "cuda:0"))),
                lambda: slice(generator.randrange(3), generator.randrange(9)),
                lambda: complex(generator.random(), generator.random()),
                self.tensor,
                self.tensor,
                self.tensor,
                self.tensor,
            ]
        )()

    def key(self):
        """A key of a dict."""
        return self.generator.choice(
            [self.text, self.text, lambda: self.generator.randrange(9), lambda: (1, self.text()), lambda: 0.5]
        )()

    def value(self, depth=0):
        """Anything."""
        if depth > 3 or self.generator.random() < 0.3 and depth > 0:
            return self.leaf()
        items = [self.value(depth + 1) for _ in range(self.generator.randrange(1, 5))]
        kind = self.generator.randrange(6)
        if kind == 0:
            return items
        if kind == 1:
            return tuple(items)
        if kind == 2:
            return argparse.Namespace(**{f"n{place}": item for place, item in enumerate(items)})
        pairs = [(self.key(), item) for item in items]
        if kind == 3:
            return collections.OrderedDict(pairs)
        if kind == 4:
            filled = collections.defaultdict(list)
            filled.update(pairs)
            return filled
        return dict(pairs)


class Alterer:
    """Alters a copy of an object at one place."""

    def __init__(self, generator, maker):
        self.generator, self.maker = generator, maker

    def places(self, value, way=()):
        """The ways to all that an object holds, itself included."""
        yield way
        if isinstance(value, (list, tuple)) and not isinstance(value, torch.Size):
            for place, item in enumerate(value):
                yield from self.places(item, (*way, place))
        elif isinstance(value, dict):
            for key, item in value.items():
                yield from self.places(item, (*way, key))
        elif isinstance(value, argparse.Namespace):
            for name, item in vars(value).items():
                yield from self.places(item, (*way, name))

    def altered(self, value, way):
        """The object with what is at the end of the way altered."""
        if not way:
            return self.other(value)
        first, rest = way[0], way[1:]
        if isinstance(value, tuple):
            items = list(value)
            items[first] = self.altered(items[first], rest)
            return tuple(items)
        if isinstance(value, argparse.Namespace):
            setattr(value, first, self.altered(getattr(value, first), rest))
            return value
        value[first] = self.altered(value[first], rest)
        return value

    def other(self, value):
        """Something else, and much alike."""
        generator = self.generator
        if isinstance(value, torch.Tensor):
            return self.other_tensor(value)
        if isinstance(value, bool):
            return generator.choice((not value, int(value), float(value)))
        if isinstance(value, (int, float)) and not isinstance(value, numpy.generic):
            return generator.choice((value + 1, -value, float(value) if abs(value) < 2**52 else None, str(value)))
        if isinstance(value, str):
            return generator.choice((value + "x", value[:-1], value.upper(), value.encode()))
        if isinstance(value, bytes):
            return generator.choice((value + b"x", bytearray(value), value[:-1]))
        if isinstance(value, list):
            return generator.choice((value + [0], value[:-1], tuple(value), value[::-1]))
        if isinstance(value, tuple) and not isinstance(value, torch.Size):
            return generator.choice(((*value, None), value[:-1], list(value), value[::-1]))
        if isinstance(value, dict):
            return self.other_dict(value)
        if isinstance(value, argparse.Namespace):
            value.another = 1
            return value
        if isinstance(value, set):
            return generator.choice((value | {99}, frozenset(value), value - {next(iter(value), 0)}))
        return self.maker.leaf()

    def other_dict(self, value):
        """A dict with one key another, more, fewer, or all in another order, or of another type."""
        pairs = list(value.items())
        kind = self.generator.randrange(5)
        if kind == 0:
            pairs.append(("another", 1))
        elif kind == 1:
            del pairs[self.generator.randrange(len(pairs))]
        elif kind == 2:
            pairs.reverse()
        elif kind == 3:
            place = self.generator.randrange(len(pairs))
            key, item = pairs[place]
            pairs[place] = (f"module.{key}", item)
        else:
            return dict(pairs)
        made = type(value)(list) if isinstance(value, collections.defaultdict) else type(value)()
        made.update(pairs)
        return made

    def other_tensor(self, tensor):
        """A tensor of another shape, another type, or with one bit flipped."""
        kind = self.generator.randrange(4)
        if kind == 0:
            return tensor.reshape((1, *tensor.shape)) if tensor.dtype in COPIED else None
        if kind == 1:
            others = [dtype for dtype in USABLE if dtype != tensor.dtype]
            return of_bits(self.generator, self.generator.choice(others), tuple(tensor.shape))
        if kind == 2 and tensor.dtype in COPIED:
            # The same elements, otherwise laid out: no difference.
            return tensor.t().contiguous().t() if tensor.dim() == 2 else tensor.clone()
        return of_bits(self.generator, tensor.dtype, tuple(tensor.shape))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--concord", required=True)
    parser.add_argument("--pairs", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    generator = random.Random(arguments.seed)
    maker = Maker(generator)
    alterer = Alterer(generator, maker)
    equal = wrong = 0
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder, name) for name in ("a.pt", "b.pt")]
        for pair in range(arguments.pairs):
            value = maker.value()
            twin = copy.deepcopy(value)
            if generator.random() < 0.7:
                twin = alterer.altered(twin, generator.choice(list(alterer.places(twin))))
            for file, held in zip(files, (value, twin)):
                torch.save(held, file)
            expected = same(value, twin)
            equal += expected
            ended = subprocess.run(
                [arguments.concord, "diff", *files], capture_output=True, text=True, check=False, timeout=120
            )
            if ended.returncode != (0 if expected else 1):
                wrong += 1
                print(f"pair {pair}: the deep comparison says {expected}, the program {ended.returncode}")
                print(value, twin, ended.stdout, ended.stderr, sep="\n")
    print(
        f"torch {torch.__version__}, seed {arguments.seed}: {arguments.pairs} pairs, {equal} equal, "
        f"{arguments.pairs - equal} not, {len(USABLE)} types of elements; {wrong} told wrongly"
    )
    return 1 if wrong or not 0 < equal < arguments.pairs else 0


USABLE, COPIED = usable()

if __name__ == "__main__":
    sys.exit(main())

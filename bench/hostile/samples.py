"""The pickles: what each of them says, and what may come of it."""

from __future__ import annotations

import math
import os
import struct
import zipfile
import zlib
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Callable

from .pickles import (
    EMPTY_DICT, EMPTY_LIST, MARK, PROTOCOL, REDUCE, STOP, Raw, assemble, call, encode, floats, global_of, storage, tensor, with_other_crc, write,
    write_bomb, write_large,
)

# Where an instruction to execute something leaves its mark: the case's folder is the working directory.
TOUCH = "touch executed.txt"
TOUCH_IN_PYTHON = "open('executed.txt', 'w').write('x')"


@dataclass(frozen=True)
class Sample:
    name: str
    write: Callable[[Path], None]
    """Writes the file."""
    twin: Callable[[Path], None] | None = None
    """Writes a file that says something else, however little."""
    suffix: str = ".pt"
    usable: bool = False
    """Whether it holds centroids that a build may take."""


def samples() -> list:
    return [*executing(), *consuming(), *tensors(), *archives(), *streams(), *escaping(), *twins()]


def of_pickle(name: str, code: bytes, **archive) -> Sample:
    return Sample(name, partial(write, pickle=code, **archive))


def of_value(name: str, value, **archive) -> Sample:
    return of_pickle(name, assemble(value), **archive)


def executing() -> list:
    """Globals that do something when they are called, in all the ways in which a pickle can call."""
    shell = {
        "os-system": ("os", "system"),
        "posix-system": ("posix", "system"),
        "nt-system": ("nt", "system"),
        "subprocess-getoutput": ("subprocess", "getoutput"),
        "commands": ("commands", "getoutput"),
        "pty-spawn": ("pty", "spawn"),
    }
    python = {"exec": "exec", "eval": "eval", "compile": "compile"}
    found = [of_value(f"calls-{name}", {"x": call(global_of(*function), TOUCH)}) for name, function in shell.items()]
    for module in ("builtins", "__builtin__"):
        found += [of_value(f"calls-{module}-{name}", {"x": call(global_of(module, function), TOUCH_IN_PYTHON)}) for name, function in python.items()]
    system, arguments = global_of("os", "system"), encode((TOUCH,))
    touch = encode(TOUCH)
    by_name = Raw(encode("os") + encode("system") + b"\x93")
    found += [
        of_value("calls-popen", {"x": call(global_of("subprocess", "Popen"), ["touch", "executed.txt"])}),
        of_value("calls-runpy", {"x": call(global_of("runpy", "run_path"), "executed.py")}, more=[("executed.py", TOUCH_IN_PYTHON)]),
        of_value("calls-getattr", {"x": call(call(global_of("builtins", "getattr"), call(global_of("builtins", "__import__"), "os"), "system"), TOUCH)}),
        of_value("calls-inside-a-tensor", {"x": call(global_of("torch._utils", "_rebuild_tensor_v2"), Raw(system + arguments + REDUCE), 0, (1,), (1,), False, None)}),
        of_value("calls-as-a-storage", {"x": Raw(encode(("storage", Raw(system + arguments + REDUCE), "0", "cpu", 1)) + b"Q")}),
        of_value("calls-torch-load", {"x": call(global_of("torch", "load"), "executed.txt")}),
        of_pickle("new-object", PROTOCOL + system + arguments + b"\x81" + STOP),
        of_pickle("new-object-with-keywords", b"\x80\x04" + system + arguments + EMPTY_DICT + b"\x92" + STOP),
        of_pickle("old-instance", PROTOCOL + MARK + touch + b"ios\nsystem\n" + STOP),
        of_pickle("old-object", PROTOCOL + MARK + system + touch + b"o" + STOP),
        of_pickle("global-from-the-stack", b"\x80\x04" + by_name + arguments + REDUCE + STOP),
        of_pickle("extension-code", PROTOCOL + b"\x82\x01" + arguments + REDUCE + STOP),
        of_pickle("state-that-is-set", PROTOCOL + encode(call(global_of("types", "SimpleNamespace"))) + encode({"__setstate__": system}) + b"b" + arguments + b"b" + STOP),
        Sample("a-plain-pickle", lambda path: path.write_bytes(assemble(call(system, TOUCH)))),
    ]
    return found


def doubled(container: bytes, times: int) -> bytes:
    """Two of the last of two of the last …: `2 ** times` of it, in a few bytes each."""
    code = PROTOCOL + container
    for number in range(times):
        code += b"q" + bytes([number]) + b"h" + bytes([number]) + b"\x86"
    return code + STOP


def consuming() -> list:
    """What would take time or memory out of proportion."""
    huge = 2**62
    one = encode(tensor((2,), elements=16))
    return [
        of_pickle("memo-bomb-of-tuples", doubled(EMPTY_LIST, 60)),
        of_pickle("memo-bomb-of-tensors", doubled(one, 40)),
        of_pickle("memo-bomb-of-text", doubled(encode("x" * 100), 40)),
        of_pickle("memo-bomb-of-dicts", dictionaries(40)),
        of_pickle("deep-lists", PROTOCOL + EMPTY_LIST * 200_000 + b"a" * 199_999 + STOP),
        of_pickle("deep-tuples", PROTOCOL + b")" + b"\x85" * 500_000 + STOP),
        of_pickle("deep-dicts", PROTOCOL + (EMPTY_DICT + encode("k")) * 100_000 + EMPTY_DICT + b"s" * 100_000 + STOP),
        of_pickle("deep-marks", PROTOCOL + MARK * 1_000_000 + STOP),
        of_pickle("deep-calls", PROTOCOL + global_of("collections", "OrderedDict") * 50_000 + b")" + (b"R\x85" * 50_000)[:-1] + STOP),
        of_pickle("a-list-in-itself", PROTOCOL + EMPTY_LIST + b"q\x00h\x00a" + STOP),
        of_pickle("a-dict-in-itself", PROTOCOL + EMPTY_DICT + b"q\x00" + encode("x") + b"h\x00s" + STOP),
        of_pickle("long-text-announced", PROTOCOL + b"\x8d" + struct.pack("<Q", huge) + b"x" + STOP),
        of_pickle("long-bytes-announced", PROTOCOL + b"\x8e" + struct.pack("<Q", huge) + b"x" + STOP),
        of_pickle("long-number-announced", PROTOCOL + b"\x8b" + struct.pack("<I", 2**31 - 1) + b"\x01" + STOP),
        of_pickle("long-frame-announced", b"\x80\x04\x95" + struct.pack("<Q", huge) + b"N" + STOP),
        of_pickle("far-memo", PROTOCOL + b"Nr" + struct.pack("<I", 2**32 - 1) + STOP),
        of_pickle("many-memos", b"\x80\x04" + b"N\x940" * 500_000 + b"N" + STOP),
        of_pickle("many-copies", PROTOCOL + MARK + b"N" + b"2" * 600_000 + b"l" + STOP),
        of_pickle("many-empty-dicts", PROTOCOL + MARK + EMPTY_DICT * 500_000 + b"l" + STOP),
        of_pickle("number-of-a-million-digits", PROTOCOL + b"L" + b"9" * 1_000_000 + b"L\n" + STOP),
        Sample("400000-tensors", partial(many_tensors, count=400_000)),
        Sample("100000-tensors", partial(many_tensors, count=100_000)),
        Sample("400000-tensors-of-safetensors", many_safetensors, suffix=".safetensors"),
        Sample("tensors-of-safetensors-that-overlap", overlapping_safetensors, suffix=".safetensors"),
        Sample("600000-references-to-one-tensor", references),
        Sample("100000-names-of-one-storage", shared_storages),
        Sample("a-pickle-that-unpacks-to-a-gigabyte", partial(write_bomb, size=1 << 30, where="data.pkl")),
        Sample("a-storage-that-unpacks-to-a-gigabyte", partial(write_bomb, size=1 << 30, where="data/0")),
    ]


def dictionaries(times: int) -> bytes:
    code = PROTOCOL + EMPTY_DICT
    for number in range(times):
        memo = bytes([number])
        code += b"q" + memo + b"0" + EMPTY_DICT + encode("a") + b"h" + memo + b"s" + encode("b") + b"h" + memo + b"s"
    return code + STOP


def many_tensors(path: Path, count: int) -> None:
    group = 4_000
    begin = PROTOCOL + MEMO + EMPTY_DICT

    def pieces():
        yield begin
        for first in range(0, count, group):
            entries = (encode(f"t{number}") + TENSOR_IN_MEMO for number in range(first, first + group))
            yield MARK + b"".join(entries) + b"u"
        yield STOP

    write_large(path, pieces(), {"0": floats(*range(16))})


# A tensor of one element in few bytes and values: what it is made of is taken from the memo.
TENSOR_IN_MEMO = b"h\x00" + MARK + b"h\x01" + b"K\x00" + b"h\x02" + b"h\x02" + b"\x89" + b"h\x03" + b"t" + REDUCE
MEMO = b"0".join(
    code + b"q" + bytes([number])
    for number, code in enumerate([
        global_of("torch._utils", "_rebuild_tensor_v2"), storage(elements=16), b"K\x01\x85", call(global_of("collections", "OrderedDict")),
    ])
) + b"0"


def many_safetensors(path: Path, count: int = 400_000) -> None:
    entries = (f'"t{number}":{{"dtype":"F32","shape":[1],"data_offsets":[{4 * number},{4 * number + 4}]}}' for number in range(count))
    write_safetensors(path, "{" + ",".join(entries) + "}", bytes(4 * count))


def overlapping_safetensors(path: Path) -> None:
    entries = (f'"t{number}":{{"dtype":"U8","shape":[1000000],"data_offsets":[0,1000000]}}' for number in range(1000))
    write_safetensors(path, "{" + ",".join(entries) + "}", bytes(1_000_000))


def write_safetensors(path: Path, header: str, data: bytes) -> None:
    path.write_bytes(struct.pack("<Q", len(header)) + header.encode() + data)


def references(path: Path) -> None:
    code = PROTOCOL + EMPTY_LIST + encode(tensor((2,))) + b"q\x000" + MARK + b"h\x00" * 600_000 + b"e" + STOP
    write(path, code)


def shared_storages(path: Path) -> None:
    def pieces():
        yield PROTOCOL + EMPTY_LIST + MARK
        for number in range(100_000):
            yield encode(tensor((1,), key=str(number), elements=1))
        yield b"e" + STOP

    write_large(path, pieces(), {"0": floats(1.0)})


def tensors() -> list:
    """Shapes, strides and storages that do not fit."""
    fits = {"0": floats(*range(16))}
    shapes = {
        "stride-0-of-a-terabyte": tensor((2**38,), (0,)),
        "stride-0-of-two-gigabytes": tensor((2**29,), (0,)),
        "stride-0-and-many-dimensions": tensor((2**20, 2**20, 2**20), (0, 0, 0)),
        "overlapping-rows": tensor((2**14, 2**14), (0, 0)),
        "overlapping-windows": tensor((15, 2), (1, 1)),
        "negative-stride": tensor((16,), (-1,), 15),
        "negative-size": tensor((-4,), (1,)),
        "negative-offset": tensor((4,), (1,), -4),
        "offset-behind-the-end": tensor((4,), (1,), 14),
        "offset-that-overflows": tensor((4,), (1,), 2**63 - 2),
        "sizes-that-overflow": tensor((2**32, 2**32), (2**32, 1)),
        "sizes-that-overflow-to-nothing": tensor((2**63, 2), (2, 1)),
        "bytes-that-overflow": tensor((2**62,), (1,), elements=2**62),
        "strides-that-overflow": tensor((2, 2), (2**63 - 1, 2**63 - 1)),
        "sizes-beyond-64-bits": tensor((2**70,), (1,)),
        "more-elements-than-the-file": tensor((2**20,), elements=2**20),
        "negative-storage": tensor(elements=-16),
        "a-thousand-dimensions": tensor((1,) * 1000, (1,) * 1000),
        "more-strides-than-sizes": tensor((4,), (4, 1)),
        "sizes-that-are-no-tuple": call(global_of("torch._utils", "_rebuild_tensor_v2"), storage(), 0, 16, 1, False, None),
        "sizes-that-are-text": tensor(("4",), (1,)),
        "sizes-that-are-not-whole": tensor((4.5,), (1,)),
        "no-such-storage": tensor(key="7"),
        "a-key-that-leaves": tensor(key="../../../../etc/passwd"),
        "an-absolute-key": tensor(key="/etc/passwd"),
        "an-empty-key": tensor(key=""),
        "a-key-with-a-zero": tensor(key="0\0"),
        "a-key-that-is-a-number": tensor(key=0),
        "a-dtype-that-is-not-there": tensor(kind="NoSuchStorage"),
        "a-quantised-dtype": tensor(kind="QInt8Storage"),
        "a-dtype-of-another-size": tensor((16,), kind="DoubleStorage"),
        "no-arguments": call(global_of("torch._utils", "_rebuild_tensor_v2")),
        "sparse": call(global_of("torch._utils", "_rebuild_sparse_tensor"), global_of("torch", "sparse_coo"), (tensor((1, 2**40), (0, 0)), tensor(), (2**40,))),
        "a-parameter-of-a-parameter": call(global_of("torch._utils", "_rebuild_parameter"), call(global_of("torch._utils", "_rebuild_parameter"), 1, True, None), True, None),
    }
    found = [of_value(name, {"x": value}, storages=fits) for name, value in shapes.items()]
    special = floats(math.nan, math.inf, -math.inf, *range(13))
    not_finite = of_value("not-finite", {"x": tensor()}, storages={"0": special})
    row = {"0": floats(*range(1, 33))}
    # A matrix of centroids that is one row, for a file of few bytes.
    centroids = {2**power: partial(write, pickle=assemble(tensor((2**power, 32), (0, 1), elements=32)), storages=row) for power in (18, 20, 21, 24)}
    return [*found, not_finite, *(Sample(f"stride-0-of-{count}-centroids", writer, usable=True) for count, writer in centroids.items())]


def archives() -> list:
    """Archives that lie."""
    good = assemble({"x": tensor((16,))})

    def patched(name: str, patch: Callable[[bytes], bytes]) -> Sample:
        def write_patched(path: Path) -> None:
            write(path, good, {"0": floats(*range(1, 17))})
            path.write_bytes(patch(path.read_bytes()))

        return Sample(name, write_patched)

    def checksum(entry: str) -> Callable[[Path], None]:
        def write_it(path: Path) -> None:
            write(path, good, {"0": floats(*range(1, 17))})
            with_other_crc(path, entry)

        return write_it

    def at_end(data: bytes, offset: int, content: bytes) -> bytes:
        end = data.rindex(b"PK\x05\x06") + offset
        return data[:end] + content + data[end + len(content) :]

    def in_directory(data: bytes, offset: int, content: bytes) -> bytes:
        entry = data.index(b"PK\x01\x02") + offset
        return data[:entry] + content + data[entry + len(content) :]

    twice = [("archive/data.pkl", assemble({"x": tensor((8,))})), ("archive/data/0", floats(*range(100, 116)))]
    leaving = [("/etc/passwd", b"x"), ("../../outside", b"x"), ("archive/../../outside", b"x")]
    return [
        Sample("another-checksum-of-the-pickle", checksum("archive/data.pkl")),
        Sample("another-checksum-of-a-storage", checksum("archive/data/0")),
        of_pickle("every-entry-twice", good, more=twice),
        of_pickle("names-that-leave", good, prefix="/archive", more=leaving),
        of_pickle("no-pickle", good, prefix="archive/deeper/still", more=[("other/data.pkl", good)]),
        of_pickle("names-of-60000-bytes", good, prefix="x" * 60_000),
        of_pickle("names-with-escapes", good, prefix="\x1b[31m\x1b]0;title\x07"),
        of_pickle("the-other-byte-order", good, more=[("archive/byteorder", b"big")]),
        of_pickle("an-unknown-byte-order", good, more=[("archive/byteorder", b"\x1b[31mmiddle" * 10_000)]),
        of_pickle("a-storage-cut-short", good, storages={"0": floats(1.0)}),
        of_pickle("deflated", good, storages={"0": floats(*range(1, 17))}, method=zipfile.ZIP_DEFLATED),
        of_pickle("bzip2", good, method=zipfile.ZIP_BZIP2),
        of_pickle("no-storages", good, storages={}),
        of_pickle("10000-entries", good, more=[(f"archive/data/{number}", b"") for number in range(1, 10_000)]),
        patched("more-entries-than-there-are", lambda data: at_end(data, 8, struct.pack("<HH", 60_000, 60_000))),
        patched("a-directory-behind-the-end", lambda data: at_end(data, 16, struct.pack("<I", 2**32 - 2))),
        patched("a-directory-of-four-gigabytes", lambda data: at_end(data, 12, struct.pack("<I", 2**32 - 2))),
        patched("an-entry-behind-the-end", lambda data: in_directory(data, 42, struct.pack("<I", 2**31))),
        patched("an-entry-of-four-gigabytes", lambda data: in_directory(data, 20, struct.pack("<II", 2**32 - 2, 2**32 - 2))),
        patched("an-encrypted-entry", lambda data: in_directory(data, 8, struct.pack("<H", 1))),
        patched("an-unknown-method", lambda data: in_directory(data, 10, struct.pack("<H", 77))),
        patched("entries-that-are-one", overlapping),
        patched("bytes-before-the-archive", lambda data: b"#!/bin/sh\n" + data),
        patched("a-comment-that-is-an-end", lambda data: at_end(data, 20, struct.pack("<H", 22)) + b"PK\x05\x06" + bytes(18)),
        patched("only-an-end", lambda data: data[data.rindex(b"PK\x05\x06") :]),
        Sample("no-bytes", lambda path: path.write_bytes(b"")),
        Sample("a-pointer-of-git-lfs", lambda path: path.write_text(f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 1\n")),
        Sample("a-gzip-file", lambda path: path.write_bytes(b"\x1f\x8b\x08" + bytes(7) + zlib.compress(good))),
        Sample("a-pipe", lambda path: os.mkfifo(path)),
        Sample("an-endless-device", lambda path: path.symlink_to("/dev/zero")),
    ]


def overlapping(data: bytes) -> bytes:
    """The second entry begins where the first does."""
    first = data.index(b"PK\x01\x02")
    second = data.index(b"PK\x01\x02", first + 1)
    return data[: second + 42] + data[first + 42 : first + 46] + data[second + 46 :]


def streams() -> list:
    """Pickles that are none."""
    good = assemble({"x": tensor((16,)), "y": [1, 2.5, "z", None, (True,)]})
    unknown = [of_pickle(f"unknown-instruction-{code:02x}", PROTOCOL + bytes([code]) + STOP) for code in (0x00, 0x7F, 0xA0, 0xFF)]
    cut = [of_pickle(f"cut-after-{length}", good[:length]) for length in range(1, len(good), len(good) // 9)]
    broken = {
        "no-end": PROTOCOL + b"N",
        "nothing-left": PROTOCOL + STOP,
        "an-empty-stack": PROTOCOL + b"0" + STOP,
        "no-mark": PROTOCOL + b"Nt" + STOP,
        "a-mark-for-a-value": PROTOCOL + MARK + STOP,
        "a-memo-that-is-not-there": PROTOCOL + b"h\x07" + STOP,
        "an-odd-dict": PROTOCOL + EMPTY_DICT + MARK + b"NNNu" + STOP,
        "items-of-a-number": PROTOCOL + encode(1) + MARK + b"NNu" + STOP,
        "state-of-a-number": PROTOCOL + encode(1) + EMPTY_DICT + b"b" + STOP,
        "text-that-is-no-text": PROTOCOL + b"X\x02\x00\x00\x00\xff\xfe" + STOP,
        "a-storage-in-a-line": PROTOCOL + b"Pstorage\n" + STOP,
        "protocol-99": b"\x80\x63N" + STOP,
        "a-number-in-a-line": PROTOCOL + b"I1_000\n" + STOP,
        "lines-without-end": PROTOCOL + b"c" + b"x" * 100_000,
        "an-out-of-band-buffer": b"\x80\x05\x97\x98" + STOP,
        "a-dict-whose-key-is-a-list": PROTOCOL + EMPTY_DICT + EMPTY_LIST + b"Ns" + STOP,
    }
    return [*unknown, *cut, *(of_pickle(name, code) for name, code in broken.items())]


def escaping() -> list:
    """What a terminal would obey, in all that a message may quote."""
    evil = "\x1b[31m\x1b]0;title\x07\x1b[2J\u009b31m"

    def long(value: Callable[[str], object]) -> Callable[[Path], None]:
        return lambda path: write(path, assemble({"x": value("x" * 40_000_000)}))

    return [
        of_value("escapes-in-a-global", {"x": call(global_of(evil, evil), 1)}),
        of_value("escapes-in-a-dtype", {"x": tensor(kind=evil)}),
        of_value("escapes-in-a-key", {"x": tensor(key=evil)}),
        of_value("escapes-in-a-name", {evil: tensor((16,))}),
        of_value("escapes-in-a-text", {"x": tensor((16,)), "y": evil}),
        Sample("a-name-of-40-megabytes", long(lambda text: {text: tensor((16,))})),
        Sample("a-global-of-40-megabytes", long(lambda text: call(global_of(text, "x"), 1))),
        of_value("a-half-of-a-pair", {"\ud800": tensor((16,))}),
    ]


def twins() -> list:
    """Pairs of files that differ in one thing that is no tensor's element, or in one bit of one."""
    x = tensor((16,))
    pairs = {
        "another-number": ({"epoch": 3, "x": x}, {"epoch": 4, "x": x}),
        "another-float": ({"lr": 1e-3, "x": x}, {"lr": 5e-4, "x": x}),
        "another-zero": ({"lr": 0.0, "x": x}, {"lr": -0.0, "x": x}),
        "another-text": ({"name": "a", "x": x}, {"name": "b", "x": x}),
        "another-truth": ({"flag": True, "x": x}, {"flag": False, "x": x}),
        "a-truth-and-a-number": ({"flag": True, "x": x}, {"flag": 1, "x": x}),
        "a-number-and-a-float": ({"n": 1, "x": x}, {"n": 1.0, "x": x}),
        "a-list-and-a-tuple": ({"n": [1, 2], "x": x}, {"n": (1, 2), "x": x}),
        "another-order": ({"n": [1, 2], "x": x}, {"n": [2, 1], "x": x}),
        "one-more": ({"n": [1, 2], "x": x}, {"n": [1, 2, 3], "x": x}),
        "nothing-and-none": ({"x": x}, {"n": None, "x": x}),
        "deep-inside": ({"a": [{"b": (1, {"c": 2})}], "x": x}, {"a": [{"b": (1, {"c": 3})}], "x": x}),
        "another-large-number": ({"n": 2**80, "x": x}, {"n": 2**80 + 1, "x": x}),
        "other-bytes": ({"n": b"ab", "x": x}, {"n": b"ac", "x": x}),
        "another-name": ({"x": x}, {"y": x}),
        "another-shape": ({"x": tensor((4, 4))}, {"x": x}),
        "another-dtype": ({"x": x}, {"x": tensor((16,), kind="IntStorage")}),
        "a-tensor-and-none": ({"x": x, "y": x}, {"x": x, "y": None}),
        "other-arguments-of-an-unknown": ({"x": x, "y": call(global_of("argparse", "Namespace"), 1)}, {"x": x, "y": call(global_of("argparse", "Namespace"), 2)}),
        "another-unknown": ({"x": x, "y": call(global_of("torch", "device"), "cpu")}, {"x": x, "y": call(global_of("torch", "device"), "cuda")}),
    }
    found = [Sample(f"twins-{name}", partial(write, pickle=assemble(a)), partial(write, pickle=assemble(b))) for name, (a, b) in pairs.items()]
    one, other = (struct.pack("<16I", *range(1, 16), last) for last in (0x7FC00000, 0x7FC00001))
    code = assemble({"x": x})
    bits = Sample("twins-another-nan", partial(write, pickle=code, storages={"0": one}), partial(write, pickle=code, storages={"0": other}))
    return [*found, bits]

"""Pickles and the archives of PyTorch, put together by hand, so that they can say what no program would write."""

from __future__ import annotations

import struct
import warnings
import zipfile
import zlib
from pathlib import Path

STOP, MARK, REDUCE, EMPTY_DICT, EMPTY_LIST, PERSID = b".", b"(", b"R", b"}", b"]", b"Q"
PROTOCOL = b"\x80\x02"


class Raw(bytes):
    """Instructions that stand for themselves."""


def assemble(value) -> bytes:
    """The pickle of a value, which is made of what `encode` knows."""
    return PROTOCOL + encode(value) + STOP


def encode(value) -> Raw:
    """The instructions that put a value onto the stack."""
    if isinstance(value, Raw):
        return value
    if value is None:
        return Raw(b"N")
    if isinstance(value, bool):
        return Raw(b"\x88" if value else b"\x89")
    if isinstance(value, int):
        if -(2**31) <= value < 2**31:
            return Raw(b"J" + struct.pack("<i", value))
        size = (value.bit_length() + 8) // 8
        return Raw(b"\x8a" + bytes([size]) + value.to_bytes(size, "little", signed=True))
    if isinstance(value, float):
        return Raw(b"G" + struct.pack(">d", value))
    if isinstance(value, str):
        text = value.encode("utf-8", "surrogatepass")
        return Raw(b"X" + struct.pack("<I", len(text)) + text)
    if isinstance(value, bytes):
        return Raw(b"B" + struct.pack("<I", len(value)) + value)
    if isinstance(value, tuple):
        return Raw(MARK + b"".join(map(encode, value)) + b"t")
    if isinstance(value, list):
        return Raw(EMPTY_LIST + MARK + b"".join(map(encode, value)) + b"e")
    if isinstance(value, dict):
        return Raw(EMPTY_DICT + MARK + b"".join(encode(part) for entry in value.items() for part in entry) + b"u")
    raise TypeError(f"no instructions for {type(value).__name__}")


def global_of(module: str, name: str) -> Raw:
    return Raw(b"c" + module.encode() + b"\n" + name.encode() + b"\n")


def call(function: Raw, *arguments) -> Raw:
    return Raw(function + encode(tuple(arguments)) + REDUCE)


def storage(key="0", kind="FloatStorage", elements: int = 16, device: str = "cpu") -> Raw:
    """A reference to a storage, as PyTorch writes it."""
    return Raw(encode(("storage", global_of("torch", kind), key, device, elements)) + PERSID)


def tensor(size=(16,), stride=None, offset=0, key="0", kind="FloatStorage", elements: int = 16) -> Raw:
    if stride is None:
        stride, step = (), 1
        for length in reversed(size):
            stride, step = (step, *stride), step * length
    hooks = call(global_of("collections", "OrderedDict"))
    return call(global_of("torch._utils", "_rebuild_tensor_v2"), storage(key, kind, elements), offset, tuple(size), tuple(stride), False, hooks)


def floats(*values) -> bytes:
    return struct.pack(f"<{len(values)}f", *values)


def entry(name: str) -> zipfile.ZipInfo:
    """An entry that was always written at the same time."""
    return zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))


def write(path: Path, pickle: bytes, storages: dict | None = None, prefix: str = "archive", method: int = zipfile.ZIP_STORED, more=()) -> None:
    """An archive of a pickle and its storages; `more` are further entries, which may have any name."""
    storages = {"0": floats(*range(16))} if storages is None else storages
    with zipfile.ZipFile(path, "w", method) as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        archive.writestr(entry(f"{prefix}/data.pkl"), pickle, method)
        archive.writestr(entry(f"{prefix}/version"), b"3\n", method)
        for key, content in storages.items():
            archive.writestr(entry(f"{prefix}/data/{key}"), content, method)
        for name, content in more:
            archive.writestr(entry(name), content, method)


def write_large(path: Path, pieces, storages: dict) -> None:
    """An archive whose pickle comes in pieces, so that nobody has to hold all of it."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        with archive.open(entry("archive/data.pkl"), "w") as file:
            for piece in pieces:
                file.write(piece)
        for key, content in storages.items():
            archive.writestr(entry(f"archive/data/{key}"), content)


def with_other_crc(path: Path, entry: str) -> None:
    """Makes the checksum of an entry a wrong one, in both of its headers."""
    data = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        info = archive.getinfo(entry)
    right, wrong = struct.pack("<I", info.CRC), struct.pack("<I", info.CRC ^ 0x5A5A5A5A)
    path.write_bytes(bytes(data).replace(right, wrong))


def deflated_zeros(size: int) -> tuple:
    """A raw deflate stream of that many zeros, and their checksum."""
    packer, checksum, piece = zlib.compressobj(9, zlib.DEFLATED, -15), 0, bytes(1 << 20)
    stream = bytearray()
    for _ in range(size >> 20):
        stream += packer.compress(piece)
        checksum = zlib.crc32(piece, checksum)
    return bytes(stream + packer.flush()), checksum


def write_bomb(path: Path, size: int, where: str) -> None:
    """An archive in which a small entry unpacks to `size` zeros: the pickle, or the storage."""
    stream, checksum = deflated_zeros(size)
    entries = [("archive/data.pkl", assemble({"x": tensor((size // 4,), elements=size // 4)})), ("archive/data/0", b"")]
    body, directory = bytearray(), bytearray()
    for name, content in entries:
        bomb = name.endswith(where)
        method, crc, packed, unpacked = (8, checksum, stream, size) if bomb else (0, zlib.crc32(content), content, len(content))
        common = struct.pack("<HHHHHIIIHH", 20, 0, method, 0, 33, crc, len(packed), unpacked, len(name), 0)
        directory += b"PK\x01\x02" + struct.pack("<H", 20) + common + struct.pack("<HHHII", 0, 0, 0, 0, len(body)) + name.encode()
        body += b"PK\x03\x04" + common + name.encode() + packed
    end = b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, len(entries), len(entries), len(directory), len(body), 0)
    path.write_bytes(bytes(body + directory + end))

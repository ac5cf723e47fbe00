"""Tensors as bits: dtypes, hashes, and the files of safetensors."""

import contextlib
import functools
import hashlib
import json
import os
import struct
import threading

from .errors import UserError, writing
from .libraries import torch

#: Name of each dtype, as runs have it and as safetensors has it.
DTYPES = {
    "bool": ("bool", "BOOL"),
    "uint8": ("u8", "U8"),
    "int8": ("i8", "I8"),
    "int16": ("i16", "I16"),
    "int32": ("i32", "I32"),
    "int64": ("i64", "I64"),
    "float16": ("f16", "F16"),
    "bfloat16": ("bf16", "BF16"),
    "float32": ("f32", "F32"),
    "float64": ("f64", "F64"),
}


def dtype_name(dtype):
    """``f32`` for ``torch.float32``, and so on."""
    return DTYPES[str(dtype).split(".")[-1]][0]


def dtype_named(name):
    """``torch.float32`` for ``f32`` or ``F32``."""
    for torch_name, names in DTYPES.items():
        if name in names:
            return getattr(torch, torch_name)
    raise UserError("unknown dtype %r: expected one of %s" % (name, ", ".join(n for n, _ in DTYPES.values())))


def bytes_of(tensor):
    """The elements of a tensor in row-major order, little-endian, without a copy where possible."""
    flat = tensor.detach().to("cpu").contiguous().reshape(-1)
    return memoryview(flat.view(torch.uint8).numpy())


@functools.lru_cache(maxsize=4096)
def hash_header(dtype, shape):
    """What the hash of a tensor covers before its elements."""
    return dtype.encode() + b"\0" + struct.pack("<%dQ" % (1 + len(shape)), len(shape), *shape)


def hash_text(digest):
    """A hash as runs have it."""
    return "sha256:" + digest.hex()


def tensor_digest(tensor):
    """The SHA-256 of dtype, shape and elements, 32 bytes."""
    digest = hashlib.sha256(hash_header(dtype_name(tensor.dtype), tuple(tensor.shape)))
    digest.update(bytes_of(tensor))
    return digest.digest()


#: What stands before the digits of a hash of rows. BLAKE2b is as fast on every processor, and SHA-256 five times
#: slower than with them on one without instructions for it; of what modules compute there are gigabytes.
ROWS_RULE = "blake2b-256:"


@functools.lru_cache(maxsize=4096)
def rows_hasher(dtype, rows, width):
    """A hasher to copy, of the rows of one passage at a module: dtype and shape are covered by person and salt."""
    return hashlib.blake2b(digest_size=32, salt=struct.pack("<QQ", rows, width), person=dtype.encode())


def rows_hash(tensor, like=ROWS_RULE):
    """The hash of a tensor ``(rows, width)`` by the rule of the hash ``like``: runs of before have SHA-256."""
    if not like.startswith(ROWS_RULE):
        return hash_text(tensor_digest(tensor))
    digest = rows_hasher(dtype_name(tensor.dtype), *tensor.shape).copy()
    digest.update(bytes_of(tensor))
    return ROWS_RULE + digest.hexdigest()


def write_safetensors(path, tensors):
    """Writes tensors by name to a safetensors file, which appears when it is whole.

    Larger elements stand first, so that every tensor is aligned; equal sizes are in order of names.
    """
    order = sorted(tensors, key=lambda name: (-tensors[name].element_size(), name))
    header, offset = {"__metadata__": {"format": "pt"}}, 0
    for name in order:
        tensor = tensors[name]
        end = offset + tensor.numel() * tensor.element_size()
        header[name] = {
            "dtype": DTYPES[str(tensor.dtype).split(".")[-1]][1],
            "shape": list(tensor.shape),
            "data_offsets": [offset, end],
        }
        offset = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    partial = "%s.%d-%d.partial" % (path, os.getpid(), threading.get_ident())
    try:
        with writing(path):
            with open(partial, "wb") as out:
                out.write(struct.pack("<Q", len(text)) + text)
                for name in order:
                    out.write(bytes_of(tensors[name]))
            os.replace(partial, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.remove(partial)
        raise


def read_safetensors(path):
    """The tensors of a safetensors file by name."""
    try:
        with open(path, "rb") as file:
            data = bytearray(file.read())
    except OSError as error:
        raise UserError("cannot read %s: %s" % (path, error.strerror))
    try:
        (length,) = struct.unpack_from("<Q", data)
        header = json.loads(bytes(data[8 : 8 + length]).decode())
        start, tensors = 8 + length, {}
        for name, info in header.items():
            if name == "__metadata__":
                continue
            dtype, (begin, end) = dtype_named(info["dtype"]), info["data_offsets"]
            if end == begin:
                tensors[name] = torch.empty(info["shape"], dtype=dtype)
            elif not 0 <= begin <= end <= len(data) - start:
                raise ValueError("tensor %r lies outside the file" % name)
            else:
                # A slice is a copy and so aligned for every dtype.
                part = torch.frombuffer(data[start + begin : start + end], dtype=dtype)
                tensors[name] = part.reshape(info["shape"])
        return tensors
    except (struct.error, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise UserError("%s is no safetensors file: %s" % (path, error))

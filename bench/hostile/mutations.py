"""Damage: to bytes, to JSON, and to what lies under a file's name. All of it is drawn from a `random.Random`."""

from __future__ import annotations

import json
import os
import random
from pathlib import Path

from .trial import remove


def damage(draw: random.Random, data: bytes, how: str) -> bytes:
    """`data` damaged in a way of `BYTES`, and never what it was."""
    for _ in range(100):
        damaged = BYTES[how](draw, bytearray(data))
        if bytes(damaged) != data:
            return bytes(damaged)
    return data + b"\0"


def flip_bit(draw, data):
    if data:
        at = draw.randrange(len(data))
        data[at] ^= 1 << draw.randrange(8)
    return data


def flip_bits(draw, data):
    for _ in range(draw.randint(2, 16)):
        data = flip_bit(draw, data)
    return data


def set_byte(draw, data):
    if data:
        data[draw.randrange(len(data))] = draw.choice([0, 1, 0x7F, 0x80, 0xFF, 0x1B, 0x22, 0x2D, 0x39])
    return data


def truncate(draw, data):
    return data[: draw.randrange(len(data))] if data else data


def extend(draw, data):
    more = draw.choice([1, 7, 64, 4096])
    return data + (bytes(more) if draw.random() < 0.5 else draw.randbytes(more))


def insert(draw, data):
    at = draw.randint(0, len(data))
    return data[:at] + draw.randbytes(draw.randint(1, 16)) + data[at:]


def delete(draw, data):
    at, count = (draw.randrange(len(data)), draw.randint(1, 32)) if data else (0, 0)
    return data[:at] + data[at + count :]


def block(draw, data):
    """A range of some bytes in `data`."""
    length = min(len(data), draw.choice([1, 2, 4, 8, 64, 512]))
    begin = draw.randint(0, len(data) - length)
    return begin, begin + length


def swap_blocks(draw, data):
    (a, a_end), (b, _) = block(draw, data), block(draw, data)
    length = min(a_end - a, len(data) - b)
    first, second = data[a : a + length], data[b : b + length]
    data[a : a + length] = second
    data[b : b + length] = first
    return data


def zero_block(draw, data):
    begin, end = block(draw, data)
    data[begin:end] = bytes(end - begin)
    return data


def repeat_block(draw, data):
    begin, end = block(draw, data)
    return data[:end] + data[begin:end] * draw.choice([1, 3, 100]) + data[end:]


def empty(_draw, _data):
    return b""


BYTES = {
    "flip-bit": flip_bit,
    "flip-bits": flip_bits,
    "set-byte": set_byte,
    "truncate": truncate,
    "extend": extend,
    "insert": insert,
    "delete": delete,
    "swap-blocks": swap_blocks,
    "zero-block": zero_block,
    "repeat-block": repeat_block,
    "empty": empty,
}

# Tokens that stand in the text as they are, whether or not JSON has them.
TOKENS = [
    *("0", "1", "-1", "2", "0.5", "-0.0", "1e308", "1e999", "-1e999", "NaN", "Infinity", "null", "true", "false"),
    *(str(number) for number in (2**31, 2**32, 2**53 + 1, 2**63 - 1, 2**63, 2**64, -(2**63), 10**40)),
    *('""', '"0"', '"nan"', '"\\u0000"', '"\\u001b[31m\\u001b]0;x\\u0007"', '"../../../etc/passwd"', '"/etc/passwd"', '"\\ud800"'),
    *("[]", "{}", "[[]]", '{"":{}}', "[1e999]"),
    '"' + "x" * 70_000 + '"',
    "[" * 100_000,
    "[" + "0," * 50_000 + "0]",
]
PLACEHOLDER = "a value to be replaced"


def damage_json(draw: random.Random, text: bytes, how: str) -> bytes:
    """A JSON text with one damaged value, in a way of `JSON`; never the bytes that it was."""
    value = json.loads(text)
    for _ in range(100):
        copy = json.loads(text)
        damaged = JSON[how](draw, copy, list(places(copy)))
        if damaged is not None:
            if damaged == value:
                continue
            written = json.dumps(damaged)
            result = written.replace(json.dumps(PLACEHOLDER), draw.choice(TOKENS)).encode()
            if result != text:
                return result
    return damage(draw, text, "flip-bit")


def places(value, path=()):
    """Every container with a key or place in it."""
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in entries:
        yield value, key
        yield from places(inner, (*path, key))


def replace_value(draw, value, found):
    if not found:
        return None
    container, key = draw.choice(found)
    container[key] = PLACEHOLDER
    return value


def replace_number(draw, value, found):
    numbers = [(c, k) for c, k in found if isinstance(c[k], (int, float)) and not isinstance(c[k], bool)]
    if not numbers:
        return None
    container, key = draw.choice(numbers)
    number = container[key]
    container[key] = draw.choice([number + 1, number - 1, -number, number * 2, number // 2, number * 256, number + 2**32, 2**63 - 1, 0])
    return value


def remove_key(draw, value, found):
    if not found:
        return None
    container, key = draw.choice(found)
    del container[key]
    return value


def rename_key(draw, value, found):
    named = [(c, k) for c, k in found if isinstance(c, dict)]
    if not named:
        return None
    container, key = draw.choice(named)
    container[draw.choice([key + "_", key[:-1], key.upper(), ""])] = container.pop(key)
    return value


def swap_values(draw, value, found):
    if len(found) < 2:
        return None
    (a, at), (b, where) = draw.sample(found, 2)
    try:
        a[at], b[where] = b[where], a[at]
        json.dumps(value)
    except (ValueError, RecursionError, KeyError, IndexError, TypeError):
        return None
    return value


def repeat_entry(draw, value, found):
    lists = [c for c, _ in found if isinstance(c, list)]
    if not lists:
        return None
    chosen = draw.choice(lists)
    chosen.insert(draw.randint(0, len(chosen)), draw.choice(chosen))
    return value


def change_text(draw, value, found):
    texts = [(c, k) for c, k in found if isinstance(c[k], str) and c[k]]
    if not texts:
        return None
    container, key = draw.choice(texts)
    text = container[key]
    at = draw.randrange(len(text))
    container[key] = draw.choice([text[:at] + draw.choice("0aZ/") + text[at + 1 :], text[:at], text + text, text.upper(), f"../{text}"])
    return value


JSON = {
    "json-value": replace_value,
    "json-number": replace_number,
    "json-remove": remove_key,
    "json-rename": rename_key,
    "json-swap": swap_values,
    "json-repeat": repeat_entry,
    "json-text": change_text,
}


def place(draw: random.Random, path: Path, how: str) -> None:
    """Puts something else under a file's name, in a way of `PLACES`."""
    others = sorted(other for other in path.parent.iterdir() if other != path and other.is_file())
    content = draw.choice(others).read_bytes() if others else b""
    whole = path.read_bytes()
    remove(path)
    if how == "fifo":
        os.mkfifo(path)
    elif how == "folder":
        path.mkdir()
    elif how == "other-file":
        path.write_bytes(content if content != whole else content + b"\n")
    elif how in LINKS:
        path.symlink_to(LINKS[how] or path.name)


LINKS = {"endless": "/dev/zero", "null": "/dev/null", "nowhere": "no-such-file", "itself": None, "folder-link": "."}
PLACES = ["removed", "fifo", "folder", "other-file", *LINKS]


def mutate(draw: random.Random, path: Path, how: str) -> None:
    """Damages the file at `path`, which is replaced and not written to: it may be a link."""
    if how in PLACES:
        place(draw, path, how)
        return
    data = path.read_bytes()
    if how in JSON and path.suffix == ".jsonl":
        damaged = damage_line(draw, data, how)
    else:
        damaged = damage_json(draw, data, how) if how in JSON else damage(draw, data, how)
    path.unlink()
    path.write_bytes(damaged)


def damage_line(draw: random.Random, data: bytes, how: str) -> bytes:
    """JSON lines, one of which is damaged."""
    lines = data.splitlines()
    at = draw.randrange(len(lines))
    lines[at] = damage_json(draw, lines[at], how)
    return b"\n".join(lines) + b"\n"

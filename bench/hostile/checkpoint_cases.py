"""Checkpoints: damaged, and an index built with each."""

from __future__ import annotations

import json
import re
import struct
from functools import partial
from pathlib import Path

from . import judgement
from .intact import MANIFEST, artifacts, contents, inputs
from .mutations import BYTES, JSON, PLACES, mutate
from .tokenizers import TOKENIZERS
from .trial import Case, Trial, draw_for, size_of

GROUP = "checkpoint"
TOKENIZER, VOCABULARY, WEIGHTS = "tokenizer.json", "vocab.txt", "model.safetensors"
JSON_FILES = ["config.json", "artifact.metadata", "tokenizer_config.json", "special_tokens_map.json", TOKENIZER]
NOT_FINITE = {"nan": 0x7FC00000, "another-nan": 0xFFFFFFFF, "infinity": 0x7F800000, "minus-infinity": 0xFF800000}
POINTER = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'1' * 64}\nsize 573664\n"


def cases(seed: int, count: int = 600) -> list:
    found = [Case(GROUP, f"tokenizer-{name}", partial(with_tokenizer, change=change)) for name, change in TOKENIZERS.items()]
    found += [Case(GROUP, f"pointer-{name}", partial(with_content, file=name, content=POINTER.encode())) for name in [*JSON_FILES, WEIGHTS]]
    found += [Case(GROUP, f"no-bytes-{name}", partial(with_content, file=name, content=b"")) for name in [*JSON_FILES, WEIGHTS]]
    found += [Case(GROUP, f"no-matter-{name}", partial(without_effect, change=change)) for name, change in WITHOUT_EFFECT.items()]
    found += [Case(GROUP, f"{name}-{number}", partial(not_finite, bits=bits)) for name, bits in NOT_FINITE.items() for number in range(15)]
    for number in range(count - len(found)):
        draw = draw_for(seed, f"{GROUP} {number}")
        file = draw.choice([*JSON_FILES, TOKENIZER, WEIGHTS, VOCABULARY])
        kinds = [BYTES, PLACES, *([JSON] * 6 if file in JSON_FILES else [BYTES])]
        how = draw.choice(list(draw.choice(kinds)))
        found.append(Case(GROUP, f"{number:03}-{how}-{file}", partial(damaged, file=file, how=how)))
    return found


def damaged(trial: Trial, file: str, how: str) -> None:
    checkpoint = trial.copy(trial.intact.checkpoint, "checkpoint")
    if file == VOCABULARY:
        (checkpoint / TOKENIZER).unlink()
    mutate(trial.draw, checkpoint / file, how)
    build(trial, checkpoint)


def with_tokenizer(trial: Trial, change) -> None:
    checkpoint = trial.copy(trial.intact.checkpoint, "checkpoint")
    tokenizer = json.loads((checkpoint / TOKENIZER).read_text())
    change(tokenizer)
    replace(checkpoint / TOKENIZER, json.dumps(tokenizer).encode())
    build(trial, checkpoint)


def with_content(trial: Trial, file: str, content: bytes) -> None:
    checkpoint = trial.copy(trial.intact.checkpoint, "checkpoint")
    replace(checkpoint / file, content)
    if build(trial, checkpoint) is not None:
        trial.problem(judgement.WRONG, f"an index without {file}")


def not_finite(trial: Trial, bits: int) -> None:
    """One weight that is no number: nothing that is computed with it means anything."""
    checkpoint = trial.copy(trial.intact.checkpoint, "checkpoint")
    data = bytearray((checkpoint / WEIGHTS).read_bytes())
    header = json.loads(data[8 : 8 + struct.unpack_from("<Q", data)[0]])
    name = trial.draw.choice(sorted(name for name in header if name != "__metadata__"))
    begin, end = header[name]["data_offsets"]
    at = 8 + struct.unpack_from("<Q", data)[0] + trial.draw.randrange(begin, end, 4)
    struct.pack_into("<I", data, at, bits)
    replace(checkpoint / WEIGHTS, bytes(data))
    if build(trial, checkpoint) is not None:
        trial.problem(judgement.WRONG, f"an index with a weight of {name} that is not finite")


def without_effect(trial: Trial, change) -> None:
    """A change that nothing is computed from: the artifacts are those of the intact checkpoint."""
    checkpoint = trial.copy(trial.intact.checkpoint, "checkpoint")
    change(checkpoint)
    built = build(trial, checkpoint)
    if built is None:
        trial.problem(judgement.WRONG, "refused for something without effect")
    elif artifacts(built) != artifacts(trial.intact.index):
        trial.problem(judgement.WRONG, "other artifacts for something without effect")


def build(trial: Trial, checkpoint: Path) -> Path | None:
    """The index that is built with a checkpoint, if one is. It says what it was made from, and can be searched."""
    intact = trial.intact
    out = trial.folder / "built"
    size = size_of(checkpoint)
    built = trial.run("index", *intact.building(intact.collection, out, checkpoint=checkpoint), size=size)
    if built.code != 0:
        if out.exists():
            trial.problem(judgement.LEFT, "an index though the build failed", built)
        return None
    if made_from(out) == made_from(intact.index) and contents(out) != contents(intact.index):
        trial.problem(judgement.WRONG, "another index of what is said to be the same", built)
    if trial.run("verify", out).code != 0:
        trial.problem(judgement.WRONG, "an index that is not what was written", built)
    found = trial.run("search", *intact.searching(out), size=size)
    if found.code == 0 and re.search(rb"\b(nan|inf)\b", found.out, re.IGNORECASE):
        trial.problem(judgement.WRONG, "scores that are not finite", found)
    return out


def made_from(index: Path) -> tuple:
    """What an index says that it was made from, and how."""
    return inputs(index), json.loads((index / MANIFEST).read_text())["options"]


def replace(path: Path, content: bytes) -> None:
    """Another content under a name that may be a link."""
    path.unlink()
    path.write_bytes(content)


def rewritten(file: str, **how):
    def change(checkpoint: Path) -> None:
        value = json.loads((checkpoint / file).read_text())
        replace(checkpoint / file, json.dumps(value, **how).encode())

    return change


def with_keys(file: str, **keys):
    def change(checkpoint: Path) -> None:
        value = json.loads((checkpoint / file).read_text())
        replace(checkpoint / file, json.dumps({**value, **keys}).encode())

    return change


WITHOUT_EFFECT = {
    **{f"spaces-{file}": rewritten(file, indent=7) for file in JSON_FILES},
    **{f"order-{file}": rewritten(file, sort_keys=True) for file in JSON_FILES if file != TOKENIZER},
    "notes-in-config.json": with_keys("config.json", transformers_version="9.9", torch_dtype="float32", _name_or_path="/elsewhere"),
    "notes-in-artifact.metadata": with_keys("artifact.metadata", root="/elsewhere", experiment="another", meta={"time": "now"}),
    "notes-in-tokenizer_config.json": with_keys("tokenizer_config.json", name_or_path="/elsewhere"),
    "another-file": lambda checkpoint: (checkpoint / "README.md").write_text("# About\n"),
    "another-folder": lambda checkpoint: (checkpoint / "onnx").mkdir(),
}

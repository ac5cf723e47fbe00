"""The engines that are compared: what each is, and how its process is started."""

from dataclasses import dataclass
from pathlib import Path

from . import environments
from .environments import ENGINES
from .process import NotThere

# What the program may offer; a precision that it refuses is listed as not there.
CONCORD_PRECISIONS = ["f32", "bf16", "f16", "int8"]

# The instruction whose peak an encoder of a precision is measured against. Products of `f16` are taken in
# `f32`, for which it is only a smaller form of storage.
INSTRUCTION = {"f32": "fma", "fp32": "fma", "f16": "fma", "bf16": "bf16", "int8": "vnni"}


@dataclass
class Engine:
    """An encoder in one precision."""

    name: str
    precision: str
    # The command of its process but for the number of threads; or why there is none.
    command: "list | NotThere"
    is_concord: bool = False


@dataclass
class Inputs:
    """What every engine is given."""

    concord: Path
    checkpoint: Path
    collection: Path
    tokens: Path
    torch_pythons: list
    setup: bool
    # Where files are written that nobody needs afterwards.
    scratch: Path


def referee(inputs: Inputs, program: Path) -> list:
    """The command of the encoder that the others' embeddings are compared with."""
    return [*concord_command(inputs, program), "--precision", "f64"]


def engines(inputs: Inputs, program: Path) -> list:
    """Every engine, whether it is there or not, in the order of the tables."""
    of_concord = [
        Engine(f"Concord {precision}", precision, concord(inputs, program, precision), is_concord=True)
        for precision in CONCORD_PRECISIONS
    ]
    return [*of_concord, *of_onnxruntime(inputs), *of_torch(inputs), of_candle(inputs)]


def concord(inputs: Inputs, program: Path, precision: str):
    """Concord in a precision, if the program builds an index in it: `program` measures the same encoder
    without the rest, but what counts is what users have."""
    out = inputs.scratch / f"index-{precision}"
    few = inputs.scratch / "few.tsv"
    lines = inputs.collection.read_text(encoding="utf-8").splitlines()[:64]
    few.write_text("\n".join(lines) + "\n", encoding="utf-8")
    command = [inputs.concord, "index", few, "--checkpoint", inputs.checkpoint, "--precision", precision, "--out", out]
    try:
        environments.run(command, inputs.concord.name)
    except NotThere as reason:
        return reason
    return [*concord_command(inputs, program), "--precision", precision]


def concord_command(inputs: Inputs, program: Path) -> list:
    return [program, "concord", "--checkpoint", inputs.checkpoint, "--tokens", inputs.tokens]


def of_onnxruntime(inputs: Inputs) -> list:
    script = ENGINES / "onnxruntime_rounds.py"
    graphs = inputs.scratch / "graphs"
    try:
        python = environments.onnxruntime()
        command = [python, script, "export", "--checkpoint", inputs.checkpoint, "--graphs", graphs]
        environments.run(command, "exporting the checkpoint")
        command = [python, script, "serve", "--graphs", graphs, "--tokens", inputs.tokens]
    except NotThere as reason:
        command = reason
    return [
        Engine(f"onnxruntime {precision}", precision, with_precision(command, precision))
        for precision in ("fp32", "int8")
    ]


def of_torch(inputs: Inputs) -> list:
    pythons = environments.torches(inputs.concord, inputs.torch_pythons, inputs.setup)
    found = []
    for version, python in pythons.items():
        command = python
        if not isinstance(python, NotThere):
            command = [python, ENGINES / "torch_rounds.py", "--checkpoint", inputs.checkpoint, "--tokens", inputs.tokens]
        for precision in ("fp32", "bf16"):
            found.append(Engine(f"PyTorch {version} {precision}", precision, with_precision(command, precision)))
    return found


def of_candle(inputs: Inputs) -> Engine:
    try:
        program = environments.candle()
        command = [program, "candle", "--checkpoint", inputs.checkpoint, "--tokens", inputs.tokens]
    except NotThere as reason:
        command = reason
    return Engine("candle f32", "f32", command)


def with_precision(command, precision: str):
    return command if isinstance(command, NotThere) else [*command, "--precision", precision]

"""Where the engines live: programs built here, and Python environments."""

import json
import os
import subprocess
import sys
from pathlib import Path

from .process import NotThere

ROOT = Path(__file__).resolve().parents[2]
ENGINES = ROOT / "bench" / "engines"
FOLDER = ROOT / "target" / "bench"

# What is compared unless the user says otherwise: the version that the live suite runs, and the newest.
TORCH_VERSIONS = ["2.5.0", "2.15.0"]


def peers() -> Path:
    """The program with Concord's encoder and the peaks, built as the product is."""
    return cargo_build("peers", "peers", [], {}) / "concord-peers"


def candle() -> Path:
    """The same program with candle's encoder, compiled for this very processor: its own documentation
    recommends that, and Concord does without."""
    native = {"RUSTFLAGS": "-C target-cpu=native"}
    return cargo_build("peers", "candle", ["--features", "candle"], native) / "concord-peers"


def next_plaid() -> Path:
    """next-plaid, compiled for this very processor, with the system's OpenBLAS."""
    native = {"RUSTFLAGS": "-C target-cpu=native"}
    return cargo_build("next-plaid", "next-plaid", [], native) / "concord-next-plaid"


def cargo_build(package: str, folder: str, options: list, environment: dict) -> Path:
    """Where the programs of a package of `bench` are, built in a folder of `FOLDER`."""
    target = FOLDER / folder
    manifest = ROOT / "bench" / package / "Cargo.toml"
    command = ["cargo", "build", "--release", "--manifest-path", manifest, "--target-dir", target, *options]
    run(command, f"building {folder}", environment)
    return target / "release"


def onnxruntime() -> Path:
    """The interpreter of the environment with onnxruntime, which is made if it is not there."""
    return made("onnxruntime")


def plaid() -> Path:
    """The interpreter of the environment with fast-plaid and xtr-warp, which is made if it is not there."""
    return made("plaid")


def made(name: str) -> Path:
    """The interpreter of the environment of that name, made of its requirements."""
    requirements = ENGINES / f"{name}-requirements.txt"
    folder = FOLDER / name
    python = folder / "bin" / "python"
    made_of = folder / "made-of.txt"
    if made_of.exists() and made_of.read_text() == requirements.read_text():
        return python
    print(f"making the environment of {name}", file=sys.stderr)
    run(["uv", "venv", "--quiet", "--clear", "--python", "3.11", folder], "making an environment")
    run(["uv", "pip", "install", "--quiet", "--python", python, "-r", requirements], f"installing {name}")
    # Last, so that an environment which was not finished is made again.
    made_of.write_text(requirements.read_text())
    return python


def torches(concord: Path, given: list, setup: bool) -> dict:
    """For each version of PyTorch its interpreter, or the reason why there is none.

    They are those that are `given`; without any, those of Concord's own environments (`concord env`), which
    are made when `setup` asks for it.
    """
    if given:
        return dict(version_of(python) for python in given)
    found = {}
    for version in TORCH_VERSIONS:
        if setup:
            run([concord, "env", "add", f"torch=={version}"], f"making the environment of PyTorch {version}")
        found[version] = own_environment(concord, version)
    return found


def version_of(python: Path) -> tuple:
    """The version of an interpreter's PyTorch and the interpreter, or why there is none."""
    program = "import torch, transformers, safetensors; print(torch.__version__.split('+')[0])"
    try:
        return run([python, "-c", program], "importing it").strip(), python
    except NotThere as reason:
        return str(python), reason


def own_environment(concord: Path, version: str):
    listed = json.loads(run([concord, "env", "list", "--json"], "listing environments"))
    name = f"torch-{version}-bert"
    if any(environment["name"] == name for environment in listed["environments"]):
        return Path(listed["folder"], name, "bin", "python")
    return NotThere("no environment: give its interpreter with --torch-python, or let --setup make one (some GB)")


def run(command: list, doing: str, environment: "dict | None" = None) -> str:
    """The output of a command that must succeed."""
    command = [str(part) for part in command]
    try:
        ended = subprocess.run(
            command, capture_output=True, text=True, check=False, env={**os.environ, **(environment or {})}
        )
    except OSError as error:
        raise NotThere(f"{doing}: {error}") from error
    if ended.returncode != 0:
        raise NotThere(f"{doing}: {reason(ended.stderr or ended.stdout) or f'ended with {ended.returncode}'}")
    return ended.stdout


def reason(said: str) -> str:
    """The line that says why a program failed: the first error where one is marked, as cargo and `concord`
    do, else the last line, as Python does."""
    lines = said.strip().splitlines()
    errors = [line for line in lines if line.startswith("error")]
    return (errors or lines[-1:] or [""])[0].removeprefix("error: ")

"""The indexes that are compared: how each is built, and how its search is started."""

import json
import os
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from . import environments
from .environments import ENGINES
from .process import NotThere

# What all have in common: bits per dimension of a residual, and iterations of k-means.
NBITS = 4
NITERS = 4


@dataclass
class Index:
    """An index of one engine, and a way of searching it."""

    name: str
    # From a folder to the command that builds it there, and to the one that searches it there but for the number of
    # threads; or why there is none.
    build: object
    search: object
    # The engine whose index is searched in another way here, instead of one that is built.
    same_as: "str | None" = None


@dataclass
class Built:
    """What building an index took."""

    # Of the whole process, and without reading the embeddings where the engine says so itself.
    wall: float
    seconds: float
    # The processor time of all threads, and the most memory, in bytes.
    processor: float
    memory: int
    # Bytes of the folder.
    size: int
    # As many as the index says it has.
    centroids: int


def run(command: list, folder: Path) -> Built:
    """Builds an index in a process of its own."""
    started = time.perf_counter()
    process = subprocess.Popen([str(part) for part in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    output, errors = process.stdout.read(), process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - started
    # `wait4` has taken the status, which `Popen` would look for.
    process.returncode = os.waitstatus_to_exitcode(status)
    process.stdout.close()
    process.stderr.close()
    if process.returncode != 0:
        last = errors.decode(errors="replace").strip().splitlines()[-1:]
        raise NotThere(f"ended with {process.returncode}: {''.join(last)}")
    lines = output.decode().strip().splitlines()
    said = json.loads(lines[-1]) if lines and lines[-1].startswith("{") else {}
    return Built(
        wall=wall,
        seconds=said.get("seconds", wall),
        processor=usage.ru_utime + usage.ru_stime,
        memory=usage.ru_maxrss * 1024,
        size=sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()),
        centroids=centroids(folder),
    )


def centroids(folder: Path) -> int:
    """How many centroids an index has, by its metadata, which all engines write alike."""
    return json.loads((folder / "metadata.json").read_text(encoding="utf-8"))["num_partitions"]


def engines(concord: Path, data: Path) -> list:
    """Every engine, whether it is there or not."""
    return [of_next_plaid(data), *of_concord(concord, data, environments.peers()), *of_python(data)]


# The ways in which Concord is asked: as it searches by itself, with options that find as many of the best as
# next-plaid does by default, and exactly.
CONCORD = {
    "Concord": [],
    "Concord, 4 cells, 1,536 passages": ["--ncells", 4, "--ndocs", 1536],
    "Concord, exact": ["--exact"],
}


def of_concord(concord: Path, data: Path, program: Path) -> list:
    passages = data / "passages"

    def build(out: Path) -> list:
        command = [concord, "index", "--embeddings", passages / "embeddings.npy"]
        command += ["--doclens", passages / "embeddings.doclens.npy", "--out", out]
        return [*command, "--nbits", NBITS, "--kmeans-niters", NITERS]

    def of(name: str, asked: list) -> Index:
        same_as = None if name == "Concord" else "Concord"
        command = [program, "search-concord", *asked, "--data", data, "--index"]
        return Index(name, build, lambda out: [*command, out], same_as)

    return [of(name, asked) for name, asked in CONCORD.items()]


def of_next_plaid(data: Path) -> Index:
    try:
        program = environments.next_plaid()
    except NotThere as reason:
        return Index("next-plaid", reason, reason)

    def build(out: Path) -> list:
        return [program, "build", "--data", data, "--nbits", NBITS, "--niters", NITERS, "--out", out]

    return Index("next-plaid", build, lambda out: [program, "search", "--data", data, "--index", out])


def of_python(data: Path) -> list:
    try:
        python = environments.plaid()
    except NotThere as reason:
        return [Index(name, reason, reason) for name in ("fast-plaid", "xtr-warp-rs")]
    script = ENGINES / "plaid_rounds.py"

    def of(name: str) -> Index:
        common = [python, script]
        return Index(
            name,
            lambda out: [*common, "build", "--engine", name, "--data", data, "--out", out, "--nbits", NBITS, "--niters", NITERS],
            lambda out: [*common, "serve", "--engine", name, "--data", data, "--index", out],
        )

    return [of("fast-plaid"), of("xtr-warp-rs")]

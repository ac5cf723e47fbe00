"""The intact inputs that cases damage, and what the program makes of them."""

from __future__ import annotations

import ctypes
import json
import os
import random
import shutil
import sys
import threading
from pathlib import Path

from .program import MB, Outcome, Program

CHECKPOINT = Path(__file__).resolve().parents[2] / "tests" / "golden" / "checkpoint"
LOG = "concord.log.json"
MANIFEST = "concord.json"
WORDS = (
    "rain snow wind river stone bridge harbour garden market winter summer morning evening village forest meadow "
    "mountain valley island kitchen window letter doctor teacher farmer bread water silver copper little heavy "
    "bright silent early slowly under over near without between before after carries holds keeps finds loses opens"
).split()
# Threads are no part of any answer, and cases run side by side.
ONE_THREAD = ["--threads", "1"]
SEARCH = ["--k", "5", "--format", "tsv", *ONE_THREAD]


class Intact:
    """What every case starts from. It lies in one folder, and nobody writes to it."""

    def __init__(self, program: Program, folder: Path):
        self.program = program
        self.folder = folder
        folder.mkdir(parents=True)
        self.peaks = {}
        self.swapped = {}
        self.lock = threading.RLock()
        self.collection, self.other_collection = folder / "collection.tsv", folder / "other.tsv"
        self.large_collection, self.queries = folder / "large.tsv", folder / "queries.tsv"
        self.checkpoint = folder / "checkpoint"
        self.index, self.other_index = folder / "index", folder / "other-index"
        self.run, self.other_run = folder / "run", folder / "other-run"
        write_collection(self.collection, 24, seed=1)
        write_collection(self.other_collection, 24, seed=2)
        write_collection(self.large_collection, 1300, seed=3)
        write_collection(self.queries, 4, seed=4)
        shutil.copytree(CHECKPOINT, self.checkpoint)
        self.build(self.collection, self.index)
        self.build(self.other_collection, self.other_index)
        self.record("native", self.run)
        self.record("native,gemm=split-k:4", self.other_run)
        self.results, self.other_results = (self.must("search", *self.searching(index)).out for index in (self.index, self.other_index))
        # Runs of the same on intact input say what each command takes of memory.
        self.must("verify", self.index)
        self.must("verify", self.index, "--rebuild", self.collection, *ONE_THREAD)
        self.must("diff", self.index, self.other_index, codes=(1,))
        self.difference = self.must("diff", self.other_run, self.run.name, codes=(1,)).out
        self.must("explain", self.run, self.other_run, codes=(1,))
        self.must("reveal", "native", "--op", "gelu", codes=(0, 1))

    def building(self, collection: Path, out: Path, *options, checkpoint: Path | None = None) -> list:
        """The arguments of a build behind `index`."""
        return [collection, "--checkpoint", checkpoint or self.checkpoint, "--out", out, *ONE_THREAD, *options]

    def searching(self, index: Path, *options) -> list:
        """The arguments of a search behind `search`."""
        return [index, "--queries", self.queries, *SEARCH, *options]

    def build(self, collection: Path, out: Path, *options) -> None:
        self.must("index", *self.building(collection, out, *options))

    def record(self, subject: str, out: Path) -> None:
        self.must("record", subject, "--collection", self.collection, "--checkpoint", self.checkpoint, "--out", out, *ONE_THREAD)

    def must(self, *arguments, codes: tuple = (0,)) -> Outcome:
        """Runs the program on intact input, which has to work."""
        with self.lock:
            outcome = self.program.run(list(arguments), self.folder, self.folder / "streams", memory=10**12, seconds=600)
        if outcome.code not in codes:
            sys.exit(f"{' '.join(outcome.arguments)}\nended with {outcome.ended_by} on intact input:\n{outcome.err.decode(errors='replace')}")
        command = str(arguments[0])
        self.peaks[command] = max(self.peaks.get(command, 0), outcome.peak)
        return outcome

    def footprint(self, command: str = "") -> int:
        """The peak in bytes of a command on intact input; of one that was not measured, the largest of those that were."""
        return self.peaks.get(command, max(self.peaks.values(), default=0))

    def footprints(self) -> str:
        return ", ".join(f"{command} {peak / MB:.0f} MB" for command, peak in sorted(self.peaks.items()))

    def index_with(self, artifact: str, source: str) -> dict:
        """The files of the index that is built with an artifact of the intact index or run."""
        with self.lock:
            if (artifact, source) not in self.swapped:
                out = self.folder / f"swapped-{artifact}-{source}"
                self.build(self.collection, out, "--swap", f"{artifact}={self.folder / source}")
                self.swapped[artifact, source] = contents(out)
            return self.swapped[artifact, source]


def contents(index: Path) -> dict:
    """The bytes of every file that is part of an index."""
    return {path.name: path.read_bytes() for path in sorted(index.iterdir()) if path.name != LOG}


def artifacts(index: Path) -> dict:
    """The hash of every artifact that an index's manifest has."""
    return {artifact["name"]: artifact["hash"] for artifact in json.loads((index / MANIFEST).read_text())["artifacts"]}


def inputs(index: Path) -> dict:
    """The hash of each input that an index's manifest has."""
    return json.loads((index / MANIFEST).read_text())["inputs"]


def write_collection(path: Path, lines: int, seed: int) -> None:
    """Made-up sentences after their numbers, as collections and queries have them."""
    draw = random.Random(seed)
    with open(path, "w") as file:
        for number in range(lines):
            words = (draw.choice(WORDS) for _ in range(draw.randint(4, 12)))
            file.write(f"{number}\t{' '.join(words)}\n")


def exchange(a: Path, b: Path) -> bool:
    """Exchanges two folders at once, where the system can."""
    at_working_directory, both = -100, 2
    try:
        rename = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError):
        return False
    return rename(at_working_directory, os.fsencode(a), at_working_directory, os.fsencode(b), both) == 0

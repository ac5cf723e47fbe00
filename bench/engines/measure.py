"""Rounds: every process in turn, one at a time, again and again."""

import os
import statistics
import sys
import time
from pathlib import Path

from . import agreement
from .engine import CONCORD_PRECISIONS, Engine
from .load import QUIET, Watch
from .process import NotThere, Process

# Threads of some libraries go on spinning for a while after their work; then they sleep.
PAUSE = 0.3

# As `concord-peers` calls them.
PEAKS = ["fma", "bf16", "vnni"]


class Series:
    """The measurements of one kind from one process, a number per round."""

    def __init__(self, process: Process, request: str):
        self.process = process
        self.request = request
        self.values = []
        # The share of the machine that others took meanwhile, a number per round.
        self.others = []
        self.reason = None

    def measure(self) -> None:
        """One more round, unless it could not be done before."""
        if self.reason:
            return
        time.sleep(PAUSE)
        watch = Watch(self.process.pid)
        try:
            self.values.append(self.process.ask(self.request))
        except NotThere as reason:
            self.reason = str(reason)
        self.others.append(watch.others())

    def quiet(self) -> list:
        """The measurements during which nobody else worked."""
        return [value for value, others in zip(self.values, self.others) if others <= QUIET]

    def result(self, rounds: int) -> dict:
        """The median of the quiet rounds where there are enough of them, else of all; or why there is none."""
        if self.reason:
            return {"not there": self.reason}
        quiet = self.quiet()
        enough = len(quiet) >= rounds
        return {
            "median": statistics.median(quiet if enough else self.values),
            "quiet": enough,
            "rounds": self.values,
            "others": self.others,
        }


class Measurement:
    """Everything that is measured with one number of threads."""

    def __init__(self, threads: int, scratch: Path):
        self.threads = threads
        self.scratch = scratch
        self.processes = []
        # By kind and name, in the order of a round; and why others are not there.
        self.series = {}
        self.missing = {}
        # By the engine's name: what its process calls itself, and how its embeddings compare.
        self.versions = {}
        self.agreement = {}

    def __enter__(self):
        return self

    def __exit__(self, *_) -> None:
        for process in self.processes:
            process.close()

    def start(self, name: str, command: list) -> Process:
        """Starts a process with that many threads."""
        # candle goes by the variable; the others are told, and their own defaults stay as they are.
        environment = {**os.environ, "RAYON_NUM_THREADS": str(self.threads)}
        log = self.scratch / f"{name}-{self.threads}.log".replace(" ", "-")
        process = Process([*command, "--threads", self.threads], log, environment)
        self.processes.append(process)
        return process

    def add_peaks(self, program: Path) -> None:
        """What the cores can do at most."""
        process = self.start("peaks", [program, "peaks"])
        for peak in PEAKS:
            self.series["peaks", peak] = Series(process, peak)

    def add_linear(self, program: Path) -> None:
        """The linear layer alone, in each precision that the kernels have."""
        for precision in CONCORD_PRECISIONS:
            try:
                process = self.start(f"linear {precision}", [program, "linear", "--precision", precision])
            except NotThere as reason:
                self.missing["linear", precision] = str(reason)
            else:
                self.series["linear", precision] = Series(process, "linear")

    def add_engine(self, engine: Engine, reference: tuple) -> None:
        """An encoder. It encodes everything once, which warms it up, and what it gave is compared."""
        try:
            if isinstance(engine.command, NotThere):
                raise engine.command
            process = self.start(engine.name, engine.command)
            compared = agreement.compare(*embeddings(process, self.scratch), *reference)
        except NotThere as reason:
            self.missing["encode", engine.name] = self.missing["query", engine.name] = str(reason)
            return
        self.versions[engine.name] = process.name
        self.agreement[engine.name] = compared
        self.series["encode", engine.name] = Series(process, "encode")
        self.series["query", engine.name] = Series(process, "query")

    def run(self, rounds: int) -> None:
        """Measures everything in that many rounds. Each begins one place later than the one before, so that
        nothing always comes behind the same other. What was disturbed meanwhile is measured again, in at most
        as many rounds more."""
        order = list(self.series.values())
        for round in range(2 * rounds):
            lacking = [series for series in order if round < rounds or len(series.quiet()) < rounds]
            if not lacking:
                break
            which = f"round {round + 1} of {rounds}"
            if round >= rounds:
                which = f"again, for {len(lacking)} that were disturbed"
            print(f"--threads {self.threads}: {which}", file=sys.stderr, flush=True)
            for place in range(len(lacking)):
                lacking[(place + round) % len(lacking)].measure()

    def result(self, rounds: int) -> dict:
        """As it goes into the JSON."""
        result = {"peaks": {}, "linear": {}, "encode": {}, "query": {}}
        for (kind, name), series in self.series.items():
            result[kind][name] = series.result(rounds)
        for (kind, name), reason in self.missing.items():
            result[kind][name] = {"not there": reason}
        return {**result, "versions": self.versions, "agreement": self.agreement}


def embeddings(process: Process, scratch: Path) -> tuple:
    """The embeddings that a process computes, and how many numbers each has."""
    file = scratch / "embeddings"
    dim = process.ask("embeddings", file)["dim"]
    return agreement.read(file), dim

"""One case while it runs: its folder, its draws, what it starts and what it finds."""

from __future__ import annotations

import os
import random
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Callable

from . import judgement
from .program import SECONDS, Outcome, Program

CANARY = "executed.txt"


@dataclass(frozen=True)
class Case:
    """A case by its name, which with the seed decides all of it."""

    group: str
    name: str
    try_it: Callable

    @property
    def full_name(self) -> str:
        return f"{self.group}/{self.name}"


class Trial:
    """What a case works with."""

    def __init__(self, case: Case, seed: int, folder: Path, program: Program, intact):
        self.case = case
        self.draw = draw_for(seed, case.full_name)
        self.folder = folder
        self.program = program
        self.intact = intact
        self.problems = []
        self.runs = 0
        self.waiting = Path(f"{folder}.streams")
        folder.mkdir(parents=True)
        self.waiting.mkdir()

    @property
    def canary(self) -> Path:
        """A file that is there only if something of a damaged input was executed."""
        return self.folder / CANARY

    def problem(self, column: str, what: str, outcome: Outcome | None = None) -> None:
        self.problems.append((column, f"{outcome.arguments[0]}: {what}" if outcome and outcome.arguments else what))

    def run(self, *arguments, size: int = 0, kill: tuple | None = None, seconds: float = SECONDS) -> Outcome:
        """Runs the program in the case's folder on inputs of `size` bytes, and judges what holds for every run."""
        self.runs += 1
        limit = judgement.memory_limit(self.intact.footprint(*arguments[:1]), size)
        streams = self.waiting / f"{self.runs:02}"
        outcome = self.program.run(list(arguments), self.folder, streams, limit, kill, seconds)
        for column, what in judgement.problems(outcome, limit, kill[1] if kill else None):
            self.problem(column, what, outcome)
        if self.canary.exists():
            self.problem(judgement.EXECUTED, "the canary is there", outcome)
            self.canary.unlink()
        # Nothing tidies up behind a run that was stopped by force.
        if not outcome.hung and not outcome.signal:
            self.nothing_temporary(outcome)
        return outcome

    def nothing_temporary(self, outcome: Outcome) -> None:
        left = sorted(path.name for path in (self.folder / "tmp").iterdir())
        if left:
            self.problem(judgement.LEFT, f"left behind: {', '.join(left[:3])}", outcome)
        self.tidy()

    def tidy(self) -> None:
        """Removes temporary files, so that the next run is not blamed for them."""
        for path in (self.folder / "tmp").iterdir():
            remove(path)

    def copy(self, source: Path, name: str) -> Path:
        """A copy of a folder of the intact inputs, whose files are links to them: they are replaced, never altered."""
        target = self.folder / name
        shutil.copytree(source, target, copy_function=os.link)
        return target


def draw_for(seed: int, name: str) -> random.Random:
    """Draws that depend on the seed and a name alone."""
    return random.Random(f"{seed} {name}")


def size_of(path: Path) -> int:
    """Bytes of the regular files at or below `path`."""
    if path.is_symlink():
        return 0
    if path.is_dir():
        return sum(size_of(entry) for entry in path.iterdir())
    return path.stat().st_size if path.is_file() else 0


def remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)

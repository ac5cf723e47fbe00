"""The store of an interrupted build: damaged, and the build taken up again."""

from __future__ import annotations

import shutil
import signal
import sys
from functools import partial
from pathlib import Path

from . import judgement
from .index_cases import judge_output
from .intact import Intact, contents
from .mutations import BYTES, JSON, mutate
from .trial import Case, Trial

GROUP = "store"
NOTES = "store/memory"
# Builds are killed at moments of their own, since what lies in the store is what matters.
KILLS = 12
# Nobody but the program puts files there, and a disk makes no pipes of them.
FILES = [*BYTES, *BYTES, "removed", "folder", "other-file"]
WAYS = {".json": [*FILES, *JSON, *JSON, *JSON], ".safetensors": FILES}


def cases(_seed: int, count: int = 200) -> list:
    return [Case(GROUP, f"{number:03}-{'note' if number % 2 else 'value'}", partial(try_one, number=number)) for number in range(count)]


def try_one(trial: Trial, number: int) -> None:
    intact = trial.intact
    left, expected = interrupted(intact)
    out = trial.folder / "index"
    building = trial.folder / ".index.building"
    shutil.copytree(trial.draw.choice(left), building)
    pattern = f"{NOTES}/*.json" if number % 2 else "store/blobs/*/*"
    for path in trial.draw.sample(found := sorted(building.glob(pattern)), min(len(found), trial.draw.choice([1, 1, 2, 4]))):
        mutate(trial.draw, path, trial.draw.choice(WAYS[path.suffix]))
    size = sum(path.stat().st_size for path in building.rglob("*") if path.is_file() and not path.is_symlink())
    resumed = trial.run("index", *intact.building(intact.large_collection, out), size=size)
    judge_output(trial, resumed, out, expected, "a damaged store")
    if resumed.code == 0 and building.exists():
        trial.problem(judgement.LEFT, "the folder of the build", resumed)


def interrupted(intact: Intact) -> tuple:
    """The folders of builds that were killed, with something finished in them, and the files of the finished index."""
    with intact.lock:
        if not hasattr(intact, "killed"):
            intact.killed = kill_some(intact)
        return intact.killed


def kill_some(intact: Intact) -> tuple:
    whole = intact.folder / "large-index"
    seconds = intact.must("index", *intact.building(intact.large_collection, whole)).seconds
    left = []
    for number in range(KILLS):
        out = intact.folder / f"killed-{number}"
        moment = seconds * (0.2 + 0.75 * number / KILLS)
        arguments = ["index", *intact.building(intact.large_collection, out)]
        intact.program.run(arguments, intact.folder, intact.folder / "streams", 10**12, kill=(moment, signal.SIGKILL))
        building = intact.folder / f".{out.name}.building"
        if any(building.glob(f"{NOTES}/*.json")):
            left.append(building)
    if not left:
        sys.exit("no build that was killed had finished anything")
    return left, contents(whole)

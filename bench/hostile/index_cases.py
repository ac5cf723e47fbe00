"""Index files: damaged, and then verified, searched, compared and built on."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from . import judgement
from .intact import LOG, MANIFEST, ONE_THREAD, contents
from .mutations import BYTES, JSON, PLACES, mutate
from .trial import Case, Trial, draw_for, size_of

GROUP = "index"
FILES = [
    *(MANIFEST, "metadata.json", "doclens.0.json", "0.metadata.json", "plan.json"),
    *("centroids.pt", "0.codes.pt", "0.residuals.pt", "ivf.pid.pt", "buckets.pt", "avg_residual.pt"),
]
KEPT = ["centroids", "codes", "residuals", "bucket_weights"]


def cases(seed: int, count: int = 2000) -> list:
    found = []
    for number in range(count):
        draw = draw_for(seed, f"{GROUP} {number}")
        file = LOG if draw.random() < 0.02 else draw.choice([*FILES, MANIFEST, MANIFEST, "doclens.0.json"])
        kinds = [BYTES, BYTES, PLACES, *([JSON] * 4 if file.endswith(".json") else [])]
        how = draw.choice(list(draw.choice(kinds)))
        found.append(Case(GROUP, f"{number:04}-{how}-{file}", partial(try_one, how=how, file=file, number=number)))
    return found


def try_one(trial: Trial, how: str, file: str, number: int) -> None:
    intact = trial.intact
    index = trial.copy(intact.index, "index")
    mutate(trial.draw, index / file, how)
    size = size_of(index)
    part = file != LOG

    verified = trial.run("verify", index, size=size)
    if verified.code == 0 and part:
        trial.problem(judgement.WRONG, f"{file} is another one, and verify finds nothing", verified)

    results = trial.run("search", *intact.searching(index), size=size)
    if results.code == 0 and results.out != intact.results:
        trial.problem(judgement.WRONG, f"other results with another {file}", results)

    pair = (intact.index, index) if number % 2 else (index, intact.index)
    compared = trial.run("diff", *pair, size=size)
    if compared.code == 0 and part:
        trial.problem(judgement.FALSE_SAME, f"{file} is another one", compared)

    if number % 10 == 0:
        build_on(trial, index, KEPT[number // 10 % len(KEPT)], size)
    if number % 10 == 5:
        # Texts and marks take another way through the passages.
        trial.run("search", index, "rain on the river", "--matches", *ONE_THREAD, size=size)


def build_on(trial: Trial, index: Path, artifact: str, size: int) -> None:
    """Takes an artifact of a damaged index: it is refused, or is the one that was there."""
    intact = trial.intact
    out = trial.folder / "built-on"
    built = trial.run("index", *intact.building(intact.collection, out, "--swap", f"{artifact}={index}"), size=size)
    judge_output(trial, built, out, intact.index_with(artifact, "index"), f"{artifact} of a damaged index")


def judge_output(trial: Trial, outcome, out: Path, expected: dict, what: str) -> None:
    """An index is the expected one, or it is not there and the program says why."""
    if outcome.code == 0 and contents(out) != expected:
        trial.problem(judgement.WRONG, f"another index with {what}", outcome)
    if outcome.code not in (0, None) and out.exists():
        trial.problem(judgement.LEFT, f"{out.name} is there though the build failed", outcome)

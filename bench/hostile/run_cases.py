"""Recorded runs: damaged, and then compared, explained and built on."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

from . import judgement
from .index_cases import judge_output
from .mutations import BYTES, JSON, PLACES, mutate
from .trial import Case, Trial, draw_for, size_of

GROUP = "run"
EVENTS, MANIFEST, BLOB = "events.jsonl", "manifest.json", "blob"
SWAPPED = ["embs", "centroids", "residuals"]
# What a row says where values could not be compared.
WITHOUT_VALUES = ("damaged", "not kept", "cannot", "altered", "by hash", "unreadable")


def cases(seed: int, count: int = 1500) -> list:
    found = []
    for number in range(count):
        draw = draw_for(seed, f"{GROUP} {number}")
        file = draw.choice([EVENTS, EVENTS, MANIFEST, BLOB, BLOB])
        kinds = [BYTES, BYTES, PLACES, *([JSON] * 4 if file != BLOB else [BYTES])]
        how = draw.choice(list(draw.choice(kinds)))
        found.append(Case(GROUP, f"{number:04}-{how}-{file}", partial(try_one, how=how, file=file, number=number)))
    return found


def try_one(trial: Trial, how: str, file: str, number: int) -> None:
    intact = trial.intact
    run = trial.copy(intact.run, "run")
    swapped = SWAPPED[number % len(SWAPPED)]
    path = run / file if file != BLOB else chosen_blob(trial, run, swapped)
    mutate(trial.draw, path, how)
    size = size_of(run)
    same = recorded(run) == recorded(intact.run)

    compared = trial.run("diff", *((intact.run, run) if number % 2 else (run, intact.run)), size=size)
    if compared.code == 0 and not same:
        trial.problem(judgement.FALSE_SAME, f"{file} says something else", compared)
    if file == BLOB:
        judge_values(trial, run, size)
    elif number % 4 == 0:
        explained = trial.run("explain", intact.run, run, size=size)
        if explained.code == 0 and not same:
            trial.problem(judgement.FALSE_SAME, f"{file} says something else", explained)
    if file == BLOB or number % 4 == 1:
        out = trial.folder / "built-on"
        built = trial.run("index", *intact.building(intact.collection, out, "--swap", f"{swapped}={run}"), size=size)
        judge_output(trial, built, out, intact.index_with(swapped, "run"), f"{swapped} of a damaged run")


def chosen_blob(trial: Trial, run: Path, artifact: str) -> Path:
    """A blob of the run: half of the time the one that the build takes."""
    blobs = sorted(run.glob("blobs/*/*"))
    events = (json.loads(line) for line in (run / EVENTS).read_text().splitlines())
    fields = [field["hash"] for event in events if event.get("artifact") == artifact for field in event["fields"]]
    hashes = {hash.split(":")[-1] for hash in fields}
    wanted = [blob for blob in blobs if blob.stem in hashes]
    return trial.draw.choice(wanted if wanted and trial.draw.random() < 0.5 else blobs)


def recorded(run: Path):
    """What a run says of its artifacts, by which it is compared; `None` where it says nothing that can be read."""
    facts = []
    # What is no file, such as a device without end, is not read here either.
    if not all((run / name).is_file() for name in (MANIFEST, EVENTS)):
        return None
    try:
        if not isinstance(json.loads((run / MANIFEST).read_text()), dict):
            return None
        for line in (run / EVENTS).read_text().splitlines():
            event = json.loads(line)
            if "artifact" in event:
                fields = [[field.get("name"), field["dtype"], field["shape"], field["hash"]] for field in event["fields"]]
                facts.append([event["artifact"], event["chunk"], event["hash"], fields])
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    return sorted(facts, key=json.dumps)


def judge_values(trial: Trial, run: Path, size: int) -> None:
    """What is said of values that are compared is what intact values say, or that they could not be compared."""
    intact = trial.intact
    compared = trial.run("diff", intact.other_run, "run", size=size)
    if compared.code == 0:
        trial.problem(judgement.FALSE_SAME, "two runs that differ", compared)
    if compared.code != 1:
        return
    rows, wanted = (text.decode(errors="replace").splitlines() for text in (compared.out, intact.difference))
    for row in rows:
        squeezed = " ".join(row.split())
        if squeezed not in {" ".join(line.split()) for line in wanted} and not any(word in row for word in WITHOUT_VALUES):
            trial.problem(judgement.WRONG, f"figures of damaged values: {squeezed[:120]}", compared)
            return

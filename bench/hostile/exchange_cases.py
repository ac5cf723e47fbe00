"""Two indexes that are exchanged by renaming while one of them is searched."""

from __future__ import annotations

import threading
from functools import partial

from . import judgement
from .intact import exchange
from .trial import Case, Trial

GROUP = "exchange"


def cases(_seed: int, count: int = 200) -> list:
    return [Case(GROUP, f"{number:04}-{kind_of(number)}", partial(try_one, kind=kind_of(number))) for number in range(count)]


def kind_of(number: int) -> str:
    return ("folders", "links")[number % 2]


def try_one(trial: Trial, kind: str) -> None:
    """The name stands for one of the two at every moment, so there is an answer, and it is that of one of them."""
    intact = trial.intact
    a, b = trial.copy(intact.index, "live"), trial.copy(intact.other_index, "spare")
    if kind == "links" or not exchange(a, b):
        kind, live = "links", trial.folder / "link"
        live.symlink_to(a.name)
    else:
        live = a
    done = threading.Event()
    pause = trial.draw.uniform(0.0002, 0.003)

    def go_on() -> None:
        turn = 0
        while not done.wait(pause):
            turn += 1
            if kind == "folders":
                exchange(a, b)
            else:
                link = trial.folder / "next"
                link.symlink_to((b, a)[turn % 2].name)
                link.replace(live)

    exchanging = threading.Thread(target=go_on)
    exchanging.start()
    try:
        found = trial.run("search", *intact.searching(live))
    finally:
        done.set()
        exchanging.join()
    if found.code != 0:
        trial.problem(judgement.WRONG, f"no answer: {found.ended_by}: {found.message()}", found)
    elif found.out not in (intact.results, intact.other_results):
        trial.problem(judgement.WRONG, "the results of neither index", found)

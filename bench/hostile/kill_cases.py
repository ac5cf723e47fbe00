"""Commands that are killed at any moment: what they leave, and what comes of the same command afterwards."""

from __future__ import annotations

import signal
from functools import partial
from pathlib import Path

from . import judgement
from .intact import LOG, ONE_THREAD, Intact
from .trial import Case, Trial

GROUP = "kill"
SIGNALS = ["KILL", "INT", "TERM"]
# How often each command is killed, by each of the signals.
TIMES = {"index": 6, "diff": 4, "explain": 4, "verify": 4, "demo": 2}
MINUTES = 300.0
# A program that has just been started may not know yet that it could be asked to stop.
EARLY = 0.1


def cases(_seed: int) -> list:
    return [
        Case(GROUP, f"{command}-{name.lower()}-{number}", partial(try_one, command=command, sent=getattr(signal, f"SIG{name}"), number=number))
        for command, times in TIMES.items()
        for number in range(times)
        for name in SIGNALS
    ]


def try_one(trial: Trial, command: str, sent: int, number: int) -> None:
    arguments, out = commands(trial.intact, trial.folder)[command]
    share = (number + trial.draw.random()) / TIMES[command]
    killed = trial.run(*arguments, kill=(undisturbed(trial.intact, command)[0] * share, sent), seconds=MINUTES)
    _, code, printed, _ = undisturbed(trial.intact, command)
    if sent == signal.SIGKILL:
        trial.tidy()
    else:
        # Whoever is asked to stop has the time to tidy up, and says so.
        trial.nothing_temporary(killed)
        judge_words(trial, killed, sent, code)
    judge_left(trial, killed, out, command)
    if command == "demo" and number:
        # A demonstration takes long; that one of each signal can be made again says enough.
        return
    again = trial.run(*arguments, seconds=MINUTES)
    if again.code != code and not (out and out.exists()):
        trial.problem(judgement.WRONG, f"afterwards {again.ended_by}, and {code} undisturbed: {again.message()}", again)
    if command in ("diff", "explain", "verify") and again.out != printed:
        trial.problem(judgement.WRONG, "afterwards another answer", again)
    judge_left(trial, again, out, command, must=True)
    hidden = sorted(path.name for path in trial.folder.iterdir() if path.name.startswith(".") and path.name != ".cache")
    if hidden:
        trial.problem(judgement.LEFT, f"left behind: {', '.join(hidden)}", again)


def judge_words(trial: Trial, killed, sent: int, code: int) -> None:
    """Whoever was stopped does not end as if nothing had been, and does not leave in silence."""
    if killed.signal is None and killed.code in (0, 1) and killed.code != code:
        trial.problem(judgement.OUTPUT, f"stopped, and {killed.ended_by}", killed)
    if sent == signal.SIGINT and killed.code != code and killed.seconds > EARLY and b"concord: " not in killed.err:
        trial.problem(judgement.OUTPUT, f"stopped without a word: {killed.ended_by}", killed)


def commands(intact: Intact, folder: Path) -> dict:
    """The arguments of each command, and the folder that it makes."""
    subjects = ["native", "native,gemm=split-k:4", "--checkpoint", intact.checkpoint, "--collection", intact.large_collection, "--passages", "600", *ONE_THREAD]
    index, kept = folder / "index", folder / "demo"
    return {
        "index": (["index", *intact.building(intact.large_collection, index)], index),
        "diff": (["diff", *subjects], None),
        "explain": (["explain", *subjects, "--once", "--no-referee"], None),
        "verify": (["verify", intact.folder / "index-to-verify", "--rebuild", intact.large_collection, *ONE_THREAD], None),
        "demo": (["demo", "--keep", kept], kept),
    }


def undisturbed(intact: Intact, command: str) -> tuple:
    """Of a command that nobody stops: its seconds, its exit code, what it prints, and the files it makes."""
    with intact.lock:
        known = intact.__dict__.setdefault("undisturbed", {})
        if command not in known:
            known[command] = measure(intact, command)
        return known[command]


def measure(intact: Intact, command: str) -> tuple:
    folder = intact.folder / f"undisturbed-{command}"
    folder.mkdir()
    if command == "verify":
        intact.build(intact.large_collection, intact.folder / "index-to-verify")
    arguments, out = commands(intact, folder)[command]
    outcome = intact.must(*arguments, codes=(0, 1))
    return outcome.seconds, outcome.code, outcome.out, files(out) if out else {}


def judge_left(trial: Trial, outcome, out: Path | None, command: str, must: bool = False) -> None:
    """What a command makes is there as a whole, or not at all."""
    if out is None:
        return
    if out.exists():
        if files(out) != undisturbed(trial.intact, command)[3]:
            trial.problem(judgement.LEFT, f"{out.name} is not what it is undisturbed", outcome)
    elif must:
        trial.problem(judgement.WRONG, f"no {out.name}", outcome)


def files(out: Path) -> dict:
    """All that a command made, but for logs, by the paths in it."""
    folders = [out, *sorted(path for path in out.rglob("*") if path.is_dir())]
    return {str(folder.relative_to(out) / name): content for folder in folders for name, content in plain(folder).items()}


def plain(folder: Path) -> dict:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file() and path.name != LOG}

"""Wrong invocations: made from what each command says of its options, and some that only a person would think of."""

from __future__ import annotations

import re
import subprocess
from functools import partial
from pathlib import Path
from types import SimpleNamespace

from . import judgement
from .intact import Intact
from .program import Program
from .trial import Case, Trial, draw_for

GROUP = "invocation"
OPTION = re.compile(r"^ {2,6}(?:-\w, | {4})?(--[a-z][a-z0-9-]*)(?: <([^>]+)>)?", re.MULTILINE)
# What may be given more than once.
REPEATED = {"--swap", "--taps", "--help"}
# What a message may have at most, usage included.
LINES, WIDTH = 30, 2000

NOT_WHOLE = ["abc", "", "-1", "1.5", "1e3", "0x10", "99999999999999999999", "NaN", "\u0661", " 1"]
NOT_A_NUMBER = ["abc", "", "1,5", "--", "0x10"]
NOT_A_WORD = ["", "no-such", "NATIVE ", "../..", "\x1b[31m"]
NOT_A_PLACE = ["no/such/place", "", "/dev/null/x", "x" * 300, "a\x1b[31mb"]
VALUES = {
    **{name: NOT_WHOLE for name in ("N", "K", "M", "W", "T", "SECONDS")},
    **{name: NOT_A_NUMBER for name in ("R", "A", "SCORE")},
    **{name: NOT_A_WORD for name in ("P", "ISA", "FORMAT", "OP", "KEEP", "ENGINE", "SUBJECT")},
    **{name: NOT_A_PLACE for name in ("FILE", "COLLECTION", "CHECKPOINT")},
    "ARTIFACT=PATH": ["", "centroids", "=", "no-such=x", "centroids=no/such/place", "centroids=", "passages=x"],
    "SIZES": ["", "0", "5..1", "a..b", "1,,2", "-3"],
    "TOKENS": ["", "0", "abc", "-3", "1.5"],
    "PID,…": ["", "a", "1,,2", "-1", "99999999999999999999"],
}
# Nobody asks for none of these.
NOT_ZERO = {"--nbits", "--batch", "--threads", "--passages", "--m", "--n"}
SOME_NBITS = ["3", "16", "0"]


def valid(intact: Intact) -> dict:
    """The arguments with which each command works."""
    source = ["--checkpoint", intact.checkpoint, "--collection", intact.collection]
    return {
        "index": [intact.collection, "--checkpoint", intact.checkpoint, "--out", "made"],
        "search": [intact.index, "rain on the river"],
        "verify": [intact.index],
        "record": ["native", *source, "--out", "made"],
        "diff": [intact.index, intact.other_index],
        "explain": [intact.run, intact.other_run],
        "reveal": ["native", "--m", "2", "--k", "16", "--n", "16"],
        "sweep": ["native", "--module", "linear", "--checkpoint", intact.checkpoint, "--batch", "1..2", "--seq", "8"],
        "matrix": ["native", "native,gemm=split-k:4", *source, "--out", "made"],
        "export-model": ["made"],
    }


COMMANDS = ["index", "search", "verify", "record", "diff", "explain", "reveal", "sweep", "matrix", "export-model"]
# Positional arguments that have to be there.
NEEDED = {"index": 1, "search": 1, "verify": 1, "record": 1, "diff": 2, "explain": 2, "reveal": 1, "sweep": 1, "matrix": 1, "export-model": 1}
WITH_OUT = ("index", "record", "matrix")


def by_hand(intact: Intact) -> dict:
    """Invocations that contradict themselves, have an option without effect, or name what is something else."""
    i, c, q, o, r = intact.index, intact.collection, intact.queries, intact.other_index, intact.run
    file, folder, checkpoint = i / "centroids.pt", intact.folder, ["--checkpoint", intact.checkpoint]
    return {
        "nothing": [],
        "no-such-command": ["serch", i, "rain"],
        "no-such-command-with-escapes": ["\x1b[31m"],
        "a-query-and-a-file-of-them": ["search", i, "rain", "--queries", q],
        "no-query": ["search", i],
        "an-empty-query": ["search", i, ""],
        "judgements-without-queries": ["search", i, "rain", "--qrels", q],
        "marks-in-tsv": ["search", i, "--queries", q, "--format", "tsv", "--matches"],
        "two-formats": ["search", i, "rain", "--json", "--format", "tsv"],
        "no-results": ["search", i, "rain", "--k", "0"],
        "no-cells": ["search", i, "rain", "--ncells", "0"],
        "no-candidates": ["search", i, "rain", "--ndocs", "0"],
        "a-threshold-that-is-none": ["search", i, "rain", "--threshold", "NaN"],
        "queries-that-are-a-folder": ["search", i, "--queries", folder],
        "queries-that-are-tensors": ["search", i, "--queries", file],
        "judgements-that-are-a-folder": ["search", i, "--queries", q, "--qrels", folder],
        "results-into-a-folder": ["search", i, "rain", "--out", folder],
        "results-below-a-file": ["search", i, "rain", "--out", c / "x.tsv"],
        "an-index-that-is-a-file": ["search", c, "rain"],
        "an-index-that-is-a-run": ["search", r, "rain"],
        "an-index-that-is-a-checkpoint": ["verify", intact.checkpoint],
        "another-collection": ["search", i, "rain", "--collection", intact.large_collection],
        "a-checkpoint-to-verify-nothing-with": ["verify", i, *checkpoint],
        "a-batch-to-verify-nothing-with": ["verify", i, "--batch", "7"],
        "threads-to-verify-nothing-with": ["verify", i, "--isa", "scalar"],
        "rebuilt-from-another-collection": ["verify", i, "--rebuild", intact.large_collection],
        "rebuilt-from-a-folder": ["verify", i, "--rebuild", folder],
        "a-seed-for-no-taps": ["record", "native", *checkpoint, "--collection", c, "--tap-seed", "7", "--out", "made"],
        "passages-of-no-taps": ["record", "native", *checkpoint, "--collection", c, "--tap-passages", "2", "--out", "made"],
        "pids-of-no-taps": ["record", "native", *checkpoint, "--collection", c, "--pids", "1", "--out", "made"],
        "values-of-no-taps": ["record", "native", *checkpoint, "--collection", c, "--keep", "taps", "--out", "made"],
        "taps-that-no-module-has": ["record", "native", *checkpoint, "--collection", c, "--taps", "no.such.module", "--out", "made"],
        "pids-beyond-the-collection": ["record", "native", *checkpoint, "--collection", c, "--taps", "linear", "--pids", "99999", "--out", "made"],
        "passages-of-two-files": ["diff", file, file, "--passages", "3"],
        "bits-of-two-files": ["diff", file, file, "--nbits", "2"],
        "a-seed-of-two-indexes": ["diff", i, o, "--seed", "7"],
        "a-batch-of-two-runs": ["diff", r, intact.other_run, "--batch", "3"],
        "a-file-and-a-folder": ["diff", file, i],
        "one-and-a-half": ["diff", i],
        "a-tolerance-below-nothing": ["diff", i, o, "--rtol", "-1"],
        "a-tolerance-that-is-none": ["diff", i, o, "--atol", "NaN"],
        "text-instead-of-tensors": ["diff", c, c],
        "rows-of-a-formula": ["reveal", "native", "--op", "gelu", "--m", "3"],
        "width-of-a-product": ["reveal", "native", "--op", "linear", "--width", "3"],
        "columns-of-a-sum": ["reveal", "native", "--op", "sum", "--n", "3"],
        "a-picture-of-a-formula": ["reveal", "native", "--op", "gelu", "--svg", "made"],
        "three-subjects": ["reveal", "native", "native", "native"],
        "reproducers-into-a-folder-that-is-there": ["explain", r, intact.other_run, "--reproducers", folder],
        "an-index-to-explain": ["explain", i, o],
        "a-collection-for-two-runs": ["explain", r, intact.other_run, "--collection", c],
        "one-artifact-twice": ["index", c, *checkpoint, "--out", "made", "--swap", f"centroids={i}", "--swap", f"centroids={o}"],
        "into-a-file": ["index", c, *checkpoint, "--out", q],
        "into-a-folder-of-something": ["index", c, *checkpoint, "--out", folder],
        "below-a-file": ["index", c, *checkpoint, "--out", q / "made"],
        "into-nothing": ["index", c, *checkpoint, "--out", ""],
        "into-the-root": ["index", c, *checkpoint, "--out", "/"],
        "into-a-device": ["index", c, *checkpoint, "--out", "/dev/null"],
        "a-collection-that-is-a-folder": ["index", folder, *checkpoint, "--out", "made"],
        "a-collection-that-is-empty": ["index", "/dev/null", *checkpoint, "--out", "made"],
        "a-collection-of-tensors": ["index", file, *checkpoint, "--out", "made"],
        "a-checkpoint-that-is-a-file": ["index", c, "--checkpoint", q, "--out", "made"],
        "a-checkpoint-that-is-an-index": ["index", c, "--checkpoint", i, "--out", "made"],
        "a-checkpoint-without-network": ["index", c, "--checkpoint", "no-such-owner/no-such-model", "--out", "made"],
        "bits-that-do-not-fit": ["index", c, *checkpoint, "--out", "made", "--nbits", "3"],
        "passages-of-no-tokens": ["index", c, *checkpoint, "--out", "made", "--doc-maxlen", "2"],
        "passages-longer-than-positions": ["index", c, *checkpoint, "--out", "made", "--doc-maxlen", "100000"],
        "another-engine-to-build": ["index", c, *checkpoint, "--out", "made", "--subject", "torch==2.4.1"],
        "a-variant-that-is-not-there": ["index", c, *checkpoint, "--out", "made", "--subject", "native,gemm=no-such"],
        "two-precisions": ["index", c, *checkpoint, "--out", "made", "--subject", "native,precision=bf16", "--precision", "f16"],
        "a-file-for-a-folder-of-runs": ["matrix", "native", "native", *checkpoint, "--collection", c, "--out", q],
        "one-subject": ["matrix", "native", *checkpoint, "--collection", c, "--out", "made"],
        "an-engine-for-nobody": ["matrix", "native", "native", *checkpoint, "--collection", c, "--engine", "bert", "--out", "made"],
        "containers-and-patterns": ["sweep", "native", *checkpoint, "--module", "b*"],
        "no-such-module": ["sweep", "native", *checkpoint, "--module", "no.such"],
        "longer-than-positions": ["sweep", "native", *checkpoint, "--module", "linear", "--seq", "100000", "--batch", "1"],
        "kept-where-something-is": ["demo", "--keep", folder],
        "kept-in-a-file": ["demo", "--keep", q],
        "kept-below-a-file": ["demo", "--keep", q / "made"],
        "exported-where-something-is": ["export-model", folder],
        "exported-below-a-file": ["export-model", q / "made"],
        "an-environment-of-nothing": ["env", "add", "torch"],
        "an-environment-of-something-else": ["env", "add", "numpy==1.0"],
        "no-such-environment": ["env", "remove", "no-such"],
        "arguments-for-none": ["agent", "x"],
    }


def cases(seed: int, program: Program, count: int = 220) -> list:
    anywhere = Path("anywhere")
    places = ("index", "other_index", "run", "other_run", "collection", "large_collection", "queries", "checkpoint", "folder")
    names = list(by_hand(SimpleNamespace(**{place: anywhere for place in places})))
    found = [Case(GROUP, name, partial(by_name, name=name)) for name in names]
    generated = [case for command in COMMANDS for case in of_command(command, options_of(program, command))]
    rest = draw_for(seed, GROUP).sample(range(len(generated)), min(len(generated), max(0, count - len(found))))
    return found + [generated[at] for at in sorted(rest)]


def options_of(program: Program, command: str) -> list:
    """The options of a command with the names of their values, as its help has them."""
    text = subprocess.run([*program.command, command, "--help"], capture_output=True, text=True, check=True).stdout
    return sorted(set(OPTION.findall(text)) - {("--help", "")})


def of_command(command: str, options: list) -> list:
    """Whatever can be wrong with each option, and with what has to be there."""

    def case(what: str, *more, drop: int = 0) -> Case:
        return Case(GROUP, f"{command}-{what}", partial(generated_by, command=command, more=list(more), drop=drop))

    found = [case("unknown-option", "--no-such-option"), case("unknown-option-with-escapes", "--\x1b[31m"), case("too-many", "one", "two", "three")]
    found = [one for one in found if (command, one.name) not in ANY_NUMBER]
    found += [case(f"without-{number}", drop=number) for number in range(1, NEEDED[command] + 1)]
    for option, value in options:
        name = option.lstrip("-")
        found.append(case(f"misspelt-{name}", f"{option}x", *(["1"] if value else [])))
        if not value:
            found += [case(f"{name}-with-a-value", f"{option}=yes"), case(f"{name}-twice", option, option)]
            continue
        found.append(case(f"{name}-without-a-value", option))
        wrong = list(VALUES.get(value, []))
        wrong += ["0"] if option in NOT_ZERO else []
        wrong += SOME_NBITS if option == "--nbits" else []
        if option == "--out":
            wrong = []
        found += [case(f"{name}-{number}", f"{option}={text}") for number, text in enumerate(wrong)]
        if option not in REPEATED and value in ("N", "K", "SECONDS"):
            found.append(case(f"{name}-twice", option, "2", option, "2"))
    return found


# Commands that take any number of subjects.
ANY_NUMBER = {("matrix", "matrix-too-many"), ("reveal", "reveal-too-many")}


def by_name(trial: Trial, name: str) -> None:
    judge(trial, by_hand(trial.intact)[name])


def generated_by(trial: Trial, command: str, more: list, drop: int) -> None:
    arguments = valid(trial.intact)[command]
    option = more[0].split("=")[0] if more else None
    if option in arguments and option not in REPEATED:
        at = arguments.index(option)
        arguments = arguments[:at] + arguments[at + 2 :]
    judge(trial, [command, *arguments[drop:], *more])


def judge(trial: Trial, arguments: list) -> None:
    """It is refused at once, with a message that says what and where, and nothing is made."""
    outcome = trial.run(*arguments)
    message = outcome.err.decode(errors="replace")
    lines = [line for line in message.splitlines() if line.strip()]
    shown = ascii(" ".join(map(str, arguments)))[:200]
    if outcome.code in (0, 1):
        trial.problem(judgement.OUTPUT, f"exit code {outcome.code} for {shown}", outcome)
    elif len(lines) > LINES or any(len(line) > WIDTH for line in lines):
        trial.problem(judgement.OUTPUT, f"{len(lines)} lines for {shown}", outcome)
    elif any("os error" in line and not names_something(line, arguments) for line in lines):
        trial.problem(judgement.OUTPUT, f"an error of the system without a path for {shown}: {outcome.message()}", outcome)
    if outcome.out.strip() and outcome.code == 2:
        trial.problem(judgement.OUTPUT, f"something on the output for {shown}", outcome)
    left = sorted(path.name for path in trial.folder.iterdir() if path.name not in ("tmp", ".cache"))
    if left:
        trial.problem(judgement.LEFT, f"{', '.join(left)} after {shown}", outcome)


def names_something(line: str, arguments: list) -> bool:
    """Whether a message names a path or an argument."""
    return "/" in line or any(str(argument) and str(argument) in line for argument in arguments[1:])

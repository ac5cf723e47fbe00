"""Running cases side by side, and the table of what was found."""

from __future__ import annotations

import shutil
import sys
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from .intact import Intact
from .judgement import COLUMNS
from .program import Program
from .trial import Case, Trial, draw_for


@dataclass
class Verdict:
    case: Case
    problems: list
    runs: int
    seconds: float


def chosen(cases: list, seed: int, scale: float) -> list:
    """A share of the cases of a group, at least one, in their order. They are those of the full suite."""
    count = max(1, round(len(cases) * scale))
    if count >= len(cases):
        return cases
    picked = set(draw_for(seed, f"scale {cases[0].group}").sample(range(len(cases)), count))
    return [case for at, case in enumerate(cases) if at in picked]


def run_suite(program: Program, cases: list, seed: int, folder: Path, jobs: int, keep: bool = False) -> list:
    """Runs all cases, and tells of each that found something as soon as it did."""
    print(f"{len(cases)} cases of seed {seed}, {jobs} at a time, in {folder}", flush=True)
    begun = time.monotonic()
    intact = Intact(program, folder / "intact")
    print(f"intact inputs made in {time.monotonic() - begun:.0f} s; peaks on them: {intact.footprints()}", flush=True)
    verdicts = []
    with ThreadPoolExecutor(jobs) as pool:
        for verdict in pool.map(lambda case: run_case(case, seed, folder, program, intact, keep), cases):
            verdicts.append(verdict)
            for column, what in verdict.problems:
                print(f"seed {seed} case {verdict.case.full_name}: {column}: {what}", flush=True)
    return verdicts


def run_case(case: Case, seed: int, folder: Path, program: Program, intact: Intact, keep: bool) -> Verdict:
    trial = Trial(case, seed, folder / "cases" / case.group / case.name, program, intact)
    begun = time.monotonic()
    try:
        case.try_it(trial)
    except Exception:
        # The suite's own fault, which must not pass for a case that found nothing.
        traceback.print_exc()
        sys.stderr.flush()
        trial.problem("the suite's own fault", traceback.format_exc().splitlines()[-1])
    seconds = time.monotonic() - begun
    if not keep:
        shutil.rmtree(trial.folder, ignore_errors=True)
        shutil.rmtree(trial.waiting, ignore_errors=True)
    return Verdict(case, trial.problems, trial.runs, seconds)


def table(verdicts: list) -> str:
    """How many cases of each group have something in each column."""
    groups = list(dict.fromkeys(verdict.case.group for verdict in verdicts))
    header = ["", "cases", "runs", *COLUMNS, "failed", "seconds"]
    rows = [row(group, [verdict for verdict in verdicts if verdict.case.group == group]) for group in groups]
    rows.append(row("all", verdicts))
    widths = [max(len(line[at]) for line in [header, *rows]) for at in range(len(header))]
    return "\n".join(
        "  ".join(cell.ljust(width) if at == 0 else cell.rjust(width) for at, (cell, width) in enumerate(zip(line, widths))).rstrip()
        for line in [header, *rows]
    )


def row(name: str, verdicts: list) -> list:
    with_problem = [sum(any(found == column for found, _ in verdict.problems) for verdict in verdicts) for column in COLUMNS]
    failed = sum(bool(verdict.problems) for verdict in verdicts)
    numbers = [len(verdicts), sum(verdict.runs for verdict in verdicts), *with_problem, failed]
    return [name, *map(str, numbers), f"{sum(verdict.seconds for verdict in verdicts):.0f}"]

#!/usr/bin/env python3
"""Does anything that is damaged, wrong, interrupted or exchanged make the program accept what is false?

Makes damaged inputs from a seed: pickles, index files, checkpoints, recorded runs, wrong invocations, kills, damage to
the store of an interrupted build, and indexes that are exchanged while they are searched. Gives each to the program,
and counts what must never be. Ends with 1 if anything was.
"""

import argparse
import os
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

from hostile import checkpoint_cases, exchange_cases, index_cases, invocation_cases, kill_cases, pickle_cases, run_cases, store_cases
from hostile.judgement import COLUMNS
from hostile.program import Program
from hostile.suite import chosen, run_suite, table

GROUPS = {
    module.GROUP: module
    for module in (pickle_cases, index_cases, checkpoint_cases, run_cases, invocation_cases, kill_cases, store_cases, exchange_cases)
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--concord", type=lambda path: Path(path).resolve(), required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--scale", type=float, default=1.0, help="the share of the cases that is run [default: 1]")
    parser.add_argument("--group", action="append", choices=GROUPS, help="only cases of this group; may be repeated")
    parser.add_argument("--case", action="append", metavar="GROUP/NAME", help="only this case, whose folder is kept; may be repeated")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="cases side by side [default: one for each core]")
    parser.add_argument("--folder", type=Path, help="where the cases lie [default: in memory where there is room, else with temporary files]")
    options = parser.parse_args()
    begun = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="hostile-", dir=options.folder or roomy()))
    program = Program([options.concord], options.jobs)
    # Whoever stops it wants no folders to stay either.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        verdicts = run_suite(program, select(options, program), options.seed, folder, options.jobs, keep=bool(options.case))
    finally:
        program.close()
        if not options.case:
            shutil.rmtree(folder, ignore_errors=True)
    print()
    print(table(verdicts))
    print()
    for column, meaning in COLUMNS.items():
        print(f"{column:10}  {meaning}")
    failed = sum(bool(verdict.problems) for verdict in verdicts)
    print(f"\n{len(verdicts) - failed} of {len(verdicts)} as they should be, after {time.monotonic() - begun:.0f} s")
    if options.case:
        print(f"what the program was given and what it printed is in {folder}")
    return 1 if failed else 0


def select(options, program: Program) -> list:
    """The cases that are asked for, in the order of the groups."""
    cases = []
    for name, module in GROUPS.items():
        if options.case and not any(case.startswith(f"{name}/") for case in options.case):
            continue
        if options.group and name not in options.group:
            continue
        of_group = module.cases(options.seed) if module is not invocation_cases else module.cases(options.seed, program)
        cases += of_group if options.case else chosen(of_group, options.seed, options.scale)
    if options.case:
        cases = [case for case in cases if case.full_name in options.case]
    if not cases:
        sys.exit("there is no such case with this seed")
    return cases


def roomy() -> str:
    """A folder in memory if it has a gigabyte left, since most of the time goes into small files."""
    memory = "/dev/shm"
    try:
        free = os.statvfs(memory)
    except OSError:
        return tempfile.gettempdir()
    return memory if os.access(memory, os.W_OK) and free.f_bavail * free.f_frsize > 1 << 30 else tempfile.gettempdir()


if __name__ == "__main__":
    sys.exit(main())

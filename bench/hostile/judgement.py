"""What can be wrong with a run, in columns."""

from __future__ import annotations

from .program import LONGEST_LINE, MB, PANIC_CODE, Outcome

EXECUTED = "executed"
PANICS = "panics"
HANGS = "hangs"
MEMORY = "memory"
FALSE_SAME = "false same"
WRONG = "wrong"
OUTPUT = "output"
LEFT = "left"

COLUMNS = {
    EXECUTED: "something that a file names was executed",
    PANICS: "a panic, an abort, a signal that nobody sent",
    HANGS: "no end within 10 seconds",
    MEMORY: "a peak above 4 times the input + 100 MB + what intact input takes",
    FALSE_SAME: "`diff` or `explain` says that different things are the same",
    WRONG: "accepted, and other results than those of the intact input",
    OUTPUT: "raw terminal escapes, a line over 64 kB, a wrong exit code or no clear message",
    LEFT: "temporary folders, or an output that is neither absent nor complete",
}


def memory_limit(footprint: int, size: int) -> int:
    """The bytes that a run may take of an input of `size` bytes, where intact input takes `footprint`."""
    return footprint + 100 * MB + 4 * size


def problems(outcome: Outcome, limit: int, sent: int | None = None) -> list:
    """What is wrong with a run whatever it was asked: pairs of a column and a text. `sent` is the signal that it got."""
    found = []
    if outcome.hung:
        found.append((HANGS, f"no end after {outcome.seconds:.1f} s"))
    elif outcome.out_of_memory or outcome.peak > limit:
        found.append((MEMORY, f"{outcome.peak / MB:.0f} MB, {limit / MB:.0f} MB allowed"))
    elif outcome.code == PANIC_CODE or outcome.panic or (outcome.signal and outcome.signal != sent):
        found.append((PANICS, f"{outcome.ended_by}: {outcome.panic or outcome.message()}"))
    elif outcome.code not in (0, 1, 2, None) and outcome.code != 128 + (sent or 0):
        found.append((OUTPUT, f"{outcome.ended_by}: {outcome.message()}"))
    if outcome.escape:
        found.append((OUTPUT, f"a raw escape: {outcome.escape}"))
    if outcome.longest_line > LONGEST_LINE:
        found.append((OUTPUT, f"a line of {outcome.longest_line} bytes"))
    # Whoever fails says why.
    if outcome.code == 2 and not outcome.err.strip():
        found.append((OUTPUT, "exit code 2 without a message"))
    return found

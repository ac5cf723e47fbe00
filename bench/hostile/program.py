"""Running the program: with a time limit, a memory limit and an eye on what it prints."""

from __future__ import annotations

import multiprocessing
import os
import re
import resource
import signal
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

MB = 1_000_000
# What a run may take; after that it counts as hanging.
SECONDS = 10.0
# How far above its limit a run is let go before it is stopped, so that the peak says how bad it is.
MEMORY_MARGIN = 400 * MB
# Of what a run prints, so much is kept; all of it is looked at.
KEPT = 1 << 20
LONGEST_LINE = 64_000
# What a terminal would obey: C0 without tab and line ends, DEL, and C1 as UTF-8 has them. A carriage return is none:
# the program has no business with it either, but a lone one overwrites a line.
ESCAPES = re.compile(rb"[\x00-\x08\x0b-\x1f\x7f]|\xc2[\x80-\x9f]")
PANIC = re.compile(rb"panicked at|RUST_BACKTRACE|stack overflow|memory allocation of|fatal runtime error")
PANIC_CODE = 101


@dataclass
class Outcome:
    """What came of one run."""

    arguments: list
    code: int | None
    """The exit code; `None` where a signal ended it."""
    signal: int | None
    seconds: float
    peak: int
    """Bytes."""
    out: bytes
    err: bytes
    hung: bool = False
    out_of_memory: bool = False
    """Whether it was stopped because of what it took."""
    panic: str = ""
    escape: str = ""
    longest_line: int = 0

    @property
    def ended_by(self) -> str:
        return f"signal {signal.Signals(self.signal).name}" if self.signal else f"exit code {self.code}"

    def message(self) -> str:
        """The last line on the error output, as far as a report has room for it."""
        lines = [line for line in self.err.decode(errors="replace").splitlines() if line.strip()]
        return ascii(lines[-1][:200])[1:-1] if lines else ""


class Program:
    """The program, and how it is started.

    What a process took at most is counted from what its starter had when it started it. That is why others start it,
    which stay small whatever the cases hold in memory.
    """

    def __init__(self, command: list, jobs: int):
        self.command = [str(part) for part in command]
        self.starters = ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn"))

    def run(self, arguments: list, folder: Path, streams: Path, memory: int, kill: tuple | None = None, seconds: float = SECONDS) -> Outcome:
        """Runs it to its end, or to a limit's; `kill` is a moment in seconds and a signal that it gets then.

        It runs in `folder`, where its home and its temporary files are, too. What it prints lies beside `streams`.
        """
        arguments = [str(part) for part in arguments]
        return self.starters.submit(run, [*self.command, *arguments], arguments, folder, streams, memory, kill, seconds).result()

    def close(self) -> None:
        self.starters.shutdown()


def start(command: list, folder: Path, streams: Path) -> subprocess.Popen:
    scratch = folder / "tmp"
    scratch.mkdir(exist_ok=True)
    environment = {
        "PATH": os.environ.get("PATH", ""),
        "HOME": str(folder),
        "TMPDIR": str(scratch),
        "HF_HUB_OFFLINE": "1",
        "RUST_BACKTRACE": "0",
        "LC_ALL": "C.UTF-8",
    }
    with open(f"{streams}.out", "wb") as out, open(f"{streams}.err", "wb") as err:
        return subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            start_new_session=True,
        )


def run(command: list, arguments: list, folder: Path, streams: Path, memory: int, kill: tuple | None, seconds: float) -> Outcome:
    # A program that is brought down would leave its memory on the disk.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    begun = time.monotonic()
    process = start(command, folder, streams)
    hung = out_of_memory = False
    pause = 0.0005
    while True:
        pid, status, usage = os.wait4(process.pid, os.WNOHANG)
        if pid:
            break
        passed = time.monotonic() - begun
        if kill and passed >= kill[0]:
            process.send_signal(kill[1])
            kill = None
        hung = hung or passed > seconds
        out_of_memory = out_of_memory or resident(process.pid) > memory + MEMORY_MARGIN
        if hung or out_of_memory:
            os.killpg(process.pid, signal.SIGKILL)
        time.sleep(min(pause, max(kill[0] - passed, 0)) if kill else pause)
        pause = min(pause * 1.3, 0.02)
    code = os.waitstatus_to_exitcode(status)
    # It has been waited for already.
    process.returncode = code
    outcome = Outcome(
        arguments=arguments,
        code=code if code >= 0 else None,
        signal=-code if code < 0 else None,
        seconds=time.monotonic() - begun,
        peak=usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024),
        out=b"",
        err=b"",
        hung=hung,
        out_of_memory=out_of_memory,
    )
    outcome.out = inspect(Path(f"{streams}.out"), outcome)
    outcome.err = inspect(Path(f"{streams}.err"), outcome)
    return outcome


def resident(pid: int) -> int:
    """Bytes of memory that a process has now; 0 where the system does not say."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError, ValueError):
        return 0


def inspect(path: Path, outcome: Outcome) -> bytes:
    """Looks at all that was printed, adds what is wrong with it to `outcome`, and returns its beginning."""
    kept, line = b"", 0
    with open(path, "rb") as file:
        while True:
            piece = file.read(KEPT)
            if not piece:
                break
            kept = kept or piece
            parts = piece.split(b"\n")
            outcome.longest_line = max(outcome.longest_line, line + len(parts[0]), *(len(part) for part in parts[1:]), 0)
            line = len(parts[-1]) + (line if len(parts) == 1 else 0)
            for pattern, into in ((PANIC, "panic"), (ESCAPES, "escape")):
                found = pattern.search(piece)
                if found and not getattr(outcome, into):
                    setattr(outcome, into, ascii(piece[max(0, found.start() - 20) : found.end() + 60])[2:-1])
    return kept

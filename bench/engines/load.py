"""Whether the machine did something else while an engine was measured."""

import os
import time
from pathlib import Path

# In ticks is what the system counts, to one up or down at each end.
TICK = 1 / os.sysconf("SC_CLK_TCK")

# Others that take less than this share of the machine do not disturb: a system is never quite idle.
QUIET = 0.03


def busy_ticks() -> int:
    """What all processors together have worked so far, and what a hypervisor took from them; 0 where the
    system does not say."""
    try:
        first = Path("/proc/stat").read_text().splitlines()[0].split()
    except OSError:
        return 0
    user, nice, system, _idle, _waiting, irq, softirq, steal = map(int, first[1:9])
    return user + nice + system + irq + softirq + steal


def ticks_of(pid: int) -> int:
    """What a process with all its threads has worked so far."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0
    return int(fields[11]) + int(fields[12])


class Watch:
    """Sees what others than one process work from its beginning on."""

    def __init__(self, pid: int):
        self.pid = pid
        self.started = time.monotonic()
        self.before = busy_ticks() - ticks_of(pid)

    def others(self) -> float:
        """The share of the machine that they took so far."""
        ticks = busy_ticks() - ticks_of(self.pid) - self.before
        machine = (time.monotonic() - self.started) * (os.cpu_count() or 1)
        return max(0, ticks - 2) * TICK / machine

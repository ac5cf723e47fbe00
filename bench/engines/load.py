"""Whether the machine did something else while an engine was measured."""

import os
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")


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
    """Counts what others than one process work between its beginning and its end."""

    def __init__(self, pid: int):
        self.pid = pid
        self.before = busy_ticks() - ticks_of(pid)

    def others(self) -> float:
        """Seconds of processor time."""
        return max(0, busy_ticks() - ticks_of(self.pid) - self.before) / TICKS

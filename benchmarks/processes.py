"""What a process costs, as Linux counts it: processor time of all its threads, and resident memory."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

_TICK_S = 1.0 / os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_UTIME, _STIME = 11, 12  # in /proc/PID/stat, counted from the field after the name


class Cost(NamedTuple):
    """Of a process since it began."""

    user_s: float
    system_s: float

    @property
    def cpu_s(self) -> float:
        """Both together."""
        return self.user_s + self.system_s


def cost(pid: int) -> Cost:
    """Processor time, to 10 ms."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return Cost(int(fields[_UTIME]) * _TICK_S, int(fields[_STIME]) * _TICK_S)


def resident_bytes(pid: int) -> int:
    """Resident memory now."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE_BYTES

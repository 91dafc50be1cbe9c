"""What a process costs, as Linux counts it: processor time of all its threads, memory, threads, descriptors."""

from __future__ import annotations

import os
import resource
from pathlib import Path
from typing import NamedTuple

_TICK_S = 1.0 / os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_UTIME, _STIME, _THREADS = 11, 12, 17  # in /proc/PID/stat, counted from the field after the name


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


def n_threads(pid: int) -> int:
    """Threads now."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[_THREADS])


def n_descriptors(pid: int) -> int:
    """Open file descriptors now."""
    return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())


def resident_bytes_max() -> int:
    """The most that this process ever held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def available_bytes() -> int:
    """Memory that programs can still take without swapping."""
    (line,) = (line for line in Path("/proc/meminfo").read_text().splitlines() if line.startswith("MemAvailable"))
    return int(line.split()[1]) * 1024

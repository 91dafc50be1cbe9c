"""Time is passed in, so that tests and the seeded simulation can own it."""

import time
from typing import Protocol


class Clock(Protocol):
    """Where time comes from."""

    def now_ms(self) -> int:
        """Wall-clock time in milliseconds since the epoch: for timestamps, never for durations."""

    def monotonic(self) -> float:
        """Seconds on a clock that never goes back: for durations and deadlines."""

    def sleep(self, seconds: float) -> None:
        """Lets that much time pass; a simulated clock moves on at once."""


class SystemClock:
    """The machine's clocks."""

    def now_ms(self) -> int:
        """Wall-clock time in milliseconds since the epoch."""
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        """Seconds since some moment; only differences mean something."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Blocks the calling thread for so many seconds."""
        time.sleep(seconds)

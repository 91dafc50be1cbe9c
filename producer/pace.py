"""When each event is due. A schedule is fixed by the clock at the start: what is late catches up, nothing drifts."""

from collections.abc import Callable
from typing import Protocol

from runtime.clock import Clock


class Schedule(Protocol):
    """Gives the moment at which an event is due."""

    def due_s(self, number: int, occurred_at: int) -> float:
        """Seconds after the first event at which this one is due.

        Args:
            number: How many events came before it.
            occurred_at: Its time, in ms since 1970.
        """


class Unpaced:
    """Everything is due at once."""

    def due_s(self, number: int, occurred_at: int) -> float:  # noqa: ARG002
        """0: now."""
        return 0.0


class Even:
    """So many events a second.

    >>> Even(50.0).due_s(number=100, occurred_at=0)
    2.0
    """

    def __init__(self, rate: float) -> None:
        self._rate = rate

    def due_s(self, number: int, occurred_at: int) -> float:  # noqa: ARG002
        """The number over the rate."""
        return number / self._rate


class Replay:
    """As the events occurred, so many times faster; what occurred before the first one is due at once.

    >>> replay = Replay(speedup=60.0)
    >>> replay.due_s(0, occurred_at=1_000), replay.due_s(1, occurred_at=121_000)
    (0.0, 2.0)
    """

    def __init__(self, speedup: float) -> None:
        self._speedup = speedup
        self._first: int | None = None

    def due_s(self, number: int, occurred_at: int) -> float:  # noqa: ARG002
        """The time since the first event, compressed."""
        if self._first is None:
            self._first = occurred_at
        return max(0.0, (occurred_at - self._first) / 1000 / self._speedup)


class Pacer:
    """Holds a schedule.

    Args:
        schedule: When events are due.
        clock: What it is held by.
        wait: Lets so many seconds pass; a sink's own, so that it can work meanwhile.
    """

    def __init__(self, schedule: Schedule, clock: Clock, wait: Callable[[float], None]) -> None:
        self._schedule = schedule
        self._clock = clock
        self._wait = wait
        self._number = 0
        self._start: float | None = None

    def hold(self, occurred_at: int) -> bool:
        """Returns when the next event is due; says whether it had to wait."""
        due = self._schedule.due_s(self._number, occurred_at)
        self._number += 1
        if self._start is None:
            self._start = self._clock.monotonic()
        delay = self._start + due - self._clock.monotonic()
        if delay <= 0:
            return False
        self._wait(delay)
        return True

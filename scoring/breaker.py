"""A circuit breaker over model calls (contract 7): leaves a failing or slow model alone, and tries it now and then.

The model is resilience4j's CircuitBreaker with a count-based window, where slow calls count as failed ones. It differs
in two points that keep latency bounded: a probe asks for a few records only (the rules answer the rest of the batch),
and one bad probe is enough to open again, for twice the time up to a limit.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple


class BreakerState(IntEnum):
    """The numbers are those of the metric `lead_scorer_breaker_state`."""

    CLOSED = 0
    HALF_OPEN = 1
    OPEN = 2


@dataclass(frozen=True, slots=True)
class BreakerSettings:
    """Section `breaker` of the configuration (contract 1.1)."""

    failure_rate: float = 0.5
    slow_ms: float = 50
    window: int = 20
    min_calls: int = 5
    open_s: float = 5
    max_open_s: float = 120
    probe_records: int = 16
    probe_calls: int = 3


class Transition(NamedTuple):
    """A change of state; `open_s` is how long it stays open, or 0."""

    before: BreakerState
    after: BreakerState
    reason: str
    open_s: float


class Breaker:
    """Says before each call how many records may go to the model, and is told after it how the call went.

    Args:
        settings: The thresholds.
        monotonic: Seconds of a clock that never goes back.
        on_transition: Told of each change of state, in the caller's thread.

    Example:
        >>> now = 0.0
        >>> breaker = Breaker(BreakerSettings(min_calls=1), lambda: now, lambda _: None)
        >>> breaker.admit(1000)
        1000
        >>> breaker.record(good=False, elapsed_ms=50)
        >>> breaker.admit(1000)
        0
        >>> now = 5.0
        >>> breaker.admit(1000)
        16
    """

    def __init__(
        self,
        settings: BreakerSettings,
        monotonic: Callable[[], float],
        on_transition: Callable[[Transition], None],
    ) -> None:
        self.state = BreakerState.CLOSED
        self._settings = settings
        self._monotonic = monotonic
        self._on_transition = on_transition
        self._bad: deque[bool] = deque(maxlen=settings.window)
        self._good_probes = 0
        self._open_s = min(settings.open_s, settings.max_open_s)
        self._probe_at = 0.0

    def admit(self, n_rows: int) -> int:
        """How many of `n_rows` may go to the model in one call: all, a probe, or none."""
        if self.state is BreakerState.OPEN and n_rows and self._monotonic() >= self._probe_at:
            self._good_probes = 0
            self._change(BreakerState.HALF_OPEN, "its time is up: probing")
        if self.state is BreakerState.CLOSED:
            return n_rows
        return min(n_rows, self._settings.probe_records) if self.state is BreakerState.HALF_OPEN else 0

    def record(self, *, good: bool, elapsed_ms: float) -> None:
        """Takes the outcome of an admitted call; a good one that took longer than `slow_ms` counts as bad."""
        assert self.state is not BreakerState.OPEN, "a call that was not admitted"
        bad = not good or elapsed_ms > self._settings.slow_ms
        if self.state is BreakerState.HALF_OPEN:
            self._record_probe(bad=bad)
            return
        self._bad.append(bad)
        rate = sum(self._bad) / len(self._bad)
        enough = len(self._bad) >= min(self._settings.min_calls, self._settings.window)
        if enough and rate >= self._settings.failure_rate:
            self._open(f"{sum(self._bad)} of the last {len(self._bad)} calls failed or were slow")

    def model_changed(self) -> None:
        """Forgets the calls to the model before; a new one is probed at once if the breaker was not closed."""
        self._bad.clear()
        self._good_probes = 0
        self._open_s = min(self._settings.open_s, self._settings.max_open_s)
        if self.state is BreakerState.OPEN:
            self._change(BreakerState.HALF_OPEN, "another model: probing")

    def _record_probe(self, *, bad: bool) -> None:
        if bad:
            self._open_s = min(2 * self._open_s, self._settings.max_open_s)
            self._open("a probe failed or was slow")
            return
        self._good_probes += 1
        if self._good_probes >= self._settings.probe_calls:
            self._bad.clear()
            self._open_s = min(self._settings.open_s, self._settings.max_open_s)
            self._change(BreakerState.CLOSED, f"{self._good_probes} good probes")

    def _open(self, reason: str) -> None:
        self._probe_at = self._monotonic() + self._open_s
        self._change(BreakerState.OPEN, reason)

    def _change(self, after: BreakerState, reason: str) -> None:
        before, self.state = self.state, after
        open_s = self._open_s if after is BreakerState.OPEN else 0.0
        self._on_transition(Transition(before, after, reason, open_s))

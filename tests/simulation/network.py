"""Requests to the brokers: they take time, wait out a cut, and happen twice when only their answer was lost."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from tests.simulation.kernel import Kernel, Process, Signal

T = TypeVar("T")
LONG_S = 1e6


class NoAnswerError(Exception):
    """No answer in the time that the caller gave."""


class Network:
    """Between processes and brokers.

    Args:
        kernel: Time and chance.
        latency_s: The mean of one way.
        slow: The share of ways that take up to `slow_s` more.
        slow_s: How much more.
        lossy: The share of answers that are lost with their connection: the client asks again.
    """

    def __init__(self, kernel: Kernel, *, latency_s: float, slow: float, slow_s: float, lossy: float) -> None:
        self._kernel, self._latency_s, self._slow, self._slow_s = kernel, latency_s, slow, slow_s
        self._lossy = lossy
        self.calm = False
        """Nothing is slow any more."""
        self.outage = False
        """The brokers answer nobody."""
        self.over = Signal()

    def call(
        self,
        process: Process,
        request: Callable[[], T],
        *,
        timeout_s: float = LONG_S,
        once: bool = False,
        writes: bool = False,
    ) -> T:
        """Makes a request and returns its answer, or raises it.

        Args:
            process: Who asks.
            request: What the broker does.
            timeout_s: How long the caller waits.
            once: The broker knows a repetition: it happens once, and the answer is given again.
            writes: It is the producer that asks.

        Raises:
            NoAnswerError: It took too long; the request may have been carried out.
        """
        deadline_s = self._kernel.now_s + timeout_s
        self._travel(process, deadline_s, writes)
        answer = _attempt(request)
        while not self._heard(process, deadline_s, writes):
            if not once:
                answer = _attempt(request)
        if isinstance(answer, _Raised):
            raise answer.error
        return answer

    def reachable(self, process: Process, *, writes: bool = False) -> bool:
        """Whether a request would arrive now."""
        return not (process.cut or self.outage or (writes and process.writes_cut))

    def _heard(self, process: Process, deadline_s: float, writes: bool) -> bool:
        """Waits for the answer; False if it was lost and the request has arrived once more."""
        self._kernel.sleep(self._way_s())
        lost = self._lossy and not self.calm and self._kernel.random.random() < self._lossy
        if not lost and self.reachable(process, writes=writes):
            return True
        self._kernel.note("an answer is lost")
        self._travel(process, deadline_s, writes)
        return False

    def _travel(self, process: Process, deadline_s: float, writes: bool) -> None:
        self._kernel.sleep(self._way_s())
        while not self.reachable(process, writes=writes):
            left_s = deadline_s - self._kernel.now_s
            if left_s <= 0:
                raise NoAnswerError
            self._kernel.wait(left_s, process.healed, self.over)

    def _way_s(self) -> float:
        chance = self._kernel.random
        seconds = chance.expovariate(1.0) * self._latency_s
        if self._slow and not self.calm and chance.random() < self._slow:
            seconds += chance.random() * self._slow_s
        return seconds


class _Raised:
    """An answer that is an error."""

    def __init__(self, error: Exception) -> None:
        self.error = error


def _attempt(request: Callable[[], T]) -> T | _Raised:
    try:
        return request()
    except Exception as error:  # noqa: BLE001 - it travels back like any answer
        return _Raised(error)

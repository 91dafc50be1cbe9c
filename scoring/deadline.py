"""Calls with a deadline that holds even when the call hangs inside C, where nothing can interrupt it.

Each session has a thread of its own. The caller hands it the rows and waits with a timeout; past it the caller goes on
and leaves session and thread alone until the call returns, which may be never. So the number of such calls is limited,
per model and over the process, and at the limit a call is refused at once instead of being started.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.float32]
Predict = Callable[[Rows], NDArray[np.float64]]
"""`(n, 5) float32` in the model's order -> `(n,) float64` probabilities, not yet checked."""

LANES_MAX: Final = 2
"""Sessions of one model: the first, and a fresh one for when a call on the first does not come back."""

ABANDONED_MAX: Final = 8
"""Calls of the process, over all models, that may be out past their deadline: each holds a thread and a session."""


class DeadlineError(Exception):
    """There was no answer in time: the rules answer."""


class AbandonedCalls:
    """Counts the calls that missed their deadline and have not come back; one for all models of a process."""

    def __init__(self, limit: int = ABANDONED_MAX) -> None:
        self.limit = limit
        self.count = 0
        self.lock = threading.Lock()


class _Call:
    """What goes in, where the outcome comes out, and whether somebody still waits for it."""

    __slots__ = ("abandoned", "outcome", "returned", "rows")

    def __init__(self, rows: Rows) -> None:
        self.rows = rows
        self.outcome: SimpleQueue[Any] = SimpleQueue()
        self.abandoned = False
        self.returned = False


class _Lane:
    """One session and its thread; a daemon, since a hung call must not keep the process from exiting."""

    def __init__(
        self, make: Callable[[], Predict], idle: list[_Lane], abandoned: AbandonedCalls, *, ready: bool
    ) -> None:
        self.inbox: SimpleQueue[_Call | None] = SimpleQueue()
        self._idle = idle
        self._abandoned = abandoned
        self.thread = threading.Thread(target=self._run, args=(make, ready), name="model-call", daemon=True)
        self.thread.start()
        if ready:  # a call may wait in the inbox until the thread runs
            idle.append(self)

    def _run(self, make: Callable[[], Predict], ready: bool) -> None:
        try:
            predict = make()
        except Exception:  # noqa: BLE001 - a lane that never becomes idle: its model's calls are refused, and counted
            return
        if not ready:
            self._idle.append(self)
        while (call := self.inbox.get()) is not None:
            try:
                result: Any = predict(call.rows)
            except BaseException as error:  # noqa: BLE001 - the caller's: raised there
                result = error
            late = self._hand_back(call, result)
            del call, result  # a waiting lane keeps no batch alive
            if late:
                self._idle.append(self)

    def _hand_back(self, call: _Call, result: Any) -> bool:
        with self._abandoned.lock:
            call.returned = True
            if call.abandoned:
                self._abandoned.count -= 1
        call.outcome.put(result)
        return call.abandoned


class DeadlineRunner:
    """Runs the calls of one model; used by one thread.

    Args:
        first: The session that the model was checked with.
        fresh: Makes another one from the same bytes; runs on that session's own thread.
        abandoned: The process's count.
    """

    def __init__(self, first: Predict, fresh: Callable[[], Predict], abandoned: AbandonedCalls) -> None:
        self._fresh = fresh
        self._abandoned = abandoned
        self._idle: list[_Lane] = []
        self._lanes = [_Lane(lambda: first, self._idle, abandoned, ready=True)]

    def call(self, rows: Rows, timeout_s: float) -> NDArray[np.float64]:
        """The model's answer for `rows`.

        Raises:
            DeadlineError: None within `timeout_s`, or none could be started because earlier calls are still out.
            Exception: What the model raised.
        """
        lane = self._take_lane()
        call = _Call(rows)
        lane.inbox.put(call)
        try:
            result = call.outcome.get(timeout=timeout_s)
        except Empty:
            if self._abandon(call):
                raise DeadlineError(f"no answer within {timeout_s * 1000:g} ms") from None
            result = call.outcome.get()  # it returned in this very moment
        self._idle.append(lane)
        if isinstance(result, BaseException):
            raise result
        answer: NDArray[np.float64] = result
        return answer

    def close(self) -> None:
        """Ends the threads; one whose call is out ends when the call returns."""
        for lane in self._lanes:
            lane.inbox.put(None)

    def _take_lane(self) -> _Lane:
        if self._abandoned.count >= self._abandoned.limit:
            raise DeadlineError(f"{self._abandoned.count} calls past their deadline have not returned: the limit")
        try:
            return self._idle.pop()
        except IndexError:
            raise DeadlineError("no session is free: earlier calls have not returned") from None

    def _abandon(self, call: _Call) -> bool:
        with self._abandoned.lock:
            if call.returned:
                return False
            call.abandoned = True
            self._abandoned.count += 1
        if len(self._lanes) < LANES_MAX:
            self._lanes.append(_Lane(self._fresh, self._idle, self._abandoned, ready=False))
        return True

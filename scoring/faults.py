"""Faults put around the model's calls, for tests, drills (`lead-scorer run --inject FAULT`) and the demo's outage."""

from __future__ import annotations

import math
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from scoring.deadline import Predict, Rows

USAGE: Final = (
    "slow:MS (each call takes MS milliseconds longer), slow:TIMESx (each call takes so many times as long, slow:10x), "
    "hang, raise, nan or unavailable; with @START+SECONDS only for "
    "so long, START seconds after the start: slow:200, hang@30+10; with @signal from one SIGUSR1 to "
    "the next: hang@signal"
)

_NUMBER: Final = r"\d+(?:\.\d+)?"
_SPEC: Final = re.compile(
    rf"""(?P<kind>[a-z]+)
    (?: [:=] (?P<slow>{_NUMBER}) (?P<unit>ms|x)? )?
    (?: @ (?: (?P<signal>signal) | (?P<start>{_NUMBER}) s? (?: \+ (?P<lasting>{_NUMBER}) s? )? ) )?""",
    re.VERBOSE,
)


class FaultSpecError(ValueError):
    """The text names no fault; the message says what does."""


class InjectedError(RuntimeError):
    """The error that an injected fault raises in a model call."""


class FaultKind(StrEnum):
    """What the model does instead of answering."""

    SLOW = "slow"
    HANG = "hang"
    RAISE = "raise"
    NAN = "nan"
    UNAVAILABLE = "unavailable"


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault and the span, in seconds since the injector's start, in which calls meet it.

    With `on_signal` it waits for `FaultInjector.toggle` instead: for drills whose moment is not known beforehand.
    A slow call takes `slow_times` its own time, and `slow_ms` more.
    """

    kind: FaultKind
    slow_ms: float = 0
    start_s: float = 0
    lasting_s: float = math.inf
    on_signal: bool = False
    slow_times: float = 1


def parse_fault(text: str) -> Fault:
    """Reads `--inject`.

    Example:
        >>> parse_fault("slow:200").slow_ms, parse_fault("slow:10x").slow_times
        (200.0, 10.0)
        >>> parse_fault("hang@30+10").start_s
        30.0

    Raises:
        FaultSpecError: Not a fault.
    """
    match = _SPEC.fullmatch(text.strip().lower())
    if match is None or match["kind"] not in set(FaultKind):
        raise FaultSpecError(f"{text!r} is not a fault; must be {USAGE}")
    kind = FaultKind(match["kind"])
    if (kind is FaultKind.SLOW) != (match["slow"] is not None):
        raise FaultSpecError(f"{text!r}: slow, and only slow, takes a number; must be {USAGE}")
    lasting_s = math.inf if match["lasting"] is None else float(match["lasting"])
    start_s = float(match["start"] or 0)
    on_signal, slow = match["signal"] is not None, float(match["slow"] or 0)
    if match["unit"] == "x":
        return Fault(kind, 0, start_s, lasting_s, on_signal, slow_times=_times(text, slow))
    return Fault(kind, slow, start_s, lasting_s, on_signal)


def _times(text: str, slow: float) -> float:
    if slow < 1:
        raise FaultSpecError(f"{text!r}: a slow call takes at least as long as it did; must be {USAGE}")
    return slow


class FaultInjector:
    """Wraps model calls so that they meet a fault while it lasts; `set` may be called from any thread.

    A hanging call returns when its fault is over, as a call that was stuck would.

    Args:
        monotonic: Seconds of a clock that never goes back.
        fault: The first fault, counted from now; one that waits for a signal begins with `toggle`.
    """

    def __init__(self, monotonic: Callable[[], float], fault: Fault | None = None) -> None:
        self._monotonic = monotonic
        self._over = threading.Event()
        self._waiting = fault if fault is not None and fault.on_signal else None
        self.set(None if self._waiting else fault)

    def set(self, fault: Fault | None) -> None:
        """Replaces the fault, its span counted from now; None ends it."""
        self._over.set()
        self._over = threading.Event()
        self._current = None if fault is None else (fault, self._monotonic() + fault.start_s)

    def toggle(self) -> None:
        """Begins the fault that waits for a signal, or ends it; nothing where none waits."""
        self.set(None if self._current is not None else self._waiting)

    def wrap(self, predict: Predict) -> Predict:
        """`predict` with the fault of the moment."""

        def faulty(rows: Rows) -> NDArray[np.float64]:
            over, current = self._over, self._current
            if current is None:
                return predict(rows)
            fault, start = current
            left_s = start + fault.lasting_s - self._monotonic()
            if left_s <= 0 or self._monotonic() < start:
                return predict(rows)
            if fault.kind is FaultKind.SLOW:
                return self._slowly(fault, over, predict, rows)
            return _meet(fault, left_s, over, predict, rows)

        return faulty

    def _slowly(self, fault: Fault, over: threading.Event, predict: Predict, rows: Rows) -> NDArray[np.float64]:
        began_s = self._monotonic()
        found = predict(rows)
        own_s = self._monotonic() - began_s
        over.wait(fault.slow_ms / 1000 + (fault.slow_times - 1) * own_s)
        return found


def _meet(fault: Fault, left_s: float, over: threading.Event, predict: Predict, rows: Rows) -> NDArray[np.float64]:
    match fault.kind:
        case FaultKind.HANG:
            over.wait(min(left_s, threading.TIMEOUT_MAX))
        case FaultKind.NAN:
            return np.full(len(rows), np.nan)
        case FaultKind.RAISE:
            raise InjectedError("injected: the model raises")
        case FaultKind.UNAVAILABLE:
            raise InjectedError("injected: the model is unavailable")
    return predict(rows)

"""Drills: named points at which a running instance kills or freezes itself, and a clock that jumps.

For tests and drills alone (`drills.enabled`, `lead-scorer run --inject`). In service every point is `nowhere`.
"""

from __future__ import annotations

import random
import re
import signal
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock, Timer, get_ident
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime.clock import Clock
from scoring.scorer import Scorer, Verdicts

At = Callable[[str], None]

IN_COMMIT = "in_commit"
POINTS = ("after_poll", "in_inference", "after_produce", "after_offsets", IN_COMMIT, "after_commit", "in_restore")
IN_COMMIT_S_MAX = 0.01
"""A commit takes some milliseconds: the signal comes at a random moment of so many seconds."""
USAGE = f"crash:POINT[:N] or freeze:POINT[:N] at the N-th passage of {', '.join(POINTS)}, or clock:SECONDS@START"

_SIGNAL = re.compile(rf"(?P<what>crash|freeze):(?P<point>{'|'.join(POINTS)})(?::(?P<passage>[1-9]\d*))?")
_CLOCK = re.compile(r"clock:(?P<step_s>[+-]?\d+)@(?P<start_s>\d+(?:\.\d+)?)")


class DrillSpecError(ValueError):
    """The text names no drill; the message says what does."""


def nowhere(point: str) -> None:
    """What every point is in service: nothing happens."""


@dataclass(frozen=True, slots=True)
class Drill:
    """A signal that the process sends itself at the n-th passage of a point, or a step of its wall clock."""

    signal: signal.Signals | None = None
    point: str = ""
    passage: int = 1
    clock_step_s: int = 0
    clock_start_s: float = 0.0


def is_drill(text: str) -> bool:
    """Whether `--inject` means one of these, and not a fault of the model."""
    return text.partition(":")[0] in ("crash", "freeze", "clock")


def parse_drill(text: str) -> Drill:
    """Reads `--inject`.

    Example:
        >>> parse_drill("crash:in_commit:3").passage
        3
        >>> parse_drill("clock:-3600@5").clock_step_s
        -3600

    Raises:
        DrillSpecError: Not a drill.
    """
    if match := _SIGNAL.fullmatch(text):
        number = signal.SIGKILL if match["what"] == "crash" else signal.SIGSTOP
        return Drill(number, match["point"], int(match["passage"] or 1))
    if match := _CLOCK.fullmatch(text):
        return Drill(clock_step_s=int(match["step_s"]), clock_start_s=float(match["start_s"]))
    raise DrillSpecError(f"{text!r} is not a drill; must be {USAGE}")


class Passages:
    """Counts the passages of a drill's point and sends the signal at its turn; points are passed on several threads."""

    def __init__(self, drill: Drill) -> None:
        self._drill, self._lock, self._count = drill, Lock(), 0

    def at(self, point: str) -> None:
        """The program passes a point."""
        if point != self._drill.point:
            return
        with self._lock:
            self._count += 1
            due = self._count == self._drill.passage
        if due and point == IN_COMMIT:
            Timer(random.uniform(0, IN_COMMIT_S_MAX), self._send).start()  # noqa: S311 - a random moment is wanted
        elif due:
            self._send()

    def _send(self) -> None:
        assert self._drill.signal is not None
        # To this thread: one to the process may be any other's to take, and until that runs this one leaves the point.
        signal.pthread_kill(get_ident(), self._drill.signal)


class SteppedClock:
    """A clock whose wall time jumps once, as after a correction; durations do not notice."""

    def __init__(self, clock: Clock, step_s: int, start_s: float) -> None:
        self._clock, self._step_ms = clock, 1000 * step_s
        self._from_s = clock.monotonic() + start_s

    def now_ms(self) -> int:
        """Wall-clock time in milliseconds since the epoch."""
        return self._clock.now_ms() + (self._step_ms if self.monotonic() >= self._from_s else 0)

    def monotonic(self) -> float:
        """Seconds that never go back."""
        return self._clock.monotonic()

    def sleep(self, seconds: float) -> None:
        """Lets that much time pass."""
        self._clock.sleep(seconds)


def prepare(drill: Drill | None, clock: Clock) -> tuple[Clock, At]:
    """The clock that the process uses, and what it calls when it passes a point."""
    if drill is None:
        return clock, nowhere
    if drill.signal is None:
        return SteppedClock(clock, drill.clock_step_s, drill.clock_start_s), nowhere
    return clock, Passages(drill).at


class PassingScorer:
    """A scorer on whose way a point lies."""

    def __init__(self, scorer: Scorer, at: At) -> None:
        self._scorer, self._at = scorer, at

    def score(self, features: NDArray[np.float64], rule_scores: NDArray[np.float64]) -> Verdicts:
        """Scores a batch."""
        self._at("in_inference")
        return self._scorer.score(features, rule_scores)

    def reasons(self, features: NDArray[np.float64]) -> list[list[dict[str, Any]]]:
        """As the scorer's."""
        return self._scorer.reasons(features)

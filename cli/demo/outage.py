"""The model's outage in the middle of the demo: when it begins, ends, and is overcome."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from cli.demo.plan import Plan
from cli.demo.sample import Sample


class Phase(StrEnum):
    """Where the demo is."""

    BEFORE = "before"
    OUT = "out"
    RECOVERING = "recovering"
    OVER = "over"


@dataclass(frozen=True, slots=True)
class Moment:
    """A moment on both clocks, and the service's figures then.

    Attributes:
        at_s: On the monotonic clock.
        at_ms: On the wall's, in ms since 1970.
        sample: The latest figures at that moment.
    """

    at_s: float
    at_ms: int
    sample: Sample


class Outage:
    """Decides when to switch; it switches nothing itself.

    Args:
        plan: When, and for how long; it may be never.

    Attributes:
        phase: Where the demo is.
        began: When the model went away.
        ended: When it could have answered again.
        recovered: When the breaker was seen closed and the model answering after that.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self.phase = Phase.BEFORE
        self.began: Moment | None = None
        self.ended: Moment | None = None
        self.recovered: Moment | None = None

    def step(self, sent: int, now: Moment, *, traffic_done: bool) -> Literal["begin", "end"] | None:
        """What is to be done now.

        Args:
            sent: Events sent so far.
            now: This moment.
            traffic_done: No more events come.
        """
        match self.phase:
            case Phase.BEFORE if self._plan.outage_s and sent >= self._plan.outage_at:
                self.phase, self.began = Phase.OUT, now
                return "begin"
            case Phase.OUT if traffic_done or now.at_s >= self._began_s + self._plan.outage_s:
                self.phase, self.ended = Phase.RECOVERING, now
                return "end"
            case Phase.RECOVERING if self._answers_again(now.sample):
                self.phase, self.recovered = Phase.OVER, now
        return None

    @property
    def _began_s(self) -> float:
        assert self.began is not None
        return self.began.at_s

    def _answers_again(self, sample: Sample) -> bool:
        assert self.ended is not None
        more = sample.scored_by("MODEL") > self.ended.sample.scored_by("MODEL")
        return sample.breaker == "closed" and sample.at_s > self.ended.at_s and more

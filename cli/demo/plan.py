"""How a demo goes: how many events, how fast, and how long the model is away in the middle of them."""

from dataclasses import dataclass
from typing import Final

EVENTS: Final = 20_000
RATE: Final = 500.0

_SHORTEST_S: Final = 6.0
"""Few events are sent slower than the default rate, so that there is time to see something."""

_OUTAGE_SHARE: Final = 0.2
_OUTAGE_MAX_S: Final = 6.0
_OUTAGE_MIN_S: Final = 0.5
_OUTAGE_EVENTS_MIN: Final = 30
"""Of the whole run; with fewer there may be none at all within the outage."""

_OPEN_MAX_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Plan:
    """A demo's traffic and outage.

    Attributes:
        events: How many records are sent.
        rate: How many a second.
        outage_s: How long the model is away; 0: it stays.
        open_s: How long the breaker stays open before it probes: so short that recovery is seen before the traffic
            ends.
    """

    events: int
    rate: float
    outage_s: float
    open_s: float

    @property
    def duration_s(self) -> float:
        """How long the traffic lasts."""
        return self.events / self.rate

    @property
    def too_short(self) -> str:
        """Why there is no outage, where the plan has none."""
        if self.events < _OUTAGE_EVENTS_MIN:
            return f"{self.events} events are too few, {_OUTAGE_EVENTS_MIN} are enough"
        return f"{self.duration_s:.1f} s of traffic are too short, {_OUTAGE_MIN_S / _OUTAGE_SHARE:g} s are enough"

    @property
    def outage_at(self) -> int:
        """After how many sent events the model goes away."""
        return self.events // 2


def make_plan(events: int, rate: float | None = None) -> Plan:
    """The plan for so many events, at the default rate if none is given.

    >>> make_plan(20_000)
    Plan(events=20000, rate=500.0, outage_s=6.0, open_s=0.75)
    >>> make_plan(300).duration_s
    6.0
    >>> make_plan(3000, rate=3000).outage_s
    0.0
    """
    rate = min(RATE, events / _SHORTEST_S) if rate is None else rate
    outage_s = min(_OUTAGE_MAX_S, _OUTAGE_SHARE * events / rate)
    if outage_s < _OUTAGE_MIN_S or events < _OUTAGE_EVENTS_MIN:
        outage_s = 0.0
    open_s = min(_OPEN_MAX_S, outage_s / 8) or _OPEN_MAX_S
    return Plan(events, rate, outage_s, open_s)

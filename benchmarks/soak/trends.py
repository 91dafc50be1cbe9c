"""Whether something grows: robust slopes over the quiet moments of a process's life."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import theilslopes  # type: ignore[import-untyped]

Values = NDArray[np.float64]

WARM_UP_S = 300.0
WARM_UP_SHARE = 0.25
"""Of each life, whichever is longer: caches fill, and the heap finds its size once each fault came a few times. The
first six models that are loaded cost 20 MB that seventy do not exceed, the first dozen restarts of the broker 35 MB, a
third of which the allocator could give back."""
SAMPLES_MIN = 30
POINTS_MAX = 400
"""Points that are fitted, each the median of its share of the samples: pairs of points grow with the square."""


class Limit(NamedTuple):
    """What is no leak yet.

    Attributes:
        per_hour: A slope up to here is none.
        growth: Nor is less than this over a whole life, however steep: short lives have steep noise.
    """

    per_hour: float
    growth: float


LIMITS: Mapping[str, Limit] = {
    "resident MB": Limit(per_hour=20.0, growth=40.0),
    "descriptors": Limit(per_hour=6.0, growth=24.0),
    "threads": Limit(per_hour=6.0, growth=16.0),
}
"""A client has 8 to 12 descriptors and 5 to 8 threads. Two are made when they are first needed, and a producer whose
call does not come back (librdkafka#5511) stays until it does, for minutes: up to three were seen at once, and went
again."""


class Trend(NamedTuple):
    """How a quantity developed.

    Attributes:
        first: The fitted value at the first sample that was used.
        last: The fitted value at the last one.
        per_hour: Slope.
        low_per_hour: The lower end of its 95 % interval.
    """

    first: float
    last: float
    per_hour: float
    low_per_hour: float

    def exceeds(self, limit: Limit) -> bool:
        """Whether it surely grows, and by more than noise."""
        return self.low_per_hour > limit.per_hour and self.last - self.first > limit.growth


def trend(at_s: Values, values: Values) -> Trend:
    """Theil-Sen's slope, the median of those of all pairs: a third of the samples may be anything (Sen 1968).

    Args:
        at_s: `(n,)` seconds, rising; two or more.
        values: `(n,)`.

    >>> trend(np.arange(100.0), 5 + np.arange(100.0) / 3600).per_hour.round(6)
    np.float64(1.0)
    """
    chunks = min(len(at_s), POINTS_MAX)
    at_h = np.array([np.median(part) for part in np.array_split(at_s, chunks)]) / 3600
    levels = np.array([np.median(part) for part in np.array_split(values, chunks)])
    slope, intercept, low, _ = theilslopes(levels, at_h, alpha=0.95)
    first, last = intercept + slope * at_h[0], intercept + slope * at_h[-1]
    return Trend(float(first), float(last), float(slope), float(low))


class Life(NamedTuple):
    """One process from its start to its end.

    Attributes:
        instance: Its id.
        pid: Of the process.
        at_s: `(n,)` seconds since the soak began, at which it was looked at.
        quiet: `(n,) bool`: no fault was going on, and the last one was overcome.
        values: `(n,)` by name, as in `LIMITS`.
    """

    instance: str
    pid: int
    at_s: Values
    quiet: NDArray[np.bool_]
    values: Mapping[str, Values]

    @property
    def lasted_s(self) -> float:
        """Seconds between the first and the last look."""
        return float(self.at_s[-1] - self.at_s[0])

    def judged(self) -> NDArray[np.bool_]:
        """The samples that count: quiet ones after the warm-up."""
        warm_up_s = max(WARM_UP_S, WARM_UP_SHARE * self.lasted_s)
        late: NDArray[np.bool_] = self.at_s >= self.at_s[0] + warm_up_s
        return np.logical_and(self.quiet, late)

    def trends(self) -> dict[str, Trend]:
        """By name; none if the life was too short to tell."""
        mask = self.judged()
        if mask.sum() < SAMPLES_MIN:
            return {}
        return {name: trend(self.at_s[mask], self.values[name][mask]) for name in LIMITS}


def problems(lives: Sequence[Life]) -> list[str]:
    """A sentence for each quantity that grows in a life."""
    return [
        f"{name} of {life.instance} (pid {life.pid}) grows by {found.per_hour:.1f} an hour, surely by "
        f"{found.low_per_hour:.1f}, over {life.lasted_s:.0f} s; allowed are {LIMITS[name].per_hour:g}"
        for life in lives
        for name, found in life.trends().items()
        if found.exceeds(LIMITS[name])
    ]

"""The stream gates: is what comes in still like what the model knows? They alarm and never halt (contract 5)."""

import math
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from scoring.profile import Profile

WINDOW: Final = 1000
LIMITS: Final = {
    "email_completeness": 0.05,
    "null_headcount": 0.05,
    "null_created_at": 0.05,
    "engagement_shift": 0.25,
}
"""The gates, and the ratio above which each alarms."""

ALARM_FROM: Final = 100
"""Profile updates, or events, that a gate must have seen to alarm: one of the first ten lacking a field says little."""

_POINTS: Final = 10  # engagement is a whole number of tenths: summed as such, a running sum does not drift


class Ratios(NamedTuple):
    """Where the gates stand; None as long as nothing is known.

    Attributes:
        email_completeness: The share of the latest profile updates whose lead had no e-mail address seen after it.
        null_headcount: The same, for no headcount (0 is one).
        null_created_at: The same, for no creation time.
        engagement_shift: |mean engagement of the latest events - baseline| / baseline; None without a baseline.
    """

    email_completeness: float | None
    null_headcount: float | None
    null_created_at: float | None
    engagement_shift: float | None


class StreamGates:
    """The gates over the latest accepted events of an instance.

    Args:
        window: How many profile updates, and how many events, the gates look back.
        baseline_engagement: The mean engagement that the model was trained on; None without a model.

    Example:
        >>> gates = StreamGates(baseline_engagement=10.0)
        >>> gates.add_update(Profile(contactable=True, company_headcount=0))
        >>> gates.add_engagement(np.array([10.0, 15.0]))
        >>> gates.ratios()
        Ratios(email_completeness=0.0, null_headcount=0.0, null_created_at=1.0, engagement_shift=0.25)
    """

    __slots__ = ("_engagement", "_updates", "baseline_engagement")

    def __init__(self, window: int = WINDOW, baseline_engagement: float | None = None) -> None:
        self.baseline_engagement = baseline_engagement
        self._updates = _Flags(window)
        self._engagement = _Ring(window)

    def add_update(self, profile: Profile) -> None:
        """Notes an accepted PROFILE_UPDATE by its lead's profile after it."""
        self._updates.add(
            (not profile.contactable) | (profile.company_headcount is None) << 1 | (profile.created_at is None) << 2
        )

    def add_engagement(self, engagement: NDArray[np.float64]) -> None:
        """Notes the `engagement_score` of accepted events of any type, `(n,) float64`, in offset order."""
        self._engagement.extend(np.rint(engagement * _POINTS).astype(np.int64))

    def ratios(self) -> Ratios:
        """Where the gates stand now."""
        return Ratios(*self._updates.shares(), self._shift())

    def alarms(self) -> list[str]:
        """The gates that are past their limit, once they have seen `ALARM_FROM` records."""
        ratios = self.ratios()._asdict()
        updates, events = self._updates.count >= ALARM_FROM, self._engagement.count >= ALARM_FROM
        judged = {gate: events if gate == "engagement_shift" else updates for gate in LIMITS}
        return [gate for gate, limit in LIMITS.items() if judged[gate] and (ratios[gate] or 0.0) > limit]

    def copy(self) -> "StreamGates":
        """A second set in the same state, to be dropped should the batch abort."""
        copied = StreamGates.__new__(StreamGates)
        copied.baseline_engagement = self.baseline_engagement
        copied._updates = self._updates.copy()
        copied._engagement = self._engagement.copy()
        return copied

    def _shift(self) -> float | None:
        points, baseline = self._engagement.mean(), self.baseline_engagement
        if points is None or baseline is None:
            return None
        difference = abs(points / _POINTS - baseline)
        if baseline == 0.0:
            return math.inf if difference else 0.0
        return difference / baseline


class _Flags:
    """What the last `size` profile updates lack, three bits each, and how many lack what."""

    __slots__ = ("_at", "_lacking", "_values", "count")

    def __init__(self, size: int) -> None:
        self._values = bytearray(size)
        self._at = 0  # where the next goes: the place of the oldest
        self.count = 0
        self._lacking = [0] * 8  # by the three bits together

    def add(self, flags: int) -> None:
        at, values = self._at, self._values
        if self.count == len(values):
            self._lacking[values[at]] -= 1
        else:
            self.count += 1
        self._lacking[flags] += 1
        values[at] = flags
        self._at = (at + 1) % len(values)

    def shares(self) -> tuple[float | None, float | None, float | None]:
        return self._share(1), self._share(2), self._share(4)

    def _share(self, bit: int) -> float | None:
        if not self.count:
            return None
        return sum(n for flags, n in enumerate(self._lacking) if flags & bit) / self.count

    def copy(self) -> "_Flags":
        copied = _Flags.__new__(_Flags)
        copied._values, copied._lacking = self._values[:], self._lacking[:]
        copied._at, copied.count = self._at, self.count
        return copied


class _Ring:
    """The last `size` whole numbers and their running sum."""

    __slots__ = ("_at", "_sum", "_values", "count")

    def __init__(self, size: int) -> None:
        self._values = np.zeros(size, dtype=np.int64)
        self._at = 0  # where the next goes: the place of the oldest
        self.count = 0
        self._sum = 0

    def extend(self, values: NDArray[np.int64]) -> None:
        size = len(self._values)
        values = values[-size:]
        places = (self._at + np.arange(len(values))) % size
        self._sum += int(values.sum()) - int(self._values[places].sum())
        self._values[places] = values
        self._at = (self._at + len(values)) % size
        self.count = min(self.count + len(values), size)

    def mean(self) -> float | None:
        return self._sum / self.count if self.count else None

    def copy(self) -> "_Ring":
        copied = _Ring.__new__(_Ring)
        copied._values = self._values.copy()
        copied._at, copied.count, copied._sum = self._at, self.count, self._sum
        return copied

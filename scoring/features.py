"""The five features and the rule score: one definition for training and serving (contract 5 and 6, docs/features.md).

What a feature needs is noted once per accepted event, in whole numbers; the features of a batch are then computed in
one go, in double precision.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from scoring.profile import Profile

FEATURES: Final = (
    "engagement_score",
    "recency_score",
    "weighted_engagement",
    "days_since_last_activity",
    "company_size_bucket",
)
"""The names of the features, in the order of every feature matrix."""

DAY_MS: Final = 86_400_000
NO_ACTIVITY_DAYS: Final = 999.0
RECENCY_DAYS: Final = 21.0  # recency falls to 1/e in three weeks
_POINTS_MAX: Final = 1000  # of engagement; its score is a tenth of the points
_BUCKET_ABOVE: Final = np.array([0, 50, 500, 5000], dtype=np.int64)  # headcounts: a bucket begins above its edge
_SIZE_WEIGHTS: Final = np.array([1.0, 1.0, 2.0, 4.0, 3.0])  # unknown, startup, mid_market, enterprise, mega
_NO_ACTIVITY: Final = -(2**63)  # in the place of a time: year 1 is at -6.2e13 ms
_COLUMNS: Final = 6


class Observations:
    """What the features of a batch's accepted events are computed from, one row per event.

    Example:
        >>> observations = Observations()
        >>> observations.append(Profile(demo_requests=1, company_headcount=800), 0, previous_activity_at=None)
        >>> matrix = features(observations)
        >>> matrix.round(3).tolist()
        [[2.0, 0.0, 8.0, 999.0, 2.0]]
        >>> rule_scores(observations, matrix).tolist()
        [0.7]
    """

    __slots__ = ("_cells",)

    def __init__(self) -> None:
        self._cells: list[int] = []

    def append(self, profile: Profile, occurred_at: int, previous_activity_at: int | None) -> None:
        """Notes one event.

        Args:
            profile: The lead's profile *after* the event.
            occurred_at: When the event occurred, in ms since 1970.
            previous_activity_at: The profile's `last_activity_at` *before* the event.
        """
        self._cells.extend(
            (
                profile.page_visits,
                profile.email_opens,
                profile.demo_requests,
                profile.company_headcount or 0,  # none and 0 both mean a size that is not known
                occurred_at,
                _NO_ACTIVITY if previous_activity_at is None else previous_activity_at,
            )
        )

    def __len__(self) -> int:
        return len(self._cells) // _COLUMNS

    def columns(self) -> NDArray[np.int64]:
        """The rows as columns, `(6, n) int64`: three counts, headcount, occurred at, previous activity."""
        return np.fromiter(self._cells, dtype=np.int64, count=len(self._cells)).reshape(-1, _COLUMNS).T

    def demo_requests(self) -> NDArray[np.int64]:
        """The demo requests of each row's lead, `(n,) int64`."""
        return np.array(self._cells[2::_COLUMNS], dtype=np.int64)


def features(observations: Observations) -> NDArray[np.float64]:
    """The features of the observed events, `(n, 5) float64`, columns as in `FEATURES`."""
    page_visits, email_opens, demo_requests, headcounts, occurred_at, previous_at = observations.columns()
    matrix = np.empty((len(occurred_at), len(FEATURES)))
    engagement = _engagement(page_visits, email_opens, demo_requests)
    days = _days_since(occurred_at, previous_at)
    buckets = np.searchsorted(_BUCKET_ABOVE, headcounts, side="left")
    matrix[:, 0] = engagement
    matrix[:, 1] = np.exp(days / -RECENCY_DAYS)
    matrix[:, 2] = engagement * _SIZE_WEIGHTS[buckets]
    matrix[:, 3] = days
    matrix[:, 4] = buckets - 1
    return matrix


def _engagement(
    page_visits: NDArray[np.int64], email_opens: NDArray[np.int64], demo_requests: NDArray[np.int64]
) -> NDArray[np.float64]:
    # A count at the limit reaches it alone, so that bounding each count first changes nothing and cannot overflow.
    points = (
        3 * np.minimum(email_opens, _POINTS_MAX)
        + 5 * np.minimum(page_visits, _POINTS_MAX)
        + 20 * np.minimum(demo_requests, _POINTS_MAX)
    )
    score: NDArray[np.float64] = np.minimum(points, _POINTS_MAX) / 10.0
    return score


def _days_since(occurred_at: NDArray[np.int64], previous_at: NDArray[np.int64]) -> NDArray[np.float64]:
    no_activity = previous_at == _NO_ACTIVITY
    elapsed_ms = occurred_at - np.where(no_activity, occurred_at, previous_at)
    days = np.maximum(elapsed_ms // DAY_MS, 0).astype(np.float64)
    days[no_activity] = NO_ACTIVITY_DAYS
    return days


def rule_scores(observations: Observations, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """The rules' scores of the same events, `(n,) float64`: tenths in whole numbers, then divided by ten.

    Added as doubles, 0.3 + 0.3 + 0.2 + 0.1 would not be 0.9.

    Args:
        observations: The events.
        matrix: Their features.
    """
    tenths = (
        3
        + 3 * (observations.demo_requests() > 0).astype(np.int64)
        + 2 * (matrix[:, 0] > 50.0).astype(np.int64)
        + (matrix[:, 4] >= 2.0).astype(np.int64)  # enterprise or mega
    )
    scores: NDArray[np.float64] = tenths / 10.0
    return scores


def are_features(matrix: NDArray[np.float64]) -> bool:
    """Whether `(n, 5)` rows, columns as in `FEATURES`, can be features of events.

    Two features follow from the others, which no other order of the columns fulfils unless it does not matter.

    Example:
        >>> are_features(np.array([[2.0, 1.0, 8.0, 0.0, 2.0]])), are_features(np.array([[2.0, 0.0, 8.0, 1.0, 2.0]]))
        (True, False)
    """
    engagement, recency, weighted, days, buckets = matrix.T
    if not np.isin(buckets, np.arange(len(_SIZE_WEIGHTS)) - 1).all() or (days < 0).any():
        return False
    weights = _SIZE_WEIGHTS[buckets.astype(np.int64) + 1]
    return np.allclose(recency, np.exp(days / -RECENCY_DAYS), atol=1e-6) and np.allclose(weighted, engagement * weights)

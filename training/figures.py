"""Figures of a score against what happened; all of them plain functions of labels and scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import (  # type: ignore[import-untyped]
    average_precision_score,
    brier_score_loss,
    precision_recall_curve,
    roc_auc_score,
    roc_curve,
)

Labels = NDArray[np.int8]
Scores = NDArray[np.float64]

THRESHOLDS = (0.50, 0.60, 0.70, 0.80)
_RELIABILITY_EDGES = np.arange(1, 10) / 10
_CURVE_POINTS_MAX = 200


@dataclass(frozen=True, slots=True)
class AtThreshold:
    """What contacting everybody at or above the threshold gives; precision is None where nobody is there."""

    threshold: float
    precision: float | None
    recall: float
    volume: int
    volume_share: float


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """Rows with scores from `low` up to `high`: what was promised, what happened, and a 95 % interval of the latter.

    The interval counts leads, not rows: a lead's rows mostly share their outcome, so that ten of them say little more
    than one.
    """

    low: float
    high: float
    rows: int
    leads: int
    mean_score: float
    observed: float
    observed_low: float
    observed_high: float


@dataclass(frozen=True, slots=True)
class Curve:
    """Points of a curve, thinned."""

    x: tuple[float, ...]
    y: tuple[float, ...]


def roc_auc(labels: Labels, scores: Scores) -> float:
    """Area under the ROC curve."""
    return float(roc_auc_score(labels, scores))


def average_precision(labels: Labels, scores: Scores) -> float:
    """Average precision: the step-wise area under precision over recall."""
    return float(average_precision_score(labels, scores))


def brier(labels: Labels, scores: Scores) -> float:
    """Mean squared difference between the score and what happened (Brier, 1950)."""
    return float(brier_score_loss(labels, scores))


def at_thresholds(labels: Labels, scores: Scores, thresholds: Sequence[float] = THRESHOLDS) -> tuple[AtThreshold, ...]:
    """Precision, recall and volume of contacting at and above each threshold.

    >>> table = at_thresholds(np.array([0, 1, 1], dtype=np.int8), np.array([0.2, 0.4, 0.9]), [0.5])
    >>> table[0].precision, table[0].recall, table[0].volume
    (1.0, 0.5, 1)
    """
    n_positive = int(labels.sum())
    rows = []
    for threshold in thresholds:
        chosen = scores >= threshold
        volume, hits = int(chosen.sum()), int(labels[chosen].sum())
        precision = hits / volume if volume else None
        rows.append(AtThreshold(threshold, precision, hits / n_positive, volume, volume / len(labels)))
    return tuple(rows)


def reliability(labels: Labels, scores: Scores, leads: NDArray[np.int64]) -> tuple[ReliabilityBin, ...]:
    """Promised against observed conversion in ten equal ranges of the score; empty ranges are left out."""
    ranges = np.searchsorted(_RELIABILITY_EDGES, scores, side="right")
    bins = []
    for number in np.unique(ranges).tolist():
        chosen = ranges == number
        n_rows, n_leads = int(chosen.sum()), len(np.unique(leads[chosen]))
        mean, observed = float(scores[chosen].mean()), float(labels[chosen].mean())
        low, high = wilson(observed, n_leads)
        bins.append(ReliabilityBin(number / 10, (number + 1) / 10, n_rows, n_leads, mean, observed, low, high))
    return tuple(bins)


def expected_calibration_error(bins: Sequence[ReliabilityBin]) -> float:
    """Mean gap between promised and observed over the rows (Naeini et al., 2015)."""
    rows = sum(item.rows for item in bins)
    return sum(item.rows * abs(item.mean_score - item.observed) for item in bins) / rows


def wilson(observed: float, n: int) -> tuple[float, float]:
    """The 95 % interval of a share that was observed on `n` (Wilson, 1927).

    >>> [round(limit, 3) for limit in wilson(0.1, 10)]
    [0.018, 0.404]
    """
    z2 = 1.959964**2
    centre = (observed * n + z2 / 2) / (n + z2)
    half = (z2 * (n * observed * (1 - observed) + z2 / 4)) ** 0.5 / (n + z2)
    return max(0.0, centre - half), min(1.0, centre + half)


def roc(labels: Labels, scores: Scores) -> Curve:
    """True positive rate over false positive rate."""
    false_positive, true_positive, _ = roc_curve(labels, scores)
    return _thinned(false_positive, true_positive)


def precision_recall(labels: Labels, scores: Scores) -> Curve:
    """Precision over recall, by rising recall."""
    precision, recall, _ = precision_recall_curve(labels, scores)
    return _thinned(recall[::-1], precision[::-1])


def _thinned(x: NDArray[np.float64], y: NDArray[np.float64]) -> Curve:
    """At most so many points, even along the x axis."""
    if len(x) > _CURVE_POINTS_MAX:
        wanted = np.linspace(x[0], x[-1], _CURVE_POINTS_MAX)
        at = np.unique([0, *np.clip(np.searchsorted(x, wanted), 0, len(x) - 1), len(x) - 1])
        x, y = x[at], y[at]
    return Curve(tuple(np.round(x, 5).tolist()), tuple(np.round(y, 5).tolist()))

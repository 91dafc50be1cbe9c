"""Figures agree with their definitions."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from training.figures import at_thresholds, expected_calibration_error, reliability, roc, wilson

CASES = st.lists(st.tuples(st.booleans(), st.floats(0, 1)), min_size=2, max_size=50).filter(
    lambda rows: any(label for label, _ in rows)
)


@given(CASES, st.floats(0, 1))
def test_precision_recall_and_volume_are_counts(rows: list[tuple[bool, float]], threshold: float) -> None:
    """Contacted at or above the threshold; of these that convert; of those that convert."""
    labels, scores = np.array([row[0] for row in rows], dtype=np.int8), np.array([row[1] for row in rows])
    (row,) = at_thresholds(labels, scores, [threshold])
    contacted = [label for label, score in rows if score >= threshold]
    assert row.volume == len(contacted)
    assert row.recall == sum(contacted) / sum(label for label, _ in rows)
    assert row.precision == (sum(contacted) / len(contacted) if contacted else None)


@given(CASES)
def test_every_row_is_in_one_range_of_the_reliability_table(rows: list[tuple[bool, float]]) -> None:
    """A score of exactly 1 too; the promised mean lies within the range."""
    labels, scores = np.array([row[0] for row in rows], dtype=np.int8), np.array([row[1] for row in rows])
    bins = reliability(labels, scores, np.arange(len(rows)))
    assert sum(item.rows for item in bins) == len(rows)
    assert all(item.low - 1e-12 <= item.mean_score <= item.high + 1e-12 for item in bins)
    assert all(item.observed_low - 1e-12 <= item.observed <= item.observed_high + 1e-12 for item in bins)


def test_intervals_count_leads_and_not_rows() -> None:
    """A hundred rows of one lead say little more than one."""
    labels, scores = np.ones(100, dtype=np.int8), np.full(100, 0.55)
    (wide,) = reliability(labels, scores, np.zeros(100, dtype=np.int64))
    (narrow,) = reliability(labels, scores, np.arange(100))
    assert wide.observed_low < 0.25 < 0.95 < narrow.observed_low


def test_the_calibration_error_weighs_ranges_by_rows() -> None:
    """Three rows off by 0.05 and one by 0.45: 0.15 on average."""
    labels = np.array([0, 0, 0, 1], dtype=np.int8)
    bins = reliability(labels, np.array([0.05, 0.05, 0.05, 0.55]), np.arange(4))
    assert abs(expected_calibration_error(bins) - 0.15) < 1e-12


@given(st.floats(0, 1), st.integers(1, 10_000))
def test_an_interval_is_one(observed: float, n: int) -> None:
    """Within 0 and 1 and around what was observed."""
    low, high = wilson(observed, n)
    assert 0 <= low <= observed + 1e-9
    assert observed - 1e-9 <= high <= 1


def test_a_thinned_curve_keeps_its_ends() -> None:
    """From (0, 0) to (1, 1), with few points."""
    rng = np.random.default_rng(0)
    labels = (rng.random(20_000) < 0.3).astype(np.int8)
    curve = roc(labels, rng.random(20_000))
    assert (curve.x[0], curve.y[0], curve.x[-1], curve.y[-1]) == (0, 0, 1, 1)
    assert len(curve.x) <= 210

"""Splits by lead and in time."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scoring.features import DAY_MS
from tests.unit.training.data import dataset
from training.errors import DataRefusedError
from training.splits import TimeSplit, grouped_splits, time_split


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000), st.integers(2, 6))
def test_no_lead_is_on_both_sides_and_every_row_is_tested_once(seed: int, n_splits: int) -> None:
    """Else a lead's rows would teach the answer to its other rows."""
    data = dataset(240, rows_per_lead=4, seed=seed)
    tested = []
    for train, test in grouped_splits(data.labels, data.leads, n_splits, seed):
        assert not set(data.leads[train]) & set(data.leads[test])
        tested += test.tolist()
    assert sorted(tested) == list(range(len(data)))


def test_a_seed_gives_the_same_splits() -> None:
    """And another seed others."""
    data = dataset()

    def first(seed: int) -> list[int]:
        return list(grouped_splits(data.labels, data.leads, 5, seed)[0][1])

    assert first(1) == first(1)
    assert first(1) != first(2)


def test_too_few_converting_leads_are_refused_in_words() -> None:
    """Two leads cannot be in five test folds."""
    data = dataset()
    labels = (data.leads < 2).astype(np.int8)
    with pytest.raises(DataRefusedError, match="2 of 200 leads convert"):
        grouped_splits(labels, data.leads, 5, 0)


def test_the_check_in_time_parts_leads_and_times() -> None:
    """Training labels were known at the cut, test rows come after it, and no lead is on both sides."""
    data = dataset(3000)
    split = time_split(data, 0)
    assert isinstance(split, TimeSplit)
    assert data.known_at_ms is not None
    assert (data.known_at_ms[split.train] + 7 * DAY_MS).max() <= split.cut_ms
    assert data.known_at_ms[split.test].min() >= split.cut_ms
    assert not set(data.leads[split.train]) & set(data.leads[split.test])


def test_without_times_there_is_no_check_in_time() -> None:
    """It says why."""
    assert time_split(dataset(times=False), 0) == "the data have no times"


def test_a_horizon_as_long_as_the_data_leaves_no_check_in_time() -> None:
    """No label is known at the cut."""
    data = dataset()
    long = replace(data, source=replace(data.source, horizon_days=90.0))
    assert time_split(long, 0) == "0 leads convert before the cut, at least 10 are needed"

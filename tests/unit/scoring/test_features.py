"""The five features and the rule score, at their edges and against a second implementation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scoring.features import FEATURES, Observations, are_features, features, rule_scores
from scoring.profile import Profile
from tests import oracle
from tests.unit.scoring.strategies import DAY_MS, HEADCOUNT_EDGES, NOON_MS, YEAR_1_MS, YEAR_9999_MS, times

small_counts = st.one_of(st.integers(0, 120), st.integers(0, 2**63 - 1))
sizes = st.one_of(st.sampled_from(HEADCOUNT_EDGES), st.integers(0, 2**31 - 1))


def observed(profile: Profile, occurred_at: int = NOON_MS, previous: int | None = None) -> Observations:
    observations = Observations()
    observations.append(profile, occurred_at, previous)
    return observations


def feature(name: str, profile: Profile, occurred_at: int = NOON_MS, previous: int | None = None) -> float:
    return float(features(observed(profile, occurred_at, previous))[0, FEATURES.index(name)])


def rule_score(**fields: Any) -> float:
    observations = observed(Profile(**fields))
    return float(rule_scores(observations, features(observations))[0])


@pytest.mark.parametrize(
    ("opens", "visits", "demos", "score"),
    [
        (0, 0, 0, 0.0),
        (1, 0, 0, 0.3),
        (0, 1, 0, 0.5),
        (0, 0, 1, 2.0),
        (333, 0, 0, 99.9),
        (0, 200, 0, 100.0),
        (2**63 - 1, 2**63 - 1, 2**63 - 1, 100.0),
    ],
)
def test_engagement(opens: int, visits: int, demos: int, score: float) -> None:
    """Points of opens, visits and demo requests, bounded at 1000, by ten; exact, and without overflow."""
    assert feature("engagement_score", Profile(visits, opens, demos)) == score


@pytest.mark.parametrize(
    ("headcount", "bucket", "weight"),
    [
        (None, -1, 1),
        (0, -1, 1),
        (1, 0, 1),
        (50, 0, 1),
        (51, 1, 2),
        (500, 1, 2),
        (501, 2, 4),
        (5000, 2, 4),
        (5001, 3, 3),
        (2**31 - 1, 3, 3),
    ],
)
def test_size(headcount: int | None, bucket: int, weight: int) -> None:
    """The bucket of a headcount and the weight that it gives to engagement."""
    profile = Profile(demo_requests=1, company_headcount=headcount)
    assert feature("company_size_bucket", profile) == bucket
    assert feature("weighted_engagement", profile) == 2.0 * weight


@pytest.mark.parametrize(
    ("occurred_at", "previous", "days"),
    [
        (NOON_MS, None, 999),
        (NOON_MS, NOON_MS, 0),
        (NOON_MS, NOON_MS - DAY_MS + 1, 0),
        (NOON_MS, NOON_MS - DAY_MS, 1),
        (NOON_MS, NOON_MS + 5 * DAY_MS, 0),
        (NOON_MS, NOON_MS - 2000 * DAY_MS, 2000),
        (-1, -DAY_MS - 1, 1),
        (0, -1, 0),
        (YEAR_9999_MS, YEAR_1_MS, 3652058),
        (YEAR_1_MS, YEAR_9999_MS, 0),
        (YEAR_1_MS, None, 999),
    ],
)
def test_days(occurred_at: int, previous: int | None, days: int) -> None:
    """Whole days since the activity before; never negative; 999 without any, and more where it is more."""
    assert feature("days_since_last_activity", Profile(), occurred_at, previous) == days


@pytest.mark.parametrize(("days", "recency"), [(0, 1.0), (21, 0.36787944117144233), (999, 2.187716665534745e-21)])
def test_recency(days: int, recency: float) -> None:
    """Recency falls to 1/e in three weeks; 1 on the same day."""
    assert feature("recency_score", Profile(), NOON_MS, NOON_MS - days * DAY_MS) == pytest.approx(recency, rel=1e-12)


@pytest.mark.parametrize(
    ("fields", "score"),
    [
        ({}, 0.3),
        ({"demo_requests": 1}, 0.6),
        ({"demo_requests": 26}, 0.8),
        ({"page_visits": 100}, 0.3),
        ({"email_opens": 165, "page_visits": 1}, 0.3),
        ({"email_opens": 167}, 0.5),
        ({"page_visits": 101, "company_headcount": 501}, 0.6),
        ({"demo_requests": 26, "company_headcount": 5000}, 0.9),
        ({"demo_requests": 26, "company_headcount": 5001}, 0.9),
        ({"company_headcount": 500}, 0.3),
        ({"company_headcount": 501}, 0.4),
        ({"company_headcount": 0}, 0.3),
    ],
)
def test_rule_score(fields: dict[str, Any], score: float) -> None:
    """Tenths, exactly: 0.9 is the double 0.9, and an engagement of exactly 50 is not over 50."""
    assert rule_score(**fields) == score


def test_no_events() -> None:
    """A batch without accepted events has features and scores of length 0."""
    observations = Observations()
    matrix = features(observations)
    assert matrix.shape == (0, 5)
    assert rule_scores(observations, matrix).shape == (0,)


def test_a_row_is_as_it_was() -> None:
    """What happens to a profile after its event was noted does not change the event's row."""
    profile = Profile(page_visits=1)
    observations = observed(profile)
    profile.page_visits = 100
    assert features(observations)[0, 0] == 0.5


def test_the_matrix_is_in_double_precision() -> None:
    """Features and rule scores are float64, rows contiguous."""
    observations = observed(Profile())
    matrix = features(observations)
    assert matrix.dtype == rule_scores(observations, matrix).dtype == np.float64
    assert matrix.flags.c_contiguous


@given(st.lists(st.tuples(small_counts, small_counts, small_counts, sizes, times, st.none() | times), max_size=20))
def test_features_agree_with_the_oracle(rows: list[tuple[int, int, int, int | None, int, int | None]]) -> None:
    """Over all of their ranges both implementations agree: exactly, but for the last bits of the exponential."""
    observations = Observations()
    expected = []
    for visits, opens, demos, headcount, occurred_at, previous in rows:
        profile = Profile(visits, opens, demos, headcount)
        observations.append(profile, occurred_at, previous)
        lead = {"page_visits": visits, "email_opens": opens, "demo_requests": demos, "company_headcount": headcount}
        by_name = oracle.features_of(lead, occurred_at, previous)
        expected.append(([by_name[name] for name in FEATURES], oracle.rule_score_of(lead, by_name)))
    matrix = features(observations)
    assert rule_scores(observations, matrix).tolist() == [score for _, score in expected]
    for row, (values, _) in zip(matrix.tolist(), expected, strict=True):
        assert row == pytest.approx(values, rel=1e-12, abs=0.0)
        assert row[:1] + row[2:] == values[:1] + values[2:]


@given(profile=st.builds(Profile, small_counts, small_counts, small_counts, sizes), occurred_at=times, previous=times)
def test_what_is_computed_here_is_taken_for_features(profile: Profile, occurred_at: int, previous: int) -> None:
    """Whatever the lead did; in float32 too, which is what models take."""
    matrix = features(observed(profile, occurred_at, previous))
    assert are_features(matrix)
    assert are_features(matrix.astype(np.float32).astype(np.float64))


@pytest.mark.parametrize("column", range(5))
def test_rows_that_no_event_has_are_no_features(column: int) -> None:
    """One of five values changed: what follows from the others does not follow any more."""
    row = features(observed(Profile(demo_requests=1, company_headcount=800), NOON_MS, NOON_MS - 9 * DAY_MS))
    row[0, column] += 0.5
    assert not are_features(row)

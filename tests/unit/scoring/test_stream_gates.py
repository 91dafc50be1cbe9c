"""The stream gates: shares and shift over the latest events, exact however they came in, absent until known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scoring.profile import Profile
from scoring.stream_gates import ALARM_FROM, LIMITS, WINDOW, Ratios, StreamGates

COMPLETE = Profile(contactable=True, company_headcount=10, created_at=5)


def with_engagement(*values: float, baseline: float | None = 10.0, window: int = WINDOW) -> StreamGates:
    gates = StreamGates(window, baseline)
    gates.add_engagement(np.array(values))
    return gates


def test_nothing_is_known_at_first() -> None:
    """Without events no gate has a ratio and none alarms."""
    gates = StreamGates(baseline_engagement=10.0)
    assert gates.ratios() == Ratios(None, None, None, None)
    assert gates.alarms() == []


@pytest.mark.parametrize(
    ("profile", "ratios"),
    [
        (COMPLETE, (0.0, 0.0, 0.0)),
        (Profile(company_headcount=10, created_at=5), (1.0, 0.0, 0.0)),
        (Profile(contactable=True, created_at=5), (0.0, 1.0, 0.0)),
        (Profile(contactable=True, company_headcount=10), (0.0, 0.0, 1.0)),
        (Profile(), (1.0, 1.0, 1.0)),
        (Profile(contactable=True, company_headcount=0, created_at=0), (0.0, 0.0, 0.0)),
    ],
)
def test_what_a_lead_lacks(profile: Profile, ratios: tuple[float, float, float]) -> None:
    """Each gate counts what it is for; headcount 0 and a creation in 1970 are values."""
    gates = StreamGates()
    gates.add_update(profile)
    assert gates.ratios()[:3] == ratios


def test_a_share() -> None:
    """One of four leads without an address is a quarter."""
    gates = StreamGates()
    for profile in (COMPLETE, COMPLETE, COMPLETE, Profile(company_headcount=10, created_at=5)):
        gates.add_update(profile)
    assert gates.ratios().email_completeness == 0.25


def test_the_profile_counts_as_it_was() -> None:
    """What becomes of a lead later does not change what its update counted for."""
    gates, profile = StreamGates(), Profile()
    gates.add_update(profile)
    profile.contactable = True
    assert gates.ratios().email_completeness == 1.0


def test_only_the_latest_updates_count() -> None:
    """A thousand and one updates ago is forgotten; a thousand ago is not."""
    gates = StreamGates()
    gates.add_update(Profile())
    for _ in range(WINDOW - 1):
        gates.add_update(COMPLETE)
    assert gates.ratios().email_completeness == 1 / WINDOW
    gates.add_update(COMPLETE)
    assert gates.ratios().email_completeness == 0.0


@pytest.mark.parametrize(("engagement", "shift"), [(10.0, 0.0), (12.5, 0.25), (7.5, 0.25), (0.0, 1.0), (30.0, 2.0)])
def test_the_shift_is_relative_and_goes_both_ways(engagement: float, shift: float) -> None:
    """The distance of the mean from the baseline, as a share of the baseline."""
    assert with_engagement(engagement).ratios().engagement_shift == shift


def test_no_shift_without_a_baseline() -> None:
    """Without a model there is nothing to differ from."""
    assert with_engagement(5.0, baseline=None).ratios().engagement_shift is None


@pytest.mark.parametrize(("engagement", "shift"), [(0.0, 0.0), (0.1, math.inf)])
def test_a_baseline_of_zero(engagement: float, shift: float) -> None:
    """From a baseline of 0 every engagement is infinitely far, and none is no shift."""
    assert with_engagement(engagement, baseline=0.0).ratios().engagement_shift == shift


def test_a_new_model_brings_its_baseline() -> None:
    """The events stay when the baseline changes."""
    gates = with_engagement(20.0)
    gates.baseline_engagement = 20.0
    assert gates.ratios().engagement_shift == 0.0


@given(st.lists(st.lists(st.integers(0, 1000), max_size=12), max_size=6), st.integers(1, 8))
def test_the_mean_is_exact_in_any_batches(batches: list[list[int]], window: int) -> None:
    """After any batches, also larger than the window, the mean is that of the last events: no drift."""
    gates = StreamGates(window, baseline_engagement=1.0)
    for batch in batches:
        gates.add_engagement(np.array(batch, dtype=np.int64) / 10.0)
    last = [points for batch in batches for points in batch][-window:]
    expected = abs(sum(last) / len(last) / 10 - 1.0) if last else None
    assert gates.ratios().engagement_shift == expected


@given(st.lists(st.tuples(st.booleans(), st.booleans(), st.booleans()), max_size=30), st.integers(1, 8))
def test_the_shares_are_those_of_the_last_updates(updates: list[tuple[bool, bool, bool]], window: int) -> None:
    """After any updates each share is counted over the last ones only."""
    gates = StreamGates(window)
    for email, headcount, created in updates:
        gates.add_update(Profile(0, 0, 0, 1 if headcount else None, 1 if created else None, email))
    last = updates[-window:]
    expected = tuple(sum(not given[i] for given in last) / len(last) if last else None for i in range(3))
    assert gates.ratios()[:3] == expected


@pytest.mark.parametrize(("lacking", "alarms"), [(50, []), (51, ["email_completeness"])])
def test_an_alarm_is_past_the_limit(lacking: int, alarms: list[str]) -> None:
    """Five percent is no alarm yet; more is."""
    gates = StreamGates()
    for n in range(WINDOW):
        gates.add_update(Profile(company_headcount=1, created_at=1, contactable=n >= lacking))
    assert gates.alarms() == alarms


@pytest.mark.parametrize(("seen", "alarms"), [(ALARM_FROM - 1, []), (ALARM_FROM, ["email_completeness"])])
def test_a_gate_that_has_seen_little_does_not_alarm(seen: int, alarms: list[str]) -> None:
    """Though its ratio is shown."""
    gates = StreamGates()
    for _ in range(seen):
        gates.add_update(Profile(company_headcount=1, created_at=1))
    assert gates.alarms() == alarms
    assert gates.ratios().email_completeness == 1.0


@pytest.mark.parametrize(("mean", "alarms"), [(12.5, []), (12.6, ["engagement_shift"]), (7.4, ["engagement_shift"])])
def test_engagement_a_quarter_off_the_baseline_is_no_alarm_yet(mean: float, alarms: list[str]) -> None:
    """More is, in both directions."""
    gates = StreamGates(baseline_engagement=10.0)
    gates.add_engagement(np.full(ALARM_FROM, mean))
    assert gates.alarms() == alarms


def test_a_copy_is_its_own() -> None:
    """What is noted in a copy, of a batch that may abort, does not reach the original."""
    gates = with_engagement(10.0)
    gates.add_update(COMPLETE)
    before = gates.ratios()
    copied = gates.copy()
    assert copied.ratios() == before
    copied.add_update(Profile())
    copied.add_engagement(np.array([100.0]))
    assert gates.ratios() == before != copied.ratios()


def test_the_gates_are_those_of_the_contract() -> None:
    """The names are those of the metric's label, each with a limit."""
    assert (
        tuple(LIMITS)
        == Ratios._fields
        == (
            "email_completeness",
            "null_headcount",
            "null_created_at",
            "engagement_shift",
        )
    )

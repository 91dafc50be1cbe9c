"""How a demo goes, whatever it is asked for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.demo.plan import make_plan


def test_the_default_takes_less_than_a_minute() -> None:
    """Long enough for a few seconds without the model, and short enough to look on."""
    plan = make_plan(20_000)
    assert (plan.duration_s, plan.outage_s, plan.outage_at) == (40.0, 6.0, 10_000)


def test_the_run_of_ci_has_an_outage() -> None:
    """3,000 events at the default rate show fallback and recovery."""
    plan = make_plan(3000)
    assert plan.rate == 500.0
    assert plan.outage_s == pytest.approx(1.2)


@given(st.integers(1, 10**6), st.one_of(st.none(), st.floats(0.1, 10**6)))
def test_the_second_half_is_long_enough_for_outage_and_recovery(events: int, rate: float | None) -> None:
    """Outage and a probe of the breaker are over while a quarter of the traffic is still to come."""
    plan = make_plan(events, rate)
    if plan.outage_s:
        assert plan.outage_s + plan.open_s <= plan.duration_s / 4


@pytest.mark.parametrize(
    ("events", "rate", "why"),
    [(10, None, "10 events are too few, 30 are enough"), (1000, 1000.0, "1.0 s of traffic are too short, 2.5 s")],
)
def test_what_is_too_short_has_no_outage_and_says_why(events: int, rate: float | None, why: str) -> None:
    """There would be nothing to see."""
    plan = make_plan(events, rate)
    assert plan.outage_s == 0
    assert plan.too_short.startswith(why)

from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from producer.simulation import Parameters, SimulatedRecord, Simulation
from producer.simulation.faults import FAULTS
from scoring.gates import gate

MIXED = Parameters(leads=200, events=4000, seed=3, duplicates=0.05, malformed=0.03, late=0.1)


@pytest.fixture(scope="module")
def simulation() -> Simulation:
    return Simulation(MIXED)


@pytest.fixture(scope="module")
def records(simulation: Simulation) -> list[SimulatedRecord]:
    return list(simulation.records())


@pytest.fixture(scope="module")
def good(records: list[SimulatedRecord]) -> list[dict[str, Any]]:
    return [record.event for record in records if record.fault is None]


def first_times(events: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    seen: set[str] = set()
    for event in events:
        if event["event_id"] not in seen:
            seen.add(event["event_id"])
            yield event


def test_the_same_parameters_give_the_same(records: list[SimulatedRecord], simulation: Simulation) -> None:
    """Records and conversions, all of them."""
    again = Simulation(MIXED)
    assert list(again.records()) == records
    assert again.outcomes() == simulation.outcomes()


def test_the_number_of_records_is_the_one_asked_for(records: list[SimulatedRecord], simulation: Simulation) -> None:
    """Duplicates and malformed ones are among them, in their shares."""
    counts = simulation.counts
    assert len(records) == 4000
    assert (counts.clean, counts.duplicates, counts.malformed, counts.late) == (3680, 200, 120, 400)


def test_every_good_event_passes_the_scorers_gates(good: list[dict[str, Any]]) -> None:
    """Only what is meant to be malformed is."""
    reasons = {gate(event, event["lead_id"].encode(), MIXED.end_ms) for event in good}  # type: ignore[arg-type]
    assert reasons == {None}


def test_malformed_records_are_of_every_sort(records: list[SimulatedRecord]) -> None:
    """Each as often as the others."""
    assert set(Counter(record.fault for record in records if record.fault).values()) == {120 // len(FAULTS)}


def test_a_duplicate_is_an_earlier_event_again(good: list[dict[str, Any]]) -> None:
    """Equal in every field, and as many as were asked for."""
    first: dict[str, dict[str, Any]] = {}
    again = 0
    for event in good:
        if event["event_id"] in first:
            again += 1
            assert event == first[event["event_id"]]
        first.setdefault(event["event_id"], event)
    assert again == 200


def test_late_events_come_after_later_ones(good: list[dict[str, Any]]) -> None:
    """Exactly as many as were asked for come after an event that occurred later; the others are in order of time."""
    latest, late = 0, 0
    for event in first_times(good):
        late += event["occurred_at"] < latest
        latest = max(latest, event["occurred_at"])
    assert late == 400


def test_events_lie_on_the_time_line(good: list[dict[str, Any]]) -> None:
    """From the start up to the end, and spread over it."""
    times = [event["occurred_at"] for event in good]
    assert MIXED.start_ms <= min(times)
    assert max(times) < MIXED.end_ms
    assert max(times) - min(times) > 0.9 * MIXED.span_ms


def test_conversions_lie_on_the_time_line_by_time(simulation: Simulation) -> None:
    """One for a lead at most."""
    outcomes = simulation.outcomes()
    times = [at for _, at in outcomes]
    assert times == sorted(times)
    assert all(MIXED.start_ms <= at < MIXED.end_ms for at in times)
    assert len({lead for lead, _ in outcomes}) == len(outcomes)


def test_who_converts_was_seen(simulation: Simulation, good: list[dict[str, Any]]) -> None:
    """A conversion without an event could not be learnt from."""
    assert {lead for lead, _ in simulation.outcomes()} <= {event["lead_id"] for event in good}


def test_every_lead_is_seen_when_there_are_enough_events(good: list[dict[str, Any]]) -> None:
    """As many as were asked for."""
    assert len({event["lead_id"] for event in good}) == 200


def test_sessions_are_dense_and_the_time_between_them_is_long() -> None:
    """Most visits follow within minutes, and the longest pause of a lead is days."""
    events = [record.event for record in Simulation(Parameters(leads=1, events=300)).records()]
    gaps = np.array([b["occurred_at"] - a["occurred_at"] for a, b in pairwise(events)])
    assert np.median(gaps) < 300_000
    assert gaps.max() > 86_400_000


def test_profiles_are_nearly_complete(good: list[dict[str, Any]]) -> None:
    """Some parts are missing, but fewer than the 5 % at which the stream gates call a source incomplete."""
    first: dict[str, dict[str, Any]] = {}
    for event in good:
        if event["event_type"] == "PROFILE_UPDATE":
            first.setdefault(event["lead_id"], event)
    for name in ("email", "company_headcount", "created_at"):
        missing = sum(event[name] is None for event in first.values()) / len(first)
        assert missing < 0.05, name


@settings(max_examples=50, deadline=None)
@given(
    st.integers(1, 30),
    st.integers(0, 60),
    st.floats(0, 0.5),
    st.floats(0, 0.3),
    st.floats(0, 0.2),
    st.floats(0.001, 400),
)
def test_any_parameters_give_that_many_records(
    leads: int, events: int, duplicates: float, malformed: float, late: float, days: float
) -> None:
    """Down to none, a single lead, a minute."""
    parameters = Parameters(
        leads=leads, events=events, duplicates=duplicates, malformed=malformed, late=late, days=days
    )
    simulation = Simulation(parameters)
    records = list(simulation.records())
    assert len(records) == events
    times = [record.event["occurred_at"] for record in records if record.fault is None]
    assert all(parameters.start_ms <= at < parameters.end_ms for at in times)

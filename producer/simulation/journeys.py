"""What the leads do: sessions of page visits and e-mails, demo requests when they are near to a decision."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from producer.simulation.leads import Floats, Integers, Leads
from producer.simulation.parameters import DAY_MS, Parameters

EVENT_TYPES = ("PAGE_VISIT", "EMAIL_OPEN", "DEMO_REQUEST", "PROFILE_UPDATE", "OTHER")
PAGE_VISIT, EMAIL_OPEN, DEMO_REQUEST, PROFILE_UPDATE, OTHER = range(5)

_NEW_SESSION = 0.28  # of an event: so a session has three or four
_GAP_MEDIAN_MS = 45_000.0  # between two pages
_NEAR_PEAK_MS = 2.5 * DAY_MS  # how far before the decision its sessions lie, on average


@dataclass(frozen=True)
class Journeys:
    """One entry per event, by time.

    Attributes:
        lead: Index of the lead.
        at_ms: When it occurred, in ms from the start of the time line.
        kind: Index into `EVENT_TYPES`.
        first: Whether it is the lead's registration: the profile update that it comes with.
    """

    lead: Integers
    at_ms: Integers
    kind: NDArray[np.int8]
    first: NDArray[np.bool_]


def travel(parameters: Parameters, leads: Leads, events: int) -> Journeys:
    """Draws the journeys.

    Args:
        parameters: The simulation's.
        leads: Who travels.
        events: How many events in all; every lead has at least one if they are enough.
    """
    rng = parameters.stream("journeys")
    counts = _events_per_lead(rng, leads, events)
    registered = np.flatnonzero(counts)
    behaviour = np.repeat(np.arange(parameters.leads), np.maximum(counts - 1, 0))
    at, opens_session = _session_times(rng, leads, behaviour, parameters.span_ms)
    kind = _kinds(rng, leads, behaviour, at, opens_session)
    return _by_time(
        Journeys(
            lead=np.concatenate([registered, behaviour]),
            at_ms=np.concatenate([_registrations(rng, leads, registered, parameters.span_ms), at]),
            kind=np.concatenate([np.full(len(registered), PROFILE_UPDATE, np.int8), kind]),
            first=np.concatenate([np.ones(len(registered), np.bool_), np.zeros(len(behaviour), np.bool_)]),
        )
    )


def _events_per_lead(rng: np.random.Generator, leads: Leads, events: int) -> Integers:
    count = len(leads.intent)
    if events <= count:
        return (np.arange(count) < events).astype(np.int64)
    return 1 + rng.multinomial(events - count, leads.activity / leads.activity.sum())


def _registrations(rng: np.random.Generator, leads: Leads, registered: Integers, span: int) -> Integers:
    """A lead fills in the form when it comes; three in a hundred have looked around for some days before."""
    lateness = np.where(rng.random(len(registered)) < 0.03, rng.exponential(3 * DAY_MS, len(registered)), 0)
    return np.minimum(leads.arrival_ms[registered] + lateness.astype(np.int64), span - 1)


def _session_times(
    rng: np.random.Generator, leads: Leads, lead: Integers, span: int
) -> tuple[Integers, NDArray[np.bool_]]:
    """Times of the events, and which of them open a session.

    A session is near the lead's peak the more likely the higher its intent, else anywhere in its time.
    """
    opens = rng.random(len(lead)) < _NEW_SESSION
    opens[np.flatnonzero(np.diff(lead, prepend=-1))] = True
    owner = lead[opens]
    arrival, peak = leads.arrival_ms[owner], leads.peak_ms[owner]
    near = rng.random(len(owner)) < logistic(-0.6 + 1.2 * leads.intent[owner])
    begin = np.where(
        near,
        peak - rng.exponential(_NEAR_PEAK_MS, len(owner)),
        arrival + rng.random(len(owner)) * (span - arrival),
    )
    begin = np.maximum(_office_hours(rng, begin), arrival + 1000)
    gaps = np.exp(rng.normal(np.log(_GAP_MEDIAN_MS), 1.0, len(lead)))
    gaps[opens] = 0
    elapsed = np.cumsum(gaps)
    session = np.cumsum(opens) - 1
    at = begin[session] + elapsed - elapsed[opens][session] if len(lead) else elapsed
    return np.minimum(at, span - 1).astype(np.int64), opens


def _office_hours(rng: np.random.Generator, at: Floats) -> Floats:
    """The same days, at the hours at which people work; what falls on a week-end mostly moves to the Monday."""
    day = np.floor(at / DAY_MS)
    weekend = (day + 2) % 7 < 2  # the default time line begins on a Wednesday
    day = np.where(weekend & (rng.random(len(at)) < 0.7), day + 2, day)
    hour = rng.normal(13.5, 3.2, len(at)).clip(0, 23.9)
    return np.asarray(day * DAY_MS + hour * 3_600_000, np.float64)


def _kinds(
    rng: np.random.Generator, leads: Leads, lead: Integers, at: Integers, opens: NDArray[np.bool_]
) -> NDArray[np.int8]:
    kind = np.full(len(lead), PAGE_VISIT, np.int8)
    chance = rng.random(len(lead))
    kind[opens & (chance < 0.45)] = EMAIL_OPEN  # many sessions begin with a click in a newsletter
    kind[chance > 0.98] = PROFILE_UPDATE
    kind[chance > 0.99] = OTHER
    kind[_demo_requests(rng, leads, lead, at)] = DEMO_REQUEST
    return kind


def _demo_requests(rng: np.random.Generator, leads: Leads, lead: Integers, at: Integers) -> NDArray[np.intp]:
    """The events that are demo requests: a lead's few, those that lie nearest to its peak."""
    wanted = rng.poisson(np.exp(-1.9 + 1.0 * leads.intent))
    distance = np.abs(at - leads.peak_ms[lead]) * rng.uniform(0.3, 3.0, len(lead))
    order = np.lexsort((distance, lead))
    starts = np.flatnonzero(np.diff(lead[order], prepend=-1))
    rank = np.arange(len(lead)) - np.repeat(starts, np.diff(np.append(starts, len(lead))))
    return order[rank < wanted[lead[order]]]


def _by_time(journeys: Journeys) -> Journeys:
    order = np.argsort(journeys.at_ms, kind="stable")
    return Journeys(journeys.lead[order], journeys.at_ms[order], journeys.kind[order], journeys.first[order])


def logistic(x: Floats) -> Floats:
    """Probability of log-odds."""
    return np.asarray(1 / (1 + np.exp(-x)), np.float64)

"""Who the leads are: what they want, how large their companies are, and when they come."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from producer.simulation.parameters import DAY_MS, Parameters

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

# Headcount is log-normal: a median of 150 people, and one company in thirty over 5,000.
_HEADCOUNT_MEDIAN = 150
_HEADCOUNT_SIGMA = 1.9


@dataclass(frozen=True)
class Leads:
    """One entry per lead in each array.

    Attributes:
        intent: Hidden wish to buy, standard normal; nothing in an event tells it.
        headcount: People in the company, whether it is known or not.
        arrival_ms: First sign of the lead, in ms from the start of the time line.
        peak_ms: When it looks into the matter most, and decides, in ms from the start.
        created_ms: When its account was created, not after its arrival; below 0 before the time line.
        activity: Weight by which it is seen more often than others.
    """

    intent: Floats
    headcount: Integers
    arrival_ms: Integers
    peak_ms: Integers
    created_ms: Integers
    activity: Floats


def populate(parameters: Parameters) -> Leads:
    """Draws the leads: a third are known at the start, the others come over the time line."""
    rng = parameters.stream("leads")
    count, span = parameters.leads, parameters.span_ms
    intent = rng.standard_normal(count)
    headcount = np.exp(rng.normal(np.log(_HEADCOUNT_MEDIAN), _HEADCOUNT_SIGMA, count)).clip(1, 400_000)
    known = rng.random(count) < 0.35
    arrival = np.where(known, rng.random(count) * 0.05, rng.random(count) * 0.85) * span
    peak = arrival + rng.beta(1.4, 1.8, count) * (span - arrival)
    age = np.where(known, rng.exponential(200 * DAY_MS, count), rng.exponential(60_000.0, count))
    present = (span - arrival) / span
    activity = np.exp(0.45 * intent + rng.normal(0, 0.7, count)) * (0.25 + present)
    return Leads(
        intent=intent,
        headcount=headcount.astype(np.int64),
        arrival_ms=arrival.astype(np.int64),
        peak_ms=peak.astype(np.int64),
        created_ms=(arrival - age).astype(np.int64),
        activity=activity,
    )

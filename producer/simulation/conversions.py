"""Who buys, and when: the truth that a model is trained on and judged by."""

import numpy as np

from producer.simulation.journeys import DEMO_REQUEST, PROFILE_UPDATE, Journeys, logistic
from producer.simulation.leads import Floats, Integers, Leads
from producer.simulation.parameters import DAY_MS, Parameters

# By size: startup, mid_market, enterprise, mega. The largest take long to decide, which no rule knows.
_SIZE_EDGES = (50, 500, 5000)
_SIZE_EFFECT = np.array([-0.8, 0.5, 0.7, -0.6])
_RECENT_MS = 7 * DAY_MS
_USUAL_EVENTS = 10  # of a lead; where leads have more of them each says less, so that about a tenth always converts


def convert(parameters: Parameters, leads: Leads, journeys: Journeys) -> Integers:
    """When each lead converts, in ms from the start of the time line; -1 if it does not before the end.

    Intent, engagement in the week before the peak, a demo request and the company's size each have their part.
    """
    rng = parameters.stream("conversions")
    recent = _recent(leads, journeys) / max(1.0, len(journeys.lead) / parameters.leads / _USUAL_EVENTS)
    demo = np.bincount(journeys.lead[journeys.kind == DEMO_REQUEST], minlength=parameters.leads) > 0
    size = _SIZE_EFFECT[np.searchsorted(_SIZE_EDGES, leads.headcount)]
    chance = logistic(-6.0 + 1.0 * leads.intent + 1.6 * np.log1p(recent) + 1.6 * demo + size)
    at = leads.peak_ms + 7_200_000 + rng.exponential(1.5 * DAY_MS, parameters.leads).astype(np.int64)
    seen = np.bincount(journeys.lead, minlength=parameters.leads) > 0
    converts = seen & (rng.random(parameters.leads) < chance) & (at < parameters.span_ms)
    return np.where(converts, at, -1)


def _recent(leads: Leads, journeys: Journeys) -> Floats:
    before = leads.peak_ms[journeys.lead] - journeys.at_ms
    counts = (before >= 0) & (before < _RECENT_MS) & (journeys.kind != PROFILE_UPDATE)
    return np.bincount(journeys.lead[counts], minlength=len(leads.intent)).astype(np.float64)

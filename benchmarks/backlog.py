"""Simulated events, written to a topic as fast as it takes them."""

from __future__ import annotations

from producer.simulation import Parameters, Simulation
from runtime import kafka
from runtime.config import Settings
from schemas.codec import lead_event_codec

SERVED_EVERY = 10_000  # the client's queue takes 100,000
FLUSH_S = 120.0


def write_backlog(settings: Settings, n_events: int, n_leads: int, days: float) -> int:
    """Writes events to the events topic, partitioned as upstream systems do.

    Returns:
        The bytes of all values.
    """
    producer = kafka.producer(settings, **{"linger.ms": "50"})
    encode, topic, size = lead_event_codec().encode, settings.topics.events, 0
    parameters = Parameters(leads=n_leads, events=n_events, seed=1, days=days)
    for number, (event, _, _) in enumerate(Simulation(parameters).records()):
        value = encode(event)
        size += len(value)
        producer.produce(topic, value, event["lead_id"].encode())
        if number % SERVED_EVERY == 0:
            producer.flush(FLUSH_S)
    assert producer.flush(FLUSH_S) == 0, "the broker did not take all events in time"
    return size

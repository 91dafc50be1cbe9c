"""Sends a simulation's records."""

from collections.abc import Iterable, Iterator
from typing import Final

from producer.pace import Pacer
from producer.simulation.world import SimulatedRecord
from producer.sinks import Sink

_CHUNK: Final = 256


def send_records(records: Iterable[SimulatedRecord], sink: Sink, pacer: Pacer) -> Iterator[int]:
    """Sends the records, good and malformed, as the caller iterates.

    Args:
        records: In the order in which they are sent.
        sink: Takes them.
        pacer: Says when.

    Yields:
        How many are sent: after each one that was waited for, and every few hundred.

    Raises:
        DeliveryError: Records were not delivered.
    """
    number = 0
    for number, (event, fault, form) in enumerate(records, start=1):
        waited = pacer.hold(event["occurred_at"])
        if fault is None:
            sink.write(event)
        else:
            sink.write_malformed(event, fault, form)
        if waited or number % _CHUNK == 0:
            yield number
    sink.finish()
    yield number

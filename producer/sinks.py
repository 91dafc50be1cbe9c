"""Where events go: to Kafka, or to a file as lines of JSON."""

from collections.abc import Mapping
from typing import Any, Protocol, TextIO

from producer.codec import event_codec
from producer.settings import ProducerSettings
from producer.simulation.faults import in_the_line, in_the_record
from producer.topic import require_events_topic
from producer.transport import OnDelivery, Transport
from runtime import kafka
from runtime.clock import Clock
from schemas.codec import Codec
from schemas.ndjson import format_event


class Sink(Protocol):
    """Takes events."""

    def write(self, event: Mapping[str, Any]) -> None:
        """Takes a valid event, times as integer ms."""

    def write_malformed(self, event: Mapping[str, Any], fault: str, number: int) -> None:
        """Takes an event that goes wrong, on the way or in a field: `simulation.faults`."""

    def wait(self, seconds: float) -> None:
        """Lets time pass."""

    def finish(self) -> None:
        """Returns when all that was taken is where it goes."""


class KafkaSink:
    """To the events topic.

    Args:
        transport: To the topic.
        codec: Of lead events.
        flush_timeout_s: How long `finish` waits.
    """

    def __init__(self, transport: Transport, codec: Codec, flush_timeout_s: float) -> None:
        self._transport = transport
        self._encode = codec.encode
        self._flush_timeout_s = flush_timeout_s

    def write(self, event: Mapping[str, Any]) -> None:
        """Queues the event.

        Raises:
            DeliveryError: This or an earlier one was not delivered.
        """
        self._transport.send(event["lead_id"].encode(), self._encode(event), event["event_id"])

    def write_malformed(self, event: Mapping[str, Any], fault: str, number: int) -> None:
        """Queues the record that the fault makes of the event."""
        key, value = in_the_record(fault, number, event["lead_id"].encode(), self._encode(event))
        self._transport.send(key, value, event["event_id"])

    def wait(self, seconds: float) -> None:
        """Lets time pass while deliveries are reported."""
        self._transport.wait(seconds)

    def finish(self) -> None:
        """Waits for the brokers' acknowledgement.

        Raises:
            DeliveryError: Something was not delivered.
        """
        self._transport.flush(self._flush_timeout_s)


class FileSink:
    """To a file, one line each.

    Args:
        file: An open text file.
        clock: What `wait` waits by.
    """

    def __init__(self, file: TextIO, clock: Clock) -> None:
        self._file = file
        self._clock = clock

    def write(self, event: Mapping[str, Any]) -> None:
        """Writes the event's line."""
        self._file.write(format_event(event) + "\n")

    def write_malformed(self, event: Mapping[str, Any], fault: str, number: int) -> None:  # noqa: ARG002
        """Writes the line that the fault makes of the event's."""
        self._file.write(in_the_line(fault, format_event(event)) + "\n")

    def wait(self, seconds: float) -> None:
        """Lets time pass, with all lines written: somebody may be reading along."""
        self._file.flush()
        self._clock.sleep(seconds)

    def finish(self) -> None:
        """Writes what is still in memory."""
        self._file.flush()


def kafka_sink(settings: ProducerSettings, clock: Clock, on_delivery: OnDelivery | None = None) -> KafkaSink:
    """A sink to the topic of the settings, which must be there.

    Args:
        settings: Where to, how long to wait.
        clock: Times the waiting.
        on_delivery: Called for each record with its event id and its failure or None, from within the sink's calls.

    Raises:
        KafkaUnavailableError: No broker answers, or none lets us in.
        ConfigurationError: There is no such topic.
    """
    require_events_topic(settings.configuration)
    transport = Transport(
        lambda: kafka.producer(settings.configuration),
        settings.topic,
        queue_timeout_s=settings.queue_timeout_s,
        on_delivery=on_delivery,
        clock=clock,
    )
    return KafkaSink(transport, event_codec(settings), settings.flush_timeout_s)

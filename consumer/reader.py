"""Partitions read beside the group, by a client that is replaced where it fails."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from consumer.topic_reader import next_chunk
from runtime.clock import Clock

SILENT_S: Final = 10.0
SILENT_S_MAX: Final = 240.0


class Reader:
    """Reads partitions to wherever its user stops.

    The client is made when it is first needed, and anew after every failure. One that sees a leader go and come back
    may leave a partition without a broker for good, and says nothing (librdkafka#5430, librdkafka#5593): to go on
    with it would fail for ever. Silence is borne twice as long after each time, until something was read to the end:
    brokers that only are slow must not be asked for the same again and again.

    Args:
        make: A consumer that never joins and tells of ends.
        clock: Times the silence.
    """

    def __init__(self, make: Callable[[], Consumer], clock: Clock) -> None:
        self._make, self._clock = make, clock
        self._consumer: Consumer | None = None
        self._silent_s = SILENT_S

    @contextmanager
    def reading(self, partitions: Sequence[TopicPartition], max_records: int) -> Iterator[Iterator[list[Message]]]:
        """What these partitions hold from the given offsets on: messages, ends and errors among them.

        Args:
            partitions: From where.
            max_records: In a chunk; an empty one lets its user see whether to go on.

        Raises:
            KafkaException: Nothing was heard for `SILENT_S` or longer.
        """
        consumer, self._consumer = self._consumer or self._make(), None
        try:
            consumer.assign(list(partitions))
            yield self._chunks(consumer, max_records)
        except GeneratorExit:  # its user has read enough
            self._keep(consumer)
            raise
        except BaseException:
            consumer.close()
            raise
        self._keep(consumer)

    def _keep(self, consumer: Consumer) -> None:
        consumer.unassign()
        self._consumer, self._silent_s = consumer, SILENT_S

    def _chunks(self, consumer: Consumer, max_records: int) -> Iterator[list[Message]]:
        heard_s = self._clock.monotonic()
        while True:
            messages = next_chunk(consumer, max_records)
            silent_s = self._clock.monotonic() - heard_s
            if not messages and silent_s > self._silent_s:
                self._silent_s = min(2 * self._silent_s, SILENT_S_MAX)
                raise KafkaException(KafkaError(KafkaError._TIMED_OUT, f"nothing was read for {silent_s:.0f} s"))
            yield messages
            if messages:
                heard_s = self._clock.monotonic()  # not before: what they are used for may take long

"""Whether records of a transaction can be seen: what is left to go by where nothing else tells how it ended."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from confluent_kafka import Consumer, IsolationLevel, KafkaError, KafkaException, Message, TopicPartition
from confluent_kafka.admin import AdminClient

from consumer.end_offsets import Place, ends
from consumer.records import Output
from runtime.clock import Clock

POLL_S = 0.2
TIMEOUT_S = 10.0
TAIL = 100
"""Records and markers that may stand behind: those of tries to abort it."""


class Sightings:
    """Reads the ends of partitions as their subscribers do.

    Args:
        consumer: Reads committed, from the earliest offset where the asked one is gone, and tells of ends.
        admin: The cluster.
        clock: For timeouts.
    """

    def __init__(self, consumer: Consumer, admin: AdminClient, clock: Clock) -> None:
        self._consumer, self._admin, self._clock = consumer, admin, clock

    def missing(self, outputs: Sequence[Output]) -> set[Place]:
        """The partitions that do not show the last record that a transaction wrote there.

        Args:
            outputs: All of the transaction's.

        Raises:
            KafkaException: Kafka could not answer.
        """
        last = {(output.topic, output.partition): output for output in outputs}
        counts = Counter((output.topic, output.partition) for output in outputs)
        found = ends(self._admin, last, IsolationLevel.READ_COMMITTED)
        return {place for place, end in found.items() if not self._shows(last[place], end - 2 * counts[place] - TAIL)}

    def _shows(self, output: Output, start: int) -> bool:
        self._consumer.assign([TopicPartition(output.topic, output.partition, max(0, start))])
        deadline_s = self._clock.monotonic() + TIMEOUT_S
        try:
            while self._clock.monotonic() < deadline_s:
                message = self._consumer.poll(POLL_S)
                if message is None:
                    continue
                error = message.error()
                if error is None:
                    if _same(message, output):
                        return True
                elif error.code() == KafkaError._PARTITION_EOF:
                    return False
                else:
                    raise KafkaException(error)
        finally:
            self._consumer.unassign()
        raise KafkaException(KafkaError(KafkaError._TIMED_OUT, f"{output.topic}-{output.partition} was not read"))


def _same(message: Message, output: Output) -> bool:
    """Its headers tell a dead letter from another one: they name the place that it comes from."""
    found = message.key(), message.value(), message.headers() or []
    return found == (output.key, output.value, output.headers or [])

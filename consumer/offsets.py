"""What Kafka says about the group's place in the input."""

from __future__ import annotations

from confluent_kafka import Consumer, IsolationLevel, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from consumer.end_offsets import end_offsets, start_offsets
from consumer.start import Start

REQUEST_TIMEOUT_S = 10.0


class GroupOffsets:
    """Committed offsets and the ends of the log, asked beside the group's member.

    Pending transactional commits are waited for by the client, as the consumer reads committed.
    """

    def __init__(self, consumer: Consumer, admin: AdminClient, topic: str) -> None:
        self._consumer, self._admin, self._topic = consumer, admin, topic

    def metadata(self, numbers: list[int]) -> list[str]:
        """What was committed with the partitions' offsets.

        Raises:
            KafkaException: The coordinator could not answer in time.
        """
        return [p.metadata or "" for p in self._fetch(numbers) if p.offset >= 0]

    def start(self, number: int) -> Start:
        """Where a partition stands.

        Raises:
            KafkaException: Kafka could not answer.
        """
        (found,) = self._fetch([number])
        # Not by the consumer's watermarks: after a leader has moved it goes on asking the old one for minutes.
        low = start_offsets(self._admin, self._topic, [number])[number]
        high = end_offsets(self._admin, self._topic, [number], IsolationLevel.READ_COMMITTED)[number]
        committed = found.offset if found.offset >= 0 else None
        return Start(self._topic, number, committed, found.metadata, low, high)

    def _fetch(self, numbers: list[int]) -> list[TopicPartition]:
        asked = [TopicPartition(self._topic, number) for number in numbers]
        found = self._consumer.committed(asked, timeout=REQUEST_TIMEOUT_S)
        for partition in found:
            if partition.error:
                raise KafkaException(partition.error)
        return found

"""What Kafka says about the group's place in the input."""

from __future__ import annotations

from confluent_kafka import Consumer, IsolationLevel, KafkaException, TopicPartition

from consumer.end_offsets import OffsetLister, end_offsets, start_offsets
from consumer.start import Start

REQUEST_TIMEOUT_S = 10.0
SILENT_S = REQUEST_TIMEOUT_S / 2
"""After so long without an answer another coordinator is looked for: there is time left to ask that one."""


class GroupOffsets:
    """Committed offsets and the ends of the log, asked beside the group's member.

    Args:
        consumer: Reads committed: the client waits for pending transactional commits.
        hasty: Reads uncommitted: it does not.
        admin: The cluster.
        topic: Of the input.
    """

    def __init__(self, consumer: Consumer, hasty: Consumer, admin: OffsetLister, topic: str) -> None:
        self._consumer, self._hasty, self._admin, self._topic = consumer, hasty, admin, topic

    def committed(self, numbers: list[int]) -> list[TopicPartition]:
        """What is committed for partitions, below 0 without an offset.

        Raises:
            KafkaException: The coordinator could not answer in time, or has offsets that stay pending.
        """
        return self._fetch(self._consumer, numbers)

    def committed_without_pending(self, numbers: list[int]) -> list[TopicPartition]:
        """As `committed`, of what is committed already: an end that is never told keeps offsets pending for ever.

        Raises:
            KafkaException: The coordinator could not answer in time.
        """
        return self._fetch(self._hasty, numbers)

    def start(self, number: int) -> Start:
        """Where a partition stands.

        Raises:
            KafkaException: Kafka could not answer.
        """
        (found,) = self.committed([number])
        # Not by the consumer's watermarks: after a leader has moved it goes on asking the old one for minutes.
        low = start_offsets(self._admin, self._topic, [number])[number]
        high = end_offsets(self._admin, self._topic, [number], IsolationLevel.READ_COMMITTED)[number]
        committed = found.offset if found.offset >= 0 else None
        return Start(self._topic, number, committed, found.metadata, low, high)

    def _fetch(self, consumer: Consumer, numbers: list[int]) -> list[TopicPartition]:
        asked = [TopicPartition(self._topic, number) for number in numbers]
        found = consumer.committed(asked, timeout=REQUEST_TIMEOUT_S)
        for partition in found:
            if partition.error:
                raise KafkaException(partition.error)
        return found

"""Where partitions end and begin, asked of the brokers."""

from __future__ import annotations

from contextlib import suppress

from confluent_kafka import IsolationLevel, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._listoffsets import OffsetSpec  # the package exports it without saying so

REQUEST_TIMEOUT_S = 10.0
REFRESH_TIMEOUT_S = 2.0


def end_offsets(admin: AdminClient, topic: str, numbers: list[int], isolation: IsolationLevel) -> dict[int, int]:
    """The end offset of each partition.

    Args:
        admin: The cluster.
        topic: Whose partitions.
        numbers: Which of them.
        isolation: `READ_COMMITTED` gives the last stable offset, `READ_UNCOMMITTED` the high watermark.

    Raises:
        KafkaException: A broker does not answer, or leads the partition no more; ask again.
    """
    return _offsets(admin, topic, numbers, OffsetSpec.latest(), isolation)  # type: ignore[no-untyped-call]


def start_offsets(admin: AdminClient, topic: str, numbers: list[int]) -> dict[int, int]:
    """The first offset that each partition still has.

    Raises:
        KafkaException: As above.
    """
    return _offsets(admin, topic, numbers, OffsetSpec.earliest(), IsolationLevel.READ_UNCOMMITTED)  # type: ignore[no-untyped-call]


def _offsets(
    admin: AdminClient, topic: str, numbers: list[int], spec: OffsetSpec, isolation: IsolationLevel
) -> dict[int, int]:
    asked = {TopicPartition(topic, number): spec for number in numbers}
    if not asked:
        return {}
    futures = admin.list_offsets(asked, isolation_level=isolation, request_timeout=REQUEST_TIMEOUT_S)
    try:
        found = {partition.partition: future.result().offset for partition, future in futures.items()}
    except KafkaException:
        # After a restart of the broker the client goes on asking with the old epoch (FENCED_LEADER_EPOCH) until its
        # metadata are refreshed: by itself after 5 minutes.
        # Of all topics: to be asked for those of one makes a broker with automatic creation create it.
        with suppress(KafkaException):
            admin.list_topics(timeout=REFRESH_TIMEOUT_S)
        raise
    if unknown := sorted(number for number, offset in found.items() if offset < 0):
        # To the client a silent broker is no error but the offset -1001: below every end, as if all had been read.
        raise KafkaException(KafkaError(KafkaError._TIMED_OUT, f"no offsets of {topic} {unknown}"))
    return found

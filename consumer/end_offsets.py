"""Where partitions end and begin, asked of the brokers."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from concurrent.futures import Future
from typing import Any, Protocol

from confluent_kafka import IsolationLevel, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin._listoffsets import (  # the package exports them without saying so
    ListOffsetsResultInfo,
    OffsetSpec,
)

from runtime.kafka import REFUSALS, HasMetadata, refresh_metadata

Place = tuple[str, int]
"""A topic and a partition number."""
REQUEST_TIMEOUT_S = 5.0
"""Half of what brokers take to find another leader after one has died: the client waits for the dead one as long."""
NOT_THERE = REFUSALS | {
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError._UNKNOWN_PARTITION,
    KafkaError._NOENT,  # where none of those that were asked for has a leader
}


class OffsetLister(HasMetadata, Protocol):
    """What is needed of an admin client; `RenewedAdmin` is one that does not stay stuck."""

    def list_offsets(
        self, asked: dict[TopicPartition, OffsetSpec], /, *, isolation_level: IsolationLevel, request_timeout: float
    ) -> dict[TopicPartition, Future[Any]]:
        """A future for each partition that is asked for."""


def ends(admin: OffsetLister, places: Collection[Place], isolation: IsolationLevel) -> dict[Place, int]:
    """The end offset of each partition, of any topics.

    Args:
        admin: The cluster.
        places: Which partitions.
        isolation: `READ_COMMITTED` gives the last stable offset, `READ_UNCOMMITTED` the high watermark.

    Raises:
        KafkaException: A broker does not answer, or leads the partition no more; ask again.
    """
    return _offsets(admin, places, OffsetSpec.latest(), isolation)  # type: ignore[no-untyped-call]


def ends_of_existing(admin: OffsetLister, places: Collection[Place], isolation: IsolationLevel) -> dict[Place, int]:
    """As `ends`, without the partitions that are gone or that we may not ask for.

    Raises:
        KafkaException: As above.
    """
    try:
        return ends(admin, places, isolation)
    except KafkaException as exception:
        if exception.args[0].code() not in NOT_THERE:
            raise
    topics = admin.list_topics(timeout=REQUEST_TIMEOUT_S).topics  # of all: see refresh_metadata
    found = {topic: set(metadata.partitions) for topic, metadata in topics.items() if metadata.error is None}
    return ends(admin, [place for place in places if place[1] in found.get(place[0], ())], isolation)


def starts(admin: OffsetLister, places: Collection[Place]) -> dict[Place, int]:
    """The first offset that each partition still has, of any topics.

    Raises:
        KafkaException: As above.
    """
    return _offsets(admin, places, OffsetSpec.earliest(), IsolationLevel.READ_UNCOMMITTED)  # type: ignore[no-untyped-call]


def end_offsets(admin: OffsetLister, topic: str, numbers: list[int], isolation: IsolationLevel) -> dict[int, int]:
    """The end offset of each of a topic's partitions, by their numbers.

    Raises:
        KafkaException: As above.
    """
    return _numbered(ends(admin, _places(topic, numbers), isolation))


def known_end_offsets(admin: OffsetLister, topic: str, numbers: list[int]) -> dict[int, int]:
    """The last stable offset of those of a topic's partitions whose leaders answer.

    Raises:
        KafkaException: None does.
    """
    return _numbered(
        _offsets(admin, _places(topic, numbers), OffsetSpec.latest(), IsolationLevel.READ_COMMITTED, partly=True)  # type: ignore[no-untyped-call]
    )


def start_offsets(admin: OffsetLister, topic: str, numbers: list[int]) -> dict[int, int]:
    """The first offset that each partition still has.

    Raises:
        KafkaException: As above.
    """
    return _numbered(starts(admin, _places(topic, numbers)))


def _places(topic: str, numbers: list[int]) -> list[Place]:
    return [(topic, number) for number in numbers]


def _numbered(offsets: dict[Place, int]) -> dict[int, int]:
    return {number: offset for (_, number), offset in offsets.items()}


def _offsets(
    admin: OffsetLister,
    places: Collection[Place],
    spec: OffsetSpec,
    isolation: IsolationLevel,
    *,
    partly: bool = False,
) -> dict[Place, int]:
    asked = {TopicPartition(*place): spec for place in places}
    if not asked:
        return {}
    futures = admin.list_offsets(asked, isolation_level=isolation, request_timeout=REQUEST_TIMEOUT_S)
    found, failure = _answers(futures)
    if failure is not None:
        refresh_metadata(admin)
        if not (partly and found):
            raise failure
    return found


def is_answer(result: ListOffsetsResultInfo) -> bool:
    """Whether a broker has said it: to the client a silent one is no error but the offset -1001."""
    known: bool = result.offset >= 0
    return known


def place_names(places: Collection[Place]) -> list[str]:
    """Partitions, for people."""
    return [f"{topic}-{number}" for topic, number in sorted(places)]


def _answers(
    futures: Mapping[TopicPartition, Future[ListOffsetsResultInfo]],
) -> tuple[dict[Place, int], KafkaException | None]:
    """What is known, and why not all of it."""
    found: dict[Place, int] = {}
    silent: list[Place] = []
    failure: KafkaException | None = None
    for asked, future in futures.items():
        place = asked.topic, asked.partition
        try:
            result = future.result()
        except KafkaException as exception:
            failure = failure or exception
            continue
        if is_answer(result):
            found[place] = result.offset
        else:
            silent.append(place)
    if silent and failure is None:
        failure = KafkaException(KafkaError(KafkaError._TIMED_OUT, f"no offsets of {sorted(silent)}"))
    return found, failure

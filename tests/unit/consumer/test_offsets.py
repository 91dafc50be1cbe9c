"""Where the group stands, as Kafka says."""

from __future__ import annotations

import pytest
from confluent_kafka import OFFSET_INVALID, IsolationLevel, KafkaError, KafkaException, TopicPartition

from consumer.offsets import GroupOffsets
from consumer.start import Start
from tests.unit.consumer.fakes import TOPIC, FakeAdmin, FakeConsumer, fault


class Failed:
    """A partition for which the coordinator gave an error instead of an offset."""

    def __init__(self) -> None:
        self.offset, self.metadata, self.error = -1001, None, KafkaError(KafkaError.NOT_COORDINATOR)


@pytest.fixture
def consumer() -> FakeConsumer:
    made = FakeConsumer()
    made.offsets = {1: TopicPartition(TOPIC, 1, 17, "mark"), 2: TopicPartition(TOPIC, 2, 0)}
    return made


@pytest.fixture
def admin() -> FakeAdmin:
    return FakeAdmin({1: 21, 2: 20, 3: 20}, stable={1: [20]}, low=3)


def group_offsets(consumer: FakeConsumer, admin: FakeAdmin, hasty: FakeConsumer | None = None) -> GroupOffsets:
    return GroupOffsets(consumer.client, (hasty or FakeConsumer()).client, admin.client, TOPIC)


def test_where_a_partition_stands(consumer: FakeConsumer, admin: FakeAdmin) -> None:
    """Committed offset with its metadata, the log's first offset and its end."""
    assert group_offsets(consumer, admin).start(1) == Start(TOPIC, 1, 17, "mark", 3, 20)


def test_offset_0_is_a_committed_offset(consumer: FakeConsumer, admin: FakeAdmin) -> None:
    """It is committed before a new partition's first record is read."""
    assert group_offsets(consumer, admin).start(2).committed == 0


def test_without_a_committed_offset(consumer: FakeConsumer, admin: FakeAdmin) -> None:
    """None, and not the negative number by which the client says so."""
    assert group_offsets(consumer, admin).start(3).committed is None


def test_the_offset_is_asked_for_before_the_end(consumer: FakeConsumer, admin: FakeAdmin) -> None:
    """The other way round a commit between the two would look like an offset past the end."""
    consumer.script.then("committed", lambda: seen.extend(admin.asked))
    seen: list[IsolationLevel] = []
    group_offsets(consumer, admin).start(1)
    assert seen == []
    assert admin.asked[-1] == IsolationLevel.READ_COMMITTED


def test_the_marks_of_committed_partitions(consumer: FakeConsumer, admin: FakeAdmin) -> None:
    """One without an offset has none."""
    found = group_offsets(consumer, admin).committed([1, 2, 3])
    assert [(place.offset, place.metadata) for place in found] == [(17, "mark"), (0, None), (OFFSET_INVALID, None)]


def test_the_marks_without_those_that_are_pending(consumer: FakeConsumer, admin: FakeAdmin) -> None:
    """The other consumer is asked, which does not wait for them."""
    hasty = FakeConsumer()
    hasty.offsets = {1: TopicPartition(TOPIC, 1, 16, "before")}
    found = group_offsets(consumer, admin, hasty).committed_without_pending([1])
    assert [(place.offset, place.metadata) for place in found] == [(16, "before")]


def test_a_partitions_error_is_raised(consumer: FakeConsumer, admin: FakeAdmin) -> None:
    """It hides in the answer; taken for `no offset` it would begin the partition anew."""
    consumer.offsets[1] = Failed()  # type: ignore[assignment]
    with pytest.raises(KafkaException):
        group_offsets(consumer, admin).start(1)
    with pytest.raises(KafkaException):
        group_offsets(consumer, admin).committed([2, 1])


def test_no_answer_is_raised(consumer: FakeConsumer, admin: FakeAdmin) -> None:
    """The caller tries again."""
    consumer.script.then("committed", fault(KafkaError._TIMED_OUT))
    with pytest.raises(KafkaException):
        group_offsets(consumer, admin).start(1)

"""What subscribers can see of a transaction."""

from __future__ import annotations

import pytest
from confluent_kafka import KafkaError, KafkaException, Message

from consumer.records import Output
from consumer.sightings import TAIL, Sightings
from tests.unit.consumer.fakes import FakeAdmin, FakeClock, FakeConsumer, end, message, told

TOPIC = "decisions"
MINE = Output(TOPIC, 1, b"key", b"mine", 5)


def record(offset: int, value: bytes = b"another", headers: list[tuple[str, bytes | None]] | None = None) -> Message:
    return message(offset, partition=1, topic=TOPIC, key=b"key", value=value, headers=headers)


def visible(log: list[Message], *outputs: Output, ends: dict[int, int] | None = None) -> bool:
    consumer = FakeConsumer(
        {(TOPIC, 1): [*log, end(1000, partition=1, topic=TOPIC)], (TOPIC, 2): [end(0, partition=2, topic=TOPIC)]}
    )
    seen = Sightings(consumer.client, FakeAdmin(ends or {1: 1000, 2: 0}).client, FakeClock())
    return not seen.missing(outputs or (MINE,))


def test_a_record_that_is_there_is_visible() -> None:
    """The last one that was written to its partition: a transaction is atomic."""
    assert visible([record(990), record(991, b"mine"), record(992)])


def test_a_record_that_is_not_there_is_not() -> None:
    """The partition is read to its end."""
    assert not visible([record(990), record(991)])


def test_only_the_end_of_a_partition_is_read() -> None:
    """Nobody has written behind it but tries to abort it, and a topic may be large."""
    assert not visible([record(1000 - TAIL - 3, b"mine")])
    assert visible([record(1000 - TAIL - 2, b"mine")])


def test_a_dead_letter_is_known_by_its_headers() -> None:
    """Two that were the same bytes came from different places."""
    mine = MINE._replace(headers=[("offset", b"8")])
    assert not visible([record(990, b"mine", [("offset", b"7")])], mine)
    assert visible([record(990, b"mine", [("offset", b"8")])], mine)


def test_each_partition_is_judged_by_itself() -> None:
    """One may show it while another one was not told of its end."""
    consumer = FakeConsumer({(TOPIC, 1): [record(990, b"mine")], (TOPIC, 2): [end(0, partition=2, topic=TOPIC)]})
    seen = Sightings(consumer.client, FakeAdmin({1: 1000, 2: 0}).client, FakeClock())
    assert seen.missing([MINE, MINE._replace(partition=2)]) == {(TOPIC, 2)}


def test_an_error_is_raised() -> None:
    """To see nothing would mean that it can be aborted."""
    with pytest.raises(KafkaException):
        visible([told(KafkaError._TRANSPORT, partition=1, offset=999, topic=TOPIC)])


def test_a_broker_that_says_nothing_is_an_error() -> None:
    """After a while."""
    consumer, clock = FakeConsumer(), FakeClock()
    consumer.script.then("poll", *[lambda: clock.sleep(1.0)] * 100)
    with pytest.raises(KafkaException, match="decisions-1 was not read"):
        Sightings(consumer.client, FakeAdmin({1: 5}).client, clock).missing([MINE])
    assert consumer.calls[-1] == ("unassign", {})

"""What subscribers can see of a transaction."""

from __future__ import annotations

import pytest
from confluent_kafka import KafkaError, KafkaException, Message

from consumer import sightings
from consumer.records import Output
from consumer.sightings import Sight, Sightings
from tests.unit.consumer.fakes import FakeAdmin, FakeConsumer, end, fault, message, told

TOPIC = "decisions"
MINE = Output(TOPIC, 1, b"key", b"mine", 5)


def record(offset: int, value: bytes = b"another", headers: list[tuple[str, bytes | None]] | None = None) -> Message:
    return message(offset, partition=1, topic=TOPIC, key=b"key", value=value, headers=headers)


def visible(log: list[Message], *outputs: Output) -> bool:
    consumer = FakeConsumer(
        {(TOPIC, 1): [*log, end(1000, partition=1, topic=TOPIC)], (TOPIC, 2): [end(0, partition=2, topic=TOPIC)]}
    )
    seen = Sightings(consumer.reader(), FakeAdmin({1: 1000, 2: 0}).client)
    return not seen.look(outputs or (MINE,)).missing


def test_a_record_that_is_there_is_visible() -> None:
    """The last one that was written to its partition: a transaction is atomic."""
    assert visible([record(990), record(991, b"mine"), record(992)])


def test_a_record_that_is_not_there_is_not() -> None:
    """The partition is read to its end."""
    assert not visible([record(990), record(991)])


def test_what_was_aborted_since_may_be_any_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """Records that nobody sees still take up offsets: it is looked further back until something is to be seen."""
    monkeypatch.setattr(sightings, "WINDOW", 2)
    assert visible([record(3, b"mine")])
    assert visible([record(2), record(3, b"mine")])
    assert not visible([record(3, b"mine"), record(999)])


def test_an_empty_partition_does_not_show_it() -> None:
    """All of it was aborted."""
    assert not visible([])


def test_a_partition_that_was_cleaned_up_tells_nothing() -> None:
    """What is not there may be too old."""
    consumer = FakeConsumer({(TOPIC, 1): [end(1000, partition=1, topic=TOPIC)]})
    seen = Sightings(consumer.reader(), FakeAdmin({1: 1000}, low=1000).client)
    assert seen.look([MINE]) == Sight(set(), set())


def test_a_dead_letter_is_known_by_its_headers() -> None:
    """Two that were the same bytes came from different places."""
    mine = MINE._replace(headers=[("offset", b"8")])
    assert not visible([record(990, b"mine", [("offset", b"7")])], mine)
    assert visible([record(990, b"mine", [("offset", b"8")])], mine)


def test_each_partition_is_judged_by_itself() -> None:
    """One may show it while another one was not told of its end."""
    log = [record(990, b"mine"), end(1000, partition=1, topic=TOPIC)]
    consumer = FakeConsumer({(TOPIC, 1): log, (TOPIC, 2): [end(0, partition=2, topic=TOPIC)]})
    seen = Sightings(consumer.reader(), FakeAdmin({1: 1000, 2: 0}).client)
    assert seen.look([MINE, MINE._replace(partition=2)]) == Sight(seen={(TOPIC, 1)}, missing={(TOPIC, 2)})


def test_what_may_not_be_read_is_neither_seen_nor_missing() -> None:
    """The service needs no right to read its decisions; without it nobody can tell."""
    refused = told(KafkaError.TOPIC_AUTHORIZATION_FAILED, partition=1, offset=999, topic=TOPIC)
    consumer = FakeConsumer({(TOPIC, 1): [refused]})
    assert Sightings(consumer.reader(), FakeAdmin({1: 1000}).client).look([MINE]) == Sight(set(), set())


def test_a_topic_that_is_gone_is_neither_seen_nor_missing() -> None:
    """Whoever writes to it hears so, and the service ends."""
    admin = FakeAdmin({1: 1000})
    admin.script.then("list_offsets", fault(KafkaError._NOENT))
    assert Sightings(FakeConsumer().reader(), admin.client).look([MINE]) == Sight(set(), set())


def test_an_error_is_raised() -> None:
    """To see nothing would mean that it can be aborted."""
    with pytest.raises(KafkaException):
        visible([told(KafkaError._TRANSPORT, partition=1, offset=999, topic=TOPIC)])

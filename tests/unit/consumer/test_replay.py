"""Dead letters read back, chosen, and sent to where they came from."""

from __future__ import annotations

import pytest
from confluent_kafka import KafkaError, Message
from hypothesis import given
from hypothesis import strategies as st

from consumer.dead_letters import HEADER_PREFIX, REPLAYED_FROM, dead_letter
from consumer.records import Headers, Record
from consumer.replay import DeadLetter, Selection, Sent, parse, replay
from runtime.errors import FatalError
from tests.unit.consumer.fakes import START_MS, TOPIC, FakeProducer, fault, message, record

LETTERS = "lead.events.dead-letter"


def buried(original: Record, *, at: int = 5, limit_bytes: int = 1_000_000, reason: str = "undecodable") -> Message:
    """The dead letter of a record as it is read back from offset `at`."""
    made = dead_letter(
        original,
        source_topic=TOPIC,
        topic=LETTERS,
        stage="decode",
        reason=reason,
        exception="UndecodableError",
        message="a sentence",
        limit_bytes=limit_bytes,
    )
    return message(
        at,
        partition=made.partition,
        topic=LETTERS,
        key=made.key,
        value=made.value,
        append_ms=made.timestamp_ms,
        headers=made.headers,
    )


def letter(offset: int = 0, **fields: object) -> DeadLetter:
    return parse(buried(record(offset, **fields)))  # type: ignore[arg-type]


def stranger(*headers: tuple[str, bytes | None]) -> DeadLetter:
    """A record on the topic that no scorer wrote as a whole."""
    return parse(message(0, topic=LETTERS, headers=list(headers)))


# --- reading ---


def test_a_letter_says_what_was_buried() -> None:
    """Where it is, where it came from, and why."""
    assert parse(buried(record(7, partition=3, append_ms=START_MS), at=11)) == DeadLetter(
        place=f"{LETTERS}-3-11",
        append_ms=START_MS,
        source_topic=TOPIC,
        source_partition=3,
        source_offset=7,
        stage="decode",
        reason="undecodable",
        exception="UndecodableError",
        message="a sentence",
        replayed_from=None,
        key=b"key",
        value=b"value",
        headers=buried(record(7, partition=3)).headers(),  # type: ignore[arg-type]
    )


def test_the_last_of_a_name_counts() -> None:
    """A record that was replayed and failed again carries nothing old; one sent by hand may."""
    found = letter(7, headers=[(f"{HEADER_PREFIX}errors.reason", b"old"), (f"{HEADER_PREFIX}errors.offset", b"1")])
    assert (found.reason, found.source_offset) == ("undecodable", 7)


@pytest.mark.parametrize(
    "found",
    [
        stranger(),
        stranger((f"{HEADER_PREFIX}errors.partition", b"x"), (f"{HEADER_PREFIX}errors.offset", None)),
        stranger((f"{HEADER_PREFIX}errors.topic", b"\xff"), (f"{HEADER_PREFIX}errors.partition", b"-1")),
    ],
)
def test_what_no_scorer_wrote_is_shown_and_not_sent(found: DeadLetter) -> None:
    """Missing headers are empty or -1."""
    assert (found.source_partition, found.source_offset, found.replayable) == (-1, -1, False)


def test_a_letter_that_lost_its_value_is_not_sent() -> None:
    """What would be sent is not what came."""
    dropped = parse(buried(record(value=bytes(9000)), limit_bytes=5000))
    assert (dropped.value, dropped.replayable) == (None, False)


def test_a_letter_of_a_null_value_is_sent() -> None:
    """It came so."""
    assert letter(value=None).replayable


# --- choosing ---


@pytest.mark.parametrize(
    ("selection", "taken"),
    [
        (Selection(), True),
        (Selection(reasons=frozenset({"undecodable", "x"})), True),
        (Selection(reasons=frozenset({"x"})), False),
        (Selection(partitions=frozenset({3})), True),
        (Selection(partitions=frozenset({0})), False),
        (Selection(offsets=frozenset({7})), True),
        (Selection(offsets=frozenset({5})), False),
        (Selection(since_ms=START_MS, until_ms=START_MS + 1), True),
        (Selection(since_ms=START_MS + 1), False),
        (Selection(until_ms=START_MS), False),
        (Selection(reasons=frozenset({"undecodable"}), offsets=frozenset({5})), False),
    ],
)
def test_a_selection_takes_what_meets_all_of_it(selection: Selection, taken: bool) -> None:
    """`since` is included and `until` is not; partition and offset are those of the source."""
    assert selection.takes(parse(buried(record(7, partition=3), at=5))) is taken


# --- sending ---


@given(st.lists(st.tuples(st.text(max_size=8), st.none() | st.binary(max_size=4)), max_size=5))
def test_what_is_sent_is_what_came(headers: Headers) -> None:
    """Key, value, partition, and the headers in order; only those of the scorer are gone, and one says where from."""
    producer = FakeProducer()
    found = parse(buried(record(7, partition=3, headers=headers), at=11))
    list(replay([found], producer.client))
    (sent,) = producer.produced
    assert (sent.topic, sent.partition, sent.key, sent.value) == (TOPIC, 3, b"key", b"value")
    assert sent.headers == [*headers, (REPLAYED_FROM, f"{LETTERS}-3-11".encode())]


def test_headers_of_an_earlier_replay_are_dropped() -> None:
    """A record that fails again and again does not grow."""
    again = letter(headers=[("a", b"1"), (REPLAYED_FROM, b"t-0-1")])
    assert again.replayed_from == "t-0-1"
    assert again.original_headers() == [("a", b"1"), (REPLAYED_FROM, again.place.encode())]


def test_each_letter_is_told_with_its_new_place() -> None:
    """Which is the `decision_id` of what becomes of it."""
    letters = [letter(n) for n in range(3)]
    producer = FakeProducer()
    assert list(replay(letters, producer.client)) == [
        Sent(found, place=f"{TOPIC}-0-{n}") for n, found in enumerate(letters)
    ]


def test_a_delivery_that_failed_is_told() -> None:
    """With the error, instead of a place."""
    producer = FakeProducer()
    producer.delivery_error = KafkaError(KafkaError.MSG_SIZE_TOO_LARGE, "too large")
    (sent,) = replay([letter()], producer.client)
    assert (sent.place, sent.error) == ("", "too large")


def test_a_letter_that_the_client_refuses_is_told_and_the_others_are_sent() -> None:
    """Too large for it, or of a partition that is not there any more."""
    producer = FakeProducer()
    producer.script.then("produce", None, fault(KafkaError._UNKNOWN_PARTITION, text="no such partition"))
    told = list(replay([letter(n) for n in range(3)], producer.client))
    assert [(sent.letter.source_offset, sent.error) for sent in told] == [(0, ""), (1, "no such partition"), (2, "")]


def test_a_full_queue_is_waited_for() -> None:
    """Nothing is lost and nothing sent twice."""
    producer = FakeProducer()
    producer.script.then("produce", BufferError(), BufferError())
    assert len(list(replay([letter()], producer.client))) == 1
    assert len(producer.produced) == 1


def test_what_is_not_delivered_in_time_is_no_success(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody knows what became of it: the command fails, and may be given again."""
    producer = FakeProducer()
    monkeypatch.setattr(producer, "_deliver", lambda: 0)
    with pytest.raises(FatalError, match="1 records were not delivered"):
        list(replay([letter()], producer.client))


def test_a_letter_that_cannot_be_replayed_is_a_programmers_error() -> None:
    """The caller chooses."""
    with pytest.raises(AssertionError):
        list(replay([stranger()], FakeProducer().client))

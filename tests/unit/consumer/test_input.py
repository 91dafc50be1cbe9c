"""The events topic as a member of the group reads it."""

from __future__ import annotations

from functools import partial
from typing import Any, cast

import pytest
from confluent_kafka import OFFSET_END, KafkaError, Message

from consumer.damage import DAMAGED
from consumer.input import HOMELESS_S, UNTOLD_S, KafkaInput
from consumer.records import Headers, Polled
from runtime.errors import ConfigurationError, FatalError, KafkaUnavailableError, StateError
from schemas.times import MAX_MS
from tests.kafka import eventually
from tests.unit.consumer.fakes import START_MS, TOPIC, FakeClock, FakeConsumer, end, fault, message, told


class Listener:
    """Hears of the assignment; `seen` is what the input had done by then."""

    def __init__(self, consumer: FakeConsumer) -> None:
        self._consumer = consumer
        self.heard: list[tuple[str, list[int]]] = []
        self.seen: list[str] = []

    def assigned(self, numbers: list[int]) -> None:
        self._hear("assigned", numbers)

    def revoked(self, numbers: list[int]) -> None:
        self._hear("revoked", numbers)

    def lost(self, numbers: list[int]) -> None:
        self._hear("lost", numbers)

    def _hear(self, kind: str, numbers: list[int]) -> None:
        self.heard.append((kind, numbers))
        self.seen = [name for name, _ in self._consumer.calls]


class Unreadable:
    """A record with a header whose name is no UTF-8, as the client has it."""

    def __init__(self) -> None:
        self._asked = 0
        self._set: Headers | None = None

    def headers(self) -> Headers | None:
        if self._set is not None:
            return self._set
        self._asked += 1
        if self._asked > 1:
            raise AssertionError("a segmentation fault")
        raise SystemError("returned a result with an exception set")

    def set_headers(self, headers: Headers) -> None:
        self._set = headers

    def __getattr__(self, name: str) -> Any:
        return getattr(message(7, partition=1), name)


class Bench:
    """An input over a consumer that the test scripts."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.consumer = FakeConsumer()
        self.listener = Listener(self.consumer)
        self.source = KafkaInput(lambda: self.consumer.client, TOPIC, clock=self.clock)
        self.source.subscribe(self.listener)

    def assigned(self, *numbers: int, room: int = 100) -> Bench:
        """Partitions are assigned, and the client has found their ends."""
        self.consumer.rebalance("assign", *numbers)
        for number in numbers:
            self.consumer.queue.append(end(99, partition=number))
            assert self.poll(room) == Polled([], {})
        self.consumer.calls.clear()
        return self

    def reading(self, *numbers: int) -> Bench:
        """Partitions are assigned, started at 0 and read."""
        self.assigned(*numbers)
        for number in numbers:
            self.source.start(number, 0)
        self.source.poll(0.0, 10)
        self.consumer.calls.clear()
        return self

    def wait(self, seconds: float) -> None:
        """Polls on for so long; polls that are further apart are those of a process that stood still."""
        for _ in range(round(seconds)):
            self.clock.sleep(1)
            self.poll()

    def poll(self, max_records: int = 100) -> Polled:
        return self.source.poll(0.0, max_records)

    def offsets(self, max_records: int = 100) -> list[tuple[int, int]]:
        return [(record.partition, record.offset) for record in self.poll(max_records).records]


@pytest.fixture
def bench() -> Bench:
    return Bench()


# --- the assignment ---


def test_another_client_takes_over_from_the_start(bench: Bench) -> None:
    """The partitions are given back by the first; of what they stood at nothing is left."""
    bench.reading(1)
    first, second = bench.consumer, FakeConsumer()
    bench.consumer = second
    bench.source.reopen()
    assert first.closed
    assert bench.listener.heard == [("assigned", [1]), ("revoked", [1])]
    bench.assigned(1)
    bench.source.start(1, 7)
    second.queue.append(message(7, partition=1))
    bench.poll()
    assert ("seek", {1: 7}) in second.calls


def test_a_client_that_is_given_nothing_any_more_is_replaced(bench: Bench) -> None:
    """It lost its partitions and hears of no others; the one after it is given twice as much time."""
    bench.reading(1)
    bench.consumer.rebalance("lost", 1)
    clients = [bench.consumer, FakeConsumer(), FakeConsumer()]
    for before, after, patience_s in zip(clients, clients[1:], (HOMELESS_S, 2 * HOMELESS_S), strict=False):
        bench.consumer = after
        bench.wait(patience_s - 3)
        assert not before.closed
        bench.wait(4)
        eventually(partial(getattr, before, "closed"))
    clients[0].rebalance("revoke", 1)
    assert bench.listener.heard == [("assigned", [1]), ("lost", [1])]
    bench.reading(1)
    assert bench.listener.heard[2:] == [("assigned", [1])]


def test_a_member_without_partitions_is_left_alone(bench: Bench) -> None:
    """There are more instances than partitions: it has heard so."""
    bench.consumer.rebalance("assign")
    bench.wait(2 * HOMELESS_S)
    assert not bench.consumer.closed


def test_a_spare_that_is_no_member_any_more_is_replaced(bench: Bench) -> None:
    """Its session ended without a word, as it had nothing to lose; one that is a member again in time stays."""
    first = bench.consumer
    first.rebalance("assign")
    bench.poll()
    for member in ("member-2", ""):
        first.member = ""
        bench.wait(HOMELESS_S - 1)
        first.member = member
        assert not first.closed
        bench.consumer = FakeConsumer() if not member else first
        bench.wait(2)
    eventually(lambda: first.closed)
    bench.assigned(1)
    assert bench.listener.heard == [("assigned", []), ("assigned", [1])]


def test_who_just_gave_its_partitions_up_has_time_to_join_again(bench: Bench) -> None:
    """However long it had them."""
    bench.reading(1)
    bench.wait(2 * HOMELESS_S)
    bench.consumer.rebalance("revoke", 1)
    bench.consumer.member = ""
    bench.wait(HOMELESS_S - 2)
    assert not bench.consumer.closed


def test_a_loss_that_nobody_told_of_is_found(bench: Bench) -> None:
    """The client may skip `on_lost`: what it has tells."""
    bench.reading(1)
    first, bench.consumer = bench.consumer, FakeConsumer()
    first.owned, first.member = set(), ""
    bench.wait(HOMELESS_S + 2)
    eventually(lambda: first.closed)


def test_who_stood_still_has_time_to_join_again(bench: Bench) -> None:
    """The client sees only then that its session is over."""
    bench.consumer.rebalance("assign")
    bench.wait(2)
    bench.consumer.member = ""
    bench.clock.sleep(2 * HOMELESS_S)
    bench.poll()
    assert not bench.consumer.closed


def test_partitions_are_assigned_at_their_end(bench: Bench) -> None:
    """Nothing that need not be is fetched before the state is there; the listener hears afterwards."""
    bench.consumer.rebalance("assign", 1, 2)
    assert bench.consumer.calls[0] == ("incremental_assign", {1: OFFSET_END, 2: OFFSET_END})
    assert bench.listener.heard == [("assigned", [1, 2])]
    assert bench.listener.seen == ["incremental_assign", "resume"]


def test_an_empty_first_assignment_is_told_of(bench: Bench) -> None:
    """By the protocol `consumer` the client does not: the member has joined, hears nothing, and so has none. Once."""
    bench.consumer.generation = 3
    bench.poll()
    assert bench.listener.heard == []
    bench.clock.sleep(UNTOLD_S)
    bench.poll()
    bench.poll()
    assert bench.listener.heard == [("assigned", [])]


def test_before_the_group_is_joined_nothing_is_assigned(bench: Bench) -> None:
    """However long that takes."""
    bench.poll()
    bench.clock.sleep(10 * UNTOLD_S)
    bench.poll()
    assert bench.listener.heard == []


def test_who_was_told_is_not_told_again(bench: Bench) -> None:
    """The client's word comes first."""
    bench.consumer.generation = 3
    bench.poll()
    bench.consumer.rebalance("assign", 1)
    bench.clock.sleep(UNTOLD_S)
    bench.poll()
    assert bench.listener.heard == [("assigned", [1])]


@pytest.mark.parametrize("heard", [end(7, partition=1), message(7, partition=1)], ids=["end", "record"])
def test_a_partition_is_paused_once_it_is_heard_of(bench: Bench, heard: Message) -> None:
    """By a record or by its end, of which nothing is given; once."""
    bench.consumer.rebalance("assign", 1)
    bench.consumer.calls.clear()
    bench.consumer.queue.extend([heard, message(8, partition=1)])
    assert bench.poll() == Polled([], {})
    assert [(name, list(given)) for name, given in bench.consumer.calls] == [("pause", [1])]


def test_a_partition_is_not_sought_before_it_is_heard_of(bench: Bench) -> None:
    """The client still asks where the end is; the answer would undo the seek, and what lies before it be lost."""
    bench.consumer.rebalance("assign", 1)
    bench.consumer.calls.clear()
    bench.source.start(1, 0)
    bench.poll()
    assert bench.consumer.calls == []
    bench.consumer.queue.append(end(7, partition=1))
    assert bench.poll() == Polled([], {})
    bench.poll()
    assert [(name, list(given)) for name, given in bench.consumer.calls] == [
        ("pause", [1]),
        ("seek", [1]),
        ("resume", [1]),
    ]


def test_an_error_tells_nothing_of_where_a_partition_is(bench: Bench) -> None:
    """Only its records and its end do."""
    bench.consumer.rebalance("assign", 1)
    bench.source.start(1, 0)
    bench.consumer.calls.clear()
    bench.consumer.queue.append(told(KafkaError._TRANSPORT, partition=1))
    bench.poll()
    bench.poll()
    assert bench.consumer.calls == []


def test_a_partition_that_comes_back_must_be_heard_of_again(bench: Bench) -> None:
    """Its end is asked for anew."""
    bench.reading(1)
    bench.consumer.rebalance("revoke", 1)
    bench.consumer.rebalance("assign", 1)
    bench.source.start(1, 0)
    bench.consumer.calls.clear()
    bench.poll()
    assert bench.consumer.calls == []


def test_a_partition_that_was_taken_away_while_it_was_paused_is_heard_of_again(bench: Bench) -> None:
    """To the client a pause outlives the assignment: unless it is resumed, nothing ever comes of the partition."""
    bench.assigned(1)  # heard of, and paused until its state is there
    bench.consumer.rebalance("lost", 1)
    bench.consumer.rebalance("assign", 1)
    assert [(name, list(given)) for name, given in bench.consumer.calls] == [
        ("incremental_assign", [1]),
        ("resume", [1]),
    ]


def test_an_empty_assignment_is_told(bench: Bench) -> None:
    """More instances than partitions: one without any is ready, too."""
    bench.consumer.rebalance("assign")
    assert bench.listener.heard == [("assigned", [])]
    assert ("pause", {}) not in bench.consumer.calls


def test_nothing_is_given_of_a_partition_that_was_not_started(bench: Bench) -> None:
    """Neither records nor its end, should the client have fetched some before the pause."""
    bench.consumer.rebalance("assign", 1)
    bench.consumer.queue.extend([message(4, partition=1), end(5, partition=1)])
    assert bench.poll() == Polled([], {})


def test_a_started_partition_is_sought_and_then_resumed(bench: Bench) -> None:
    """In this order: the other way round records of the end would come first."""
    bench.assigned(1, 2)
    bench.source.start(2, 17)
    assert bench.consumer.calls == []  # not before the next poll
    bench.poll()
    assert [(name, list(given)) for name, given in bench.consumer.calls] == [("seek", [2]), ("resume", [2])]
    assert bench.consumer.calls[0] == ("seek", {2: 17})


@pytest.mark.parametrize("kind", ["revoke", "lost"])
def test_a_partition_that_was_given_up_is_not_read(bench: Bench, kind: str) -> None:
    """Its records that are still queued are dropped, the other's are not; the listener hears what it was."""
    bench.reading(1, 2)
    bench.consumer.rebalance(kind, 1)
    bench.consumer.queue.extend([message(4, partition=1), message(5, partition=2), end(5, partition=1)])
    polled = bench.poll()
    assert ([record.partition for record in polled.records], polled.ends) == ([2], {})
    assert bench.listener.heard[-1] == ({"revoke": "revoked", "lost": "lost"}[kind], [1])


def test_a_seek_that_waits_is_forgotten_with_its_partition(bench: Bench) -> None:
    """The client would refuse to seek in a partition that is not assigned, at every poll."""
    bench.reading(1)
    bench.source.rewind({1: 3})
    bench.consumer.rebalance("revoke", 1)
    bench.poll()
    assert "seek" not in [name for name, _ in bench.consumer.calls]


def test_a_seek_of_an_earlier_ownership_is_not_made_in_the_next(bench: Bench) -> None:
    """Where it goes on is its restore's to say."""
    bench.reading(1)
    bench.source.rewind({1: 3})
    bench.consumer.rebalance("revoke", 1)
    bench.assigned(1)
    bench.poll()
    assert bench.consumer.calls == []


def test_a_rewind_while_it_is_revoked_is_forgotten(bench: Bench) -> None:
    """The loop rewinds what it drops from within the callback, the revoked partition with it."""
    bench.reading(1)

    class Rewinding(Listener):
        def revoked(self, numbers: list[int]) -> None:
            bench.source.rewind(dict.fromkeys(numbers, 0))

    bench.source.subscribe(Rewinding(bench.consumer))
    bench.consumer.rebalance("revoke", 1)
    bench.poll()
    assert "seek" not in [name for name, _ in bench.consumer.calls]


def test_a_partition_that_comes_back_waits_again(bench: Bench) -> None:
    """Its state is restored anew."""
    bench.reading(1)
    bench.consumer.rebalance("revoke", 1)
    bench.consumer.rebalance("assign", 1)
    bench.consumer.queue.append(message(4, partition=1))
    assert bench.offsets() == []


def test_without_a_member_id_there_is_nothing_to_commit_under(bench: Bench) -> None:
    """The broker fences no commit of an empty member id."""
    assert bench.source.membership() is not None
    bench.consumer.member = ""
    assert bench.source.membership() is None


def test_closing_leaves_the_group(bench: Bench) -> None:
    """The client does it, and tells the listener once more."""
    bench.source.close()
    assert bench.consumer.closed


# --- records and ends ---


def test_a_poll_takes_what_waits(bench: Bench) -> None:
    """One that is waited for, then all others without waiting."""
    bench.reading(1)
    bench.consumer.queue.extend(message(n, partition=1) for n in range(5))
    assert bench.offsets() == [(1, n) for n in range(5)]


@pytest.mark.parametrize("max_records", [1, 3])
def test_a_poll_takes_no_more_than_it_may(bench: Bench, max_records: int) -> None:
    """The rest waits."""
    bench.reading(1)
    bench.consumer.queue.extend(message(n, partition=1) for n in range(5))
    assert len(bench.offsets(max_records)) == max_records
    assert len(bench.offsets()) == 5 - max_records


def test_a_poll_without_anything(bench: Bench) -> None:
    """Neither records nor ends."""
    assert bench.reading(1).poll() == Polled([], {})


def test_a_record_is_as_kafka_gave_it(bench: Bench) -> None:
    """Place, append time, key, value; headers when they are asked for, nulls and duplicates among them."""
    bench.reading(1)
    headers: Headers = [("a", None), ("a", b"1")]
    bench.consumer.queue.append(message(7, partition=1, key=None, value=None, append_ms=START_MS, headers=headers))
    (found,) = bench.poll().records
    assert found[:5] == (1, 7, START_MS, None, None)
    assert found.headers() == headers


def test_a_time_that_no_profile_can_hold_is_the_last_that_it_can(bench: Bench) -> None:
    """A producer's clock may count microseconds; the record is scored all the same, and later ones too."""
    bench.reading(0).consumer.queue.append(message(5, append_ms=1_780_000_000_000_000))
    assert [record.append_ms for record in bench.poll().records] == [MAX_MS]


def test_headers_that_the_client_cannot_read_are_none(bench: Bench) -> None:
    """A name that is no UTF-8; asked a second time it gives an unfinished tuple, whose use ends the process."""
    bench.reading(1).consumer.queue.append(cast(Message, Unreadable()))
    (found,) = bench.poll().records
    assert [found.headers(), found.headers()] == [[], []]


def test_ends_are_told_beside_the_records(bench: Bench) -> None:
    """Past control records, which no record's offset tells."""
    bench.reading(1, 2)
    bench.consumer.queue.extend([message(4, partition=1), end(6, partition=1), end(0, partition=2)])
    polled = bench.poll()
    assert ([record.offset for record in polled.records], polled.ends) == ([4], {1: 6, 2: 0})


# --- rewinding ---


def test_what_was_fetched_before_a_rewind_is_dropped(bench: Bench) -> None:
    """A rewind from within the poll: what the client hands out is from beyond it, of that partition alone."""
    bench.reading(1, 2)
    bench.consumer.queue.extend([message(8, partition=1), end(9, partition=1), message(5, partition=2)])
    bench.consumer.script.then("poll", lambda: bench.source.rewind({1: 3}))
    polled = bench.poll()
    assert ([record.partition for record in polled.records], polled.ends) == ([2], {})


def test_a_rewind_is_done_before_the_next_poll(bench: Bench) -> None:
    """And the partition is not paused for it, so it need not be resumed."""
    bench.reading(1)
    bench.source.rewind({1: 3})
    bench.consumer.queue.append(message(3, partition=1))
    assert bench.offsets() == [(1, 3)]
    assert bench.consumer.calls == [("seek", {1: 3})]


def test_the_last_rewind_counts(bench: Bench) -> None:
    """Two aborts before the next poll."""
    bench.reading(1)
    bench.source.rewind({1: 3})
    bench.source.rewind({1: 2})
    bench.poll()
    assert bench.consumer.calls == [("seek", {1: 2})]


def test_a_seek_that_fails_is_made_again(bench: Bench) -> None:
    """The fetcher of a new partition may not have started; until then it stays paused and its records are dropped."""
    bench.assigned(1)
    bench.source.start(1, 17)
    bench.consumer.script.then("seek", fault(KafkaError._STATE))
    bench.consumer.queue.append(message(99, partition=1))
    bench.consumer.calls.clear()
    assert (bench.offsets(), bench.consumer.calls) == ([], [])
    bench.poll()
    assert [name for name, _ in bench.consumer.calls] == ["seek", "resume"]


# --- back-pressure ---


def test_without_room_the_group_is_served_and_nothing_delivered(bench: Bench) -> None:
    """Polling goes on, or the group would think that the member is gone; what is read is paused once."""
    bench.reading(1, 2)
    bench.poll(0)
    bench.poll(0)
    assert [(name, set(given)) for name, given in bench.consumer.calls] == [("pause", {1, 2})]
    assert bench.consumer.script.calls[-2:] == ["poll", "poll"]


def test_with_room_again_it_goes_on(bench: Bench) -> None:
    """All that was paused is resumed, once."""
    bench.reading(1, 2)
    bench.poll(0)
    bench.consumer.calls.clear()
    bench.poll(5)
    bench.poll(5)
    assert [(name, set(given)) for name, given in bench.consumer.calls] == [("resume", {1, 2})]


def test_a_partition_without_state_stays_paused_when_the_others_go_on(bench: Bench) -> None:
    """It is not back-pressure that holds it."""
    bench.reading(1)
    bench.consumer.rebalance("assign", 2)
    bench.consumer.calls.clear()
    bench.poll(0)
    bench.poll(5)
    assert [(name, set(given)) for name, given in bench.consumer.calls] == [("pause", {1}), ("resume", {1})]


def test_a_partition_that_starts_under_back_pressure_waits_with_the_others(bench: Bench) -> None:
    """It is sought, and resumed once there is room."""
    bench.reading(1)
    bench.poll(0)
    bench.assigned(2, room=0)
    bench.source.start(2, 17)
    bench.consumer.calls.clear()
    bench.poll(0)
    assert bench.consumer.calls == [("seek", {2: 17})]
    bench.poll(5)
    assert [(name, set(given)) for name, given in bench.consumer.calls[1:]] == [("resume", {1, 2})]


def test_a_partition_whose_seek_waits_is_not_resumed_with_the_others(bench: Bench) -> None:
    """Else it would be read from its end."""
    bench.reading(1)
    bench.poll(0)
    bench.assigned(2, room=0)
    bench.source.start(2, 17)
    bench.consumer.script.then("seek", fault(KafkaError._STATE), fault(KafkaError._STATE))
    bench.poll(0)
    bench.consumer.calls.clear()
    bench.poll(5)
    assert [(name, set(given)) for name, given in bench.consumer.calls] == [("resume", {1})]
    bench.poll(5)
    assert [(name, set(given)) for name, given in bench.consumer.calls[1:]] == [("seek", {2}), ("resume", {2})]


# --- errors ---


@pytest.mark.parametrize(
    ("code", "error", "exit_code", "says"),
    [
        (KafkaError._AUTO_OFFSET_RESET, StateError, 5, "--rebuild-state"),
        (KafkaError.OFFSET_OUT_OF_RANGE, StateError, 5, "lost to retention"),
        (KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaUnavailableError, 3, "The principal needs Read"),
        (KafkaError.GROUP_AUTHORIZATION_FAILED, KafkaUnavailableError, 3, "The principal needs Read"),
        (KafkaError._AUTHENTICATION, KafkaUnavailableError, 3, "not authorised"),
        (KafkaError._FATAL, FatalError, 1, "cannot go on.*group.protocol"),
        (KafkaError.UNKNOWN_TOPIC_OR_PART, ConfigurationError, 2, "topics create"),
        (KafkaError._UNKNOWN_TOPIC, ConfigurationError, 2, "is gone"),
    ],
)
def test_what_no_waiting_heals_ends(
    bench: Bench, code: int, error: type[FatalError], exit_code: int, says: str
) -> None:
    """With the exit code of its kind, what happened and what to do."""
    bench.reading(1)
    bench.consumer.queue.append(told(code, partition=1))
    with pytest.raises(error, match=says) as caught:
        bench.poll()
    assert caught.value.exit_code == exit_code


@pytest.mark.parametrize("code", [KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN, KafkaError._MAX_POLL_EXCEEDED])
def test_what_the_client_retries_is_passed_over(bench: Bench, code: int) -> None:
    """The records beside it are given."""
    bench.reading(1)
    bench.consumer.queue.extend([message(0, partition=1), told(code, partition=1), message(1, partition=1)])
    assert bench.offsets() == [(1, 0), (1, 1)]


def test_an_offset_out_of_range_before_the_start_is_passed_over(bench: Bench) -> None:
    """The place that an assigned partition waits at is not where it will be read."""
    bench.consumer.rebalance("assign", 1)
    bench.consumer.queue.append(told(KafkaError._AUTO_OFFSET_RESET, partition=1))
    assert bench.poll() == Polled([], {})


@pytest.mark.parametrize("code", sorted(DAMAGED))
def test_nothing_behind_a_damaged_batch_is_taken(bench: Bench, code: int) -> None:
    """The client goes on behind it: it is read again, for it may have been damaged on its way."""
    bench.reading(1)
    bench.consumer.queue.extend([message(0, partition=1), told(code, partition=1, offset=1), message(9, partition=1)])
    assert bench.offsets() == [(1, 0)]
    bench.consumer.calls.clear()
    bench.consumer.queue.extend([message(1, partition=1)])
    assert bench.offsets() == [(1, 1)]
    assert bench.consumer.calls == [("seek", {1: 1})]


def test_the_end_behind_a_damaged_batch_is_no_loss(bench: Bench) -> None:
    """The client goes on behind it, past the end, and may say so only after it was told to read again."""
    bench.reading(1)
    bench.consumer.queue.append(told(KafkaError._BAD_MSG, partition=1, offset=7))
    assert bench.poll() == Polled([], {})
    bench.consumer.queue.append(told(KafkaError._AUTO_OFFSET_RESET, partition=1, offset=9))
    assert bench.poll() == Polled([], {})
    bench.consumer.calls.clear()
    bench.consumer.queue.append(message(7, partition=1))
    assert bench.offsets() == [(1, 7)]
    assert bench.consumer.calls == [("seek", {1: 7})]


@pytest.mark.parametrize("read", [True, False])
def test_a_damaged_batch_that_is_gone_ends(bench: Bench, read: bool) -> None:
    """What is out of range where it is read again, or after it was, is lost."""
    bench.reading(1)
    bench.consumer.queue.append(told(KafkaError._BAD_MSG, partition=1, offset=7))
    bench.poll()
    if read:
        bench.consumer.queue.append(message(7, partition=1))
        bench.poll()
    bench.consumer.queue.append(told(KafkaError._AUTO_OFFSET_RESET, partition=1, offset=8 if read else 7))
    with pytest.raises(StateError, match="the next record to be read is gone"):
        bench.poll()


def test_a_batch_that_stays_damaged_ends(bench: Bench) -> None:
    """To commit past it would lose its records; the message says where it is and what to do."""
    bench.reading(1)
    bench.consumer.queue.append(told(KafkaError._BAD_MSG, partition=1, offset=7))
    assert bench.poll() == Polled([], {})
    bench.consumer.queue.append(told(KafkaError._BAD_MSG, partition=1, offset=7))
    with pytest.raises(StateError, match=r"-1: what is at offset 7 (.|\n)*--rebuild-state"):
        bench.poll()

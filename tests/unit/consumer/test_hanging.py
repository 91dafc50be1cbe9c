"""Partitions that were not told how a transaction ended."""

from __future__ import annotations

import pytest
from confluent_kafka import IsolationLevel, KafkaError

from consumer.end_offsets import Place
from consumer.hanging import PATIENCE_S, UNANSWERED_S, HangingTransactions
from tests.unit.consumer.fakes import FakeAdmin, FakeClock, fault

PLACES: list[Place] = [("decisions", 1), ("decisions", 2)]


def find(admin: FakeAdmin, clock: FakeClock | None = None) -> list[Place]:
    return HangingTransactions(admin.client, clock or FakeClock()).find(PLACES)


def test_where_all_is_ended_nothing_hangs() -> None:
    """And nothing is waited for."""
    clock = FakeClock()
    began_s = clock.monotonic()
    assert find(FakeAdmin({1: 5, 2: 7}), clock) == []
    assert clock.monotonic() == began_s


def test_a_partition_whose_end_does_not_become_stable_hangs() -> None:
    """Each is judged by itself."""
    assert find(FakeAdmin({1: 5, 2: 7}, stable={2: [6]})) == [("decisions", 2)]


def test_a_marker_that_is_late_is_waited_for() -> None:
    """It comes some milliseconds after the answer to an abort."""
    assert find(FakeAdmin({1: 5, 2: 7}, stable={2: [6, 6, 7]})) == []


def test_what_is_appended_meanwhile_does_not_count() -> None:
    """A partition may be another owner's by now, who always has something open there."""
    admin = FakeAdmin({1: 5, 2: 7}, stable={2: [6, 8]})
    admin.script.then("list_offsets", None, None, lambda: admin.high.update({2: 9}))
    assert find(admin) == []
    assert admin.asked.count(IsolationLevel.READ_UNCOMMITTED) == 1


def test_patience_ends() -> None:
    """Soon: whoever asks has a batch to do again."""
    clock = FakeClock()
    began_s = clock.monotonic()
    find(FakeAdmin({1: 5, 2: 7}, stable={2: [6]}), clock)
    assert PATIENCE_S <= clock.monotonic() - began_s < 2 * PATIENCE_S


def test_brokers_that_do_not_answer_are_asked_again() -> None:
    """For a while after a restart they know nothing."""
    admin = FakeAdmin({1: 5, 2: 7}, stable={2: [6]})
    admin.script.then(
        "list_offsets", fault(KafkaError.NOT_LEADER_FOR_PARTITION), None, None, fault(KafkaError._TIMED_OUT)
    )
    assert find(admin) == [("decisions", 2)]


def test_where_nobody_can_tell_nothing_hangs() -> None:
    """After a while: whoever asks must come to an end."""
    admin, clock = FakeAdmin({1: 5, 2: 7}), FakeClock()
    began_s = clock.monotonic()
    admin.script.then("list_offsets", *[fault(KafkaError._TIMED_OUT)] * 1000)
    assert find(admin, clock) == []
    assert clock.monotonic() - began_s > UNANSWERED_S


def test_a_topic_that_is_gone_has_nothing_that_hangs() -> None:
    """It must not hold up what says so; the others are looked at."""
    admin, clock = FakeAdmin({1: 5, 2: 7}, stable={2: [6]}), FakeClock()
    admin.topics = ["decisions"]
    admin.script.then("list_offsets", fault(KafkaError.UNKNOWN_TOPIC_OR_PART))
    places = [("decisions", 2), ("gone", 1)]
    assert HangingTransactions(admin.client, clock).find(places) == [("decisions", 2)]


@pytest.mark.parametrize("code", [KafkaError._NOENT, KafkaError.TOPIC_AUTHORIZATION_FAILED])
def test_topics_that_are_all_gone_have_nothing_that_hangs(code: int) -> None:
    """For those the client has another error; or we may not know of them."""
    admin, clock = FakeAdmin({1: 5, 2: 7}), FakeClock()
    began_s = clock.monotonic()
    admin.script.then("list_offsets", fault(code), fault(code))
    assert find(admin, clock) == []
    assert clock.monotonic() == began_s


def test_a_transaction_of_offsets_alone_asks_nobody() -> None:
    """It wrote to no partition."""
    admin = FakeAdmin({})
    assert HangingTransactions(admin.client, FakeClock()).find([]) == []
    assert admin.asked == []

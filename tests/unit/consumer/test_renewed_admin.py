"""A client that cannot find a leader again is replaced, one beside brokers that are away not all the time."""

from __future__ import annotations

import threading
import weakref
from concurrent.futures import Future
from typing import Any, cast

import pytest
from confluent_kafka import IsolationLevel, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._listoffsets import OffsetSpec  # the package exports it without saying so

from consumer.end_offsets import end_offsets
from consumer.renewed_admin import FAILS_S, FAILS_S_MAX, FORGOTTEN_S, RenewedAdmin
from tests.unit.consumer.fakes import FakeAdmin, FakeClock, fault


class Bench:
    """Clients that are made one after the other, all of them stuck until they are mended."""

    def __init__(self) -> None:
        self.clock, self.made = FakeClock(), list[FakeAdmin]()
        self.stuck = True
        self.admin = RenewedAdmin(self._make(), self._make, self.clock)

    def _make(self) -> Any:
        client = FakeAdmin({0: 7, 1: 7})
        if self.stuck:
            client.script.then("list_offsets", *[fault(KafkaError._NOENT)] * 1000)
        self.made.append(client)
        return client.client

    def ask(self, number: int = 0) -> int | None:
        try:
            return end_offsets(self.admin, "decisions", [number], IsolationLevel.READ_UNCOMMITTED)[number]
        except KafkaException:
            return None

    def ask_for(self, seconds: float, number: int = 0) -> None:
        until_s = self.clock.monotonic() + seconds
        while self.clock.monotonic() <= until_s:
            self.ask(number)
            self.clock.sleep(1.0)


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_one_that_finds_no_leader_again_is_replaced(bench: Bench) -> None:
    """It would not for as long as it lives, where a new one does."""
    bench.ask_for(FAILS_S)
    bench.stuck = False
    assert len(bench.made) == 1
    assert bench.ask() == 7
    assert len(bench.made) == 2


def test_where_brokers_are_away_new_ones_come_ever_more_seldom(bench: Bench) -> None:
    """Each costs threads, and asks no better."""
    bench.ask_for(3600)
    assert 3600 / FAILS_S_MAX < len(bench.made) < 3600 / FAILS_S_MAX + 6


def test_one_that_answers_again_stays(bench: Bench) -> None:
    """Most failures pass."""
    bench.ask_for(FAILS_S / 2)
    bench.made[0].script = FakeAdmin({0: 7}).script
    assert bench.ask() == 7
    bench.ask_for(10 * FAILS_S)
    assert len(bench.made) == 1


def test_an_outage_in_which_nothing_was_asked_is_no_failure(bench: Bench) -> None:
    """The partitions were somebody else's meanwhile: the client may be well."""
    bench.ask_for(FAILS_S / 2)
    bench.clock.sleep(10 * FAILS_S)
    bench.ask_for(FAILS_S / 2)
    assert len(bench.made) == 1


def test_one_partition_does_not_make_another_one_wait_longer(bench: Bench) -> None:
    """That new clients do not help the one says nothing of the other."""
    bench.ask_for(3600)
    made = len(bench.made)
    bench.stuck = False
    bench.clock.sleep(FORGOTTEN_S)
    bench.made[-1].script.then("list_offsets", *[fault(KafkaError._NOENT)] * 1000)
    bench.ask_for(FAILS_S + 2, number=1)
    assert len(bench.made) == made + 1


class AskedAdmin:
    """Answers when the test says so."""

    def __init__(self) -> None:
        self.futures: list[Future[Any]] = []

    def list_offsets(self, asked: dict[TopicPartition, Any], **_: Any) -> dict[TopicPartition, Future[Any]]:
        self.futures = [Future() for _ in asked]
        return dict(zip(asked, self.futures, strict=True))


def test_a_client_that_is_asked_ends_with_its_answer() -> None:
    """Without the client it never comes, and who waits for it would wait for ever."""
    clock, last = FakeClock(), AskedAdmin()
    gone = weakref.ref(last)
    admin = RenewedAdmin(cast(AdminClient, last), lambda: FakeAdmin({0: 7}).client, clock)
    del last

    def ask(number: int) -> dict[TopicPartition, Future[Any]]:
        latest = OffsetSpec.latest()  # type: ignore[no-untyped-call]
        asked = {TopicPartition("decisions", number): latest}
        return admin.list_offsets(asked, isolation_level=IsolationLevel.READ_UNCOMMITTED, request_timeout=5.0)

    (awaited,) = ask(1).values()
    for _ in range(2):
        (failed,) = ask(0).values()
        failed.set_exception(fault(KafkaError._NOENT))
        clock.sleep(FAILS_S)
    ask(0)
    (closing,) = [thread for thread in threading.enumerate() if thread.name == "admin-close"]
    assert gone() is not None
    awaited.set_exception(fault(KafkaError._TIMED_OUT))
    closing.join()
    assert gone() is None

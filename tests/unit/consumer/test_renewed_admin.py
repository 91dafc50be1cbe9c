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
from consumer.renewed_admin import FAILS_S, FAILS_S_MAX, RenewedAdmin
from tests.unit.consumer.fakes import FakeAdmin, FakeClock, fault


class Bench:
    """Clients that are made one after the other, all of them stuck until they are mended."""

    def __init__(self) -> None:
        self.clock, self.made = FakeClock(), list[FakeAdmin]()
        self.stuck = True
        self.admin = RenewedAdmin(self._make(), self._make, self.clock)

    def _make(self) -> Any:
        self.made.append(FakeAdmin({0: 7}))
        if self.stuck:
            self.made[-1].script.then("list_offsets", *[fault(KafkaError._NOENT)] * 1000)
        return self.made[-1].client

    def ask(self) -> int | None:
        try:
            return end_offsets(self.admin, "decisions", [0], IsolationLevel.READ_UNCOMMITTED)[0]
        except KafkaException:
            return None

    def ask_for(self, seconds: float) -> None:
        until_s = self.clock.monotonic() + seconds
        while self.clock.monotonic() < until_s:
            self.ask()
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
    (failed,) = ask(0).values()
    failed.set_exception(fault(KafkaError._NOENT))
    clock.sleep(FAILS_S)
    before = set(threading.enumerate())
    ask(0)
    (closing,) = set(threading.enumerate()) - before
    assert gone() is not None
    awaited.set_exception(fault(KafkaError._TIMED_OUT))
    closing.join(10.0)
    assert gone() is None


def test_a_client_stays_where_threads_are_short(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Dropped without a thread to wait for its answers, it would leave those who asked waiting for ever."""

    def no_thread(*_: Any) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr("consumer.renewed_admin.detached", no_thread)
    bench.ask_for(FAILS_S)
    bench.stuck = False
    assert bench.ask() is None

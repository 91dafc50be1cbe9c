"""Restores on a thread of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, cast

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition
from structlog.testing import capture_logs

from consumer import restore
from consumer.assignment import Partition
from consumer.changelog import ChangelogReader, OpenTransactionError
from consumer.offsets import GroupOffsets
from consumer.ports import Restored
from consumer.restore import BackgroundRestorer
from consumer.start import Changelog, Start, TopicIds
from runtime.errors import FatalError, KafkaUnavailableError
from tests.kafka import eventually
from tests.unit.consumer.fakes import FakeClock

IDS = TopicIds("E", "P")


class Bench:
    """A restorer over partitions on which transactions may be open."""

    def __init__(self) -> None:
        self.open: set[int] = set()
        self.away: set[int] = set()
        self.refused: set[int] = set()
        self.starts = 0
        self.clock = FakeClock()
        self.read_numbers: list[int] = []
        self.seconds: list[float] = []
        self.restorer = BackgroundRestorer(
            cast(GroupOffsets, self), cast(ChangelogReader, self), IDS, None, self.clock, self.seconds.append
        )
        self.found: list[int] = []

    def start(self, number: int) -> Start:
        self.starts += 1
        if number in self.away:
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT))
        if number in self.refused:
            raise KafkaException(KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED))
        return Start("events", number, 0, IDS.to_metadata(), 0, 9)

    def committed_without_pending(self, numbers: list[int]) -> list[TopicPartition]:
        return [TopicPartition("events", number, 7) for number in numbers]

    def read(self, number: int, _: Callable[[], bool]) -> Changelog:
        self.read_numbers.append(number)
        if number in self.open:
            raise OpenTransactionError
        return Changelog()

    def restored(self) -> list[int]:
        self.found += [cast(Restored, result).partition.number for result in self.restorer.finished()]
        return self.found


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    monkeypatch.setattr(restore, "RETRY_S", 0.001)
    made = Bench()
    yield made
    made.restorer.close()


def test_an_open_transaction_holds_up_its_partition_alone(bench: Bench) -> None:
    """Neither those behind it nor those that are assigned later."""
    bench.open = {1}
    bench.restorer.request([Partition(1), Partition(2)])
    eventually(lambda: bench.restored() == [2])
    bench.restorer.request([Partition(3)])
    eventually(lambda: bench.restored() == [2, 3])
    bench.open = set()
    eventually(lambda: bench.restored() == [2, 3, 1])


def test_it_is_restored_when_all_of_it_is(bench: Bench) -> None:
    """The time it took is that of the last of the partitions that were assigned together."""
    bench.open = {1}
    with capture_logs() as logs:
        bench.restorer.request([Partition(1), Partition(2)])
        eventually(lambda: bench.restored() == [2])
        assert bench.seconds == []
        bench.open = set()
        eventually(lambda: len(bench.seconds) == 1)
    (told,) = (line for line in logs if line["event"] == "restored")
    assert told["partitions"] == [1, 2]


def test_a_partition_that_is_given_up_is_not_waited_for(bench: Bench) -> None:
    """Another instance restores it now."""
    partition = Partition(1)
    bench.open = {1}
    bench.restorer.request([partition])
    eventually(lambda: len(bench.read_numbers) > 1)
    partition.dropped = True
    eventually(lambda: len(bench.seconds) == 1)
    assert bench.restored() == []


def test_a_partition_that_cannot_be_asked_holds_up_itself_alone(bench: Bench) -> None:
    """Its leader is away: those behind it and those that are assigned later are restored; so is it, once it answers."""
    bench.away, waiting = {1}, Partition(1)
    bench.restorer.request([waiting, Partition(2)])
    eventually(lambda: bench.restored() == [2])
    assert waiting.done_to == 7
    bench.restorer.request([Partition(3)])
    eventually(lambda: bench.restored() == [2, 3])
    bench.away.clear()
    bench.clock.sleep(restore.RETRY_S_MAX)
    eventually(lambda: bench.restored() == [2, 3, 1])


def test_a_right_that_is_missing_ends_the_service(bench: Bench) -> None:
    """Once it was missing three times in a row: exit code 3, and the rights that are needed."""
    bench.refused = {1}
    bench.restorer.request([Partition(1)])
    found: list[Restored | FatalError] = []

    def told() -> bool:
        bench.clock.sleep(restore.RETRY_S_MAX)
        found.extend(bench.restorer.finished())
        return bool(found)

    eventually(told)
    (error,) = found
    assert bench.starts == restore.UNAUTHORISED_MAX
    assert isinstance(error, KafkaUnavailableError)
    assert "Read on the events and profiles topics" in str(error)


def test_one_missing_right_after_an_outage_is_no_reason_to_end(bench: Bench) -> None:
    """Only those in a row count, however often it failed before."""
    bench.away = {1}
    bench.restorer.request([Partition(1)])

    def tried_again() -> bool:
        bench.clock.sleep(restore.RETRY_S_MAX)
        return bench.starts > before

    for _ in range(restore.UNAUTHORISED_MAX):
        before = bench.starts
        eventually(tried_again)
    bench.away, bench.refused = set(), {1}
    before = bench.starts
    eventually(tried_again)
    bench.refused = set()
    eventually(lambda: tried_again() and bench.restored() == [1])


def test_a_long_wait_is_told_ever_more_rarely_and_what_to_do(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once no transaction that the broker knows can be as old it may be one that hangs."""
    monkeypatch.setattr(restore, "LATE_S", 0.004)
    bench.open = {1}
    with capture_logs() as logs:
        bench.restorer.request([Partition(1)])
        eventually(lambda: len(bench.read_numbers) > 10)
        bench.open = set()
        eventually(lambda: bench.restored() == [1])
    told: list[Any] = [line for line in logs if line["event"] == "restore_waits"][:5]
    assert [line["waited_s"] for line in told] == [0.0, 0.001, 0.002, 0.004, 0.008]
    assert ["find-hanging" in line["next"] for line in told] == [False, False, False, True, True]

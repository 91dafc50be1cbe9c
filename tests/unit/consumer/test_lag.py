"""How far behind, measured beside the loop, and the truth also while a broker is silent."""

from __future__ import annotations

from threading import Event

import pytest
from confluent_kafka import IsolationLevel, KafkaError, KafkaException

from consumer import lag as lags
from consumer.assignment import Assignment, Partition
from consumer.end_offsets import end_offsets
from consumer.lag import Lag, LagMonitor
from consumer.stalls import PATIENCE_S
from runtime.metrics import Metrics
from tests.unit.consumer.bench import exposed
from tests.unit.consumer.fakes import START_MS, TOPIC, FakeAdmin, FakeClock, FakeConsumer, end, fault, message, told


class Bench:
    """A monitor over one active partition, 0, whose end, next offset and polled records the test sets."""

    def __init__(self, *, end_offset: int, next_offset: int, oldest_ms: int | None = None) -> None:
        self.clock = FakeClock()
        self.metrics = Metrics(["nurture"], self.clock)
        self.admin = FakeAdmin({0: end_offset})
        self.consumer = FakeConsumer()
        self.assignment = Assignment()
        self.assignment.add([0])
        self.assignment.partitions[0].activate(next_offset, {})
        self.told_end = -1
        self.oldest_ms = {} if oldest_ms is None else {0: oldest_ms}
        self.monitor = LagMonitor(
            admin=self.admin.client,
            consumer=self.consumer.client,
            topic=TOPIC,
            partitions=self.assignment.snapshot,
            read_to=lambda partition: max(partition.position, self.told_end),
            hindered_s=lambda: 0.0,
            oldest_unprocessed_ms=lambda: self.oldest_ms,
            metrics=self.metrics,
            clock=self.clock,
        )

    def measure(self) -> Lag | None:
        """What is shown once Kafka was asked."""
        self.monitor.ask()
        return self.measure_alone()

    def wait(self) -> None:
        """Kafka is asked before and after a time that is longer than patience with a partition that stalls."""
        self.monitor.ask()
        self.clock.sleep(PATIENCE_S + 1)
        self.monitor.ask()

    def measure_alone(self) -> Lag | None:
        """What is shown while it is being asked."""
        self.monitor.measure()
        return self.monitor.lags.get(0)

    def log(self, *offsets: int) -> None:
        """Readable records of partition 0, each appended as many seconds after the start as its offset says."""
        records = [message(offset, append_ms=START_MS + 1000 * offset) for offset in offsets]
        self.consumer.logs[TOPIC, 0] = [*records, end(self.admin.high[0])]

    @property
    def probes(self) -> int:
        return [name for name, _ in self.consumer.calls].count("assign")


def test_idle_is_no_lag() -> None:
    """Caught up: nothing to read, nothing old."""
    bench = Bench(end_offset=8, next_offset=8)
    assert bench.measure() == Lag(0, 0.0)
    assert bench.probes == 0


def test_behind_by_what_was_polled() -> None:
    """The age of the oldest record that the loop holds; it need not be read again."""
    bench = Bench(end_offset=8, next_offset=5, oldest_ms=START_MS - 2500)
    assert bench.measure() == Lag(3, 2.5)
    assert bench.probes == 0


def test_behind_by_what_was_not_polled() -> None:
    """The record is read here: the partition may be paused, or just assigned."""
    bench = Bench(end_offset=8, next_offset=5)
    bench.log(5, 6, 7)
    bench.clock.sleep(9.0)
    assert bench.measure() == Lag(3, 4.0)


def test_the_first_readable_record_counts() -> None:
    """Those of aborted transactions lie between."""
    bench = Bench(end_offset=8, next_offset=5)
    bench.log(7)
    bench.clock.sleep(9.0)
    assert bench.measure() == Lag(3, 2.0)


def test_an_offset_is_probed_once() -> None:
    """Its record does not change; it only gets older."""
    bench = Bench(end_offset=8, next_offset=5)
    bench.log(5, 6, 7)
    bench.measure()
    bench.clock.sleep(9.0)
    assert (bench.measure(), bench.probes) == (Lag(3, 4.0), 1)
    bench.assignment.partitions[0].next_offset = 6
    assert (bench.measure(), bench.probes) == (Lag(2, 3.0), 2)


def test_control_records_alone_are_not_old() -> None:
    """Nothing is readable up to the end."""
    bench = Bench(end_offset=8, next_offset=5)
    bench.log()
    assert bench.measure() == Lag(3, 0.0)


def test_what_comes_behind_control_records_is_found() -> None:
    """That nothing was readable from an offset on does not stay true."""
    bench = Bench(end_offset=8, next_offset=5)
    bench.log()
    bench.measure()
    bench.admin.high[0] = 9
    bench.log(8)
    bench.clock.sleep(9.0)
    assert bench.measure() == Lag(4, 1.0)


def test_the_end_is_the_last_stable_offset() -> None:
    """What is behind an open transaction is not readable yet."""
    bench = Bench(end_offset=8, next_offset=5)
    bench.measure()
    assert bench.admin.asked == [IsolationLevel.READ_COMMITTED]


def test_a_clock_that_is_behind() -> None:
    """An age is never negative."""
    assert Bench(end_offset=8, next_offset=5, oldest_ms=START_MS + 500).measure() == Lag(3, 0.0)


def test_an_old_end_below_the_next_offset() -> None:
    """The loop commits on while the answer is on its way: no negative lag."""
    assert Bench(end_offset=8, next_offset=9).measure() == Lag(0, 0.0)


# --- silence ---


def test_without_ends_what_was_polled_gets_older() -> None:
    """A commit that hangs since the broker went away: the last end stood before its records were appended."""
    bench = Bench(end_offset=5, next_offset=5)
    bench.measure()
    bench.assignment.partitions[0].position = 7
    bench.oldest_ms = {0: START_MS}
    bench.admin.script.then("list_offsets", fault(KafkaError._TIMED_OUT))
    bench.clock.sleep(30.0)
    assert bench.measure() == Lag(2, 30.0)


def test_before_ends_were_ever_known_there_is_no_lag() -> None:
    """Absent, not 0."""
    bench = Bench(end_offset=5, next_offset=5)
    bench.admin.script.then("list_offsets", fault(KafkaError._TIMED_OUT))
    assert bench.measure() is None


def test_a_record_that_cannot_be_read_waits_from_now_on() -> None:
    """Absent until something was known; then growing from the moment that it was seen to wait, until it is read."""
    bench = Bench(end_offset=8, next_offset=5)
    assert bench.measure() is None
    bench.log(5)
    bench.clock.sleep(9.0)
    assert bench.measure() == Lag(3, 4.0)
    bench.assignment.partitions[0].next_offset = 6
    bench.consumer.logs.clear()
    assert bench.measure() == Lag(2, 0.0)
    bench.clock.sleep(3.0)
    assert bench.measure() == Lag(2, 3.0)
    bench.log(6, 7)
    assert bench.measure() == Lag(2, 6.0)


def test_what_waits_grows_older_while_kafka_is_asked() -> None:
    """A question to a silent broker takes seconds, in which nothing may stand still."""
    bench = Bench(end_offset=8, next_offset=5, oldest_ms=START_MS)
    bench.measure()
    bench.clock.sleep(2.0)
    assert bench.measure_alone() == Lag(3, 2.0)


def test_what_was_polled_and_dropped_still_waits() -> None:
    """An abort rewinds: the loop holds nothing until it has read again, and the record is no younger."""
    bench = Bench(end_offset=8, next_offset=5, oldest_ms=START_MS - 2500)
    bench.measure()
    bench.oldest_ms.clear()
    assert bench.measure_alone() == Lag(3, 2.5)


def test_a_late_answer_does_not_bring_a_partition_back() -> None:
    """It was taken away while Kafka was asked: its gauges are gone, and stay away."""
    bench = Bench(end_offset=8, next_offset=8)
    bench.measure()
    bench.admin.script.then("list_offsets", lambda: bench.assignment.remove([0]))
    bench.monitor.ask()
    assert bench.measure_alone() is None
    assert not [name for name in exposed(bench.metrics) if "consumer_lag" in name]


def test_an_end_goes_with_its_partition() -> None:
    """What was the end when a partition was owned before says nothing when it comes back."""
    bench = Bench(end_offset=8, next_offset=8)
    bench.measure()
    bench.assignment.remove([0])
    bench.monitor.ask()
    bench.assignment.add([0])
    bench.assignment.partitions[0].activate(8, {})
    assert bench.measure_alone() is None


def test_a_probe_that_fails_is_no_news() -> None:
    """Any error but the end of the partition."""
    bench = Bench(end_offset=8, next_offset=5)
    bench.consumer.logs[TOPIC, 0] = [told(KafkaError._TRANSPORT, offset=5)]
    assert bench.measure() is None
    assert bench.consumer.calls[-1][0] == "unassign"


def test_one_partitions_silence_is_not_the_others() -> None:
    """Each is measured for itself."""
    bench = Bench(end_offset=8, next_offset=5)
    bench.admin.high[1] = 4
    bench.assignment.add([1])
    bench.assignment.partitions[1].activate(4, {})
    bench.measure()
    assert bench.monitor.lags == {1: Lag(0, 0.0)}


@pytest.mark.parametrize("answers", [[fault(KafkaError.FENCED_LEADER_EPOCH)], [None]])
def test_an_end_that_is_no_offset_is_no_end(answers: list[KafkaException | None]) -> None:
    """Whether the client says so by an error or by a negative number."""
    admin = FakeAdmin({0: -1001})
    admin.script.then("list_offsets", *answers)
    with pytest.raises(KafkaException):
        end_offsets(admin.client, TOPIC, [0], IsolationLevel.READ_COMMITTED)


# --- what stalls ---


def test_what_the_client_does_not_give_is_told_once() -> None:
    """The brokers have more, for longer than patience lasts."""
    bench = Bench(end_offset=8, next_offset=5)
    bench.log(5)
    bench.wait()
    assert bench.monitor.take_stalled() == [0]
    assert bench.monitor.take_stalled() == []


def test_what_has_moved_since_is_not_told() -> None:
    """It was found on one thread, and is acted on by another some time later."""
    bench = Bench(end_offset=8, next_offset=5)
    bench.log(5)
    bench.wait()
    bench.told_end = 8
    assert bench.monitor.take_stalled() == []


def test_an_end_that_was_told_is_no_stall() -> None:
    """What is left before it are aborted records or markers: the client has nothing to give."""
    bench = Bench(end_offset=8, next_offset=5)
    bench.told_end = 8
    bench.wait()
    assert bench.monitor.take_stalled() == []


def test_ends_that_are_not_told_tell_of_no_stall() -> None:
    """Brokers that are away have nothing to give."""
    bench = Bench(end_offset=8, next_offset=5)
    bench.log(5)
    bench.monitor.ask()
    bench.clock.sleep(PATIENCE_S + 1)
    bench.admin.script.then("list_offsets", fault(KafkaError._TRANSPORT))
    bench.monitor.ask()
    assert bench.monitor.take_stalled() == []


# --- what is shown ---


def test_the_gauges() -> None:
    """Both, by partition, and the leads in memory of all partitions."""
    bench = Bench(end_offset=8, next_offset=5, oldest_ms=START_MS - 2500)
    bench.assignment.partitions[0].leads.update(a=b"", b=b"")
    bench.measure()
    shown = exposed(bench.metrics)
    assert shown['lead_scorer_consumer_lag_records{partition="0"}'] == 3
    assert shown['lead_scorer_consumer_lag_seconds{partition="0"}'] == 2.5
    assert shown["lead_scorer_state_leads"] == 2


def test_a_gauge_goes_with_its_partition() -> None:
    """Another instance shows it now."""
    bench = Bench(end_offset=8, next_offset=8)
    bench.measure()
    bench.assignment.remove([0])
    bench.measure()
    assert not [name for name in exposed(bench.metrics) if "consumer_lag" in name]


def test_a_partition_without_its_state_has_no_lag_yet() -> None:
    """Where it goes on is not known before it is restored."""
    bench = Bench(end_offset=8, next_offset=8)
    bench.assignment.add([0])
    assert bench.measure() is None


def test_a_fault_does_not_end_the_measuring(monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread logs it and measures on, until it is closed."""
    monkeypatch.setattr(lags, "ASK_INTERVAL_S", 0.001)
    monkeypatch.setattr(lags, "MEASURE_INTERVAL_S", 0.001)
    bench = Bench(end_offset=8, next_offset=8)
    bench.admin.script.then("list_offsets", lambda: _fail())
    measured = Event()
    monkeypatch.setattr(bench.metrics, "set_lag", lambda *_: measured.set())
    bench.monitor.start()
    assert measured.wait(10)
    bench.monitor.close()
    for thread in bench.monitor._threads:
        thread.join(10)
        assert not thread.is_alive()


def _fail() -> None:
    raise ValueError("a bug")


def test_a_stall_that_nobody_has_taken_yet_is_kept() -> None:
    """The loop's turn may be longer than the time between two looks."""
    bench = Bench(end_offset=8, next_offset=5)
    bench.log(5)
    bench.wait()
    bench.monitor.ask()
    assert bench.monitor.take_stalled() == [0]


def test_a_partition_that_waits_for_its_restore_falls_behind() -> None:
    """Nobody works on it: the lag says so as soon as it is known where the group stands."""
    bench = Bench(end_offset=8, next_offset=5)
    partition = Partition(0)
    bench.assignment.partitions[0] = partition
    assert bench.measure() is None
    partition.waits_at = 5
    bench.consumer.logs[TOPIC, 0] = [message(5, append_ms=START_MS)]
    bench.clock.sleep(3.0)
    assert bench.measure() == Lag(3, 3.0)

"""Reading beside the group, and clients that are replaced."""

from __future__ import annotations

import pytest
from confluent_kafka import KafkaException, TopicPartition

from consumer.reader import SILENT_S, Reader
from tests.unit.consumer.fakes import TOPIC, FakeClock, FakeConsumer, end, message

PARTITION = TopicPartition(TOPIC, 0, 0)


class Bench:
    """A reader, and the clients that it made."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.made: list[FakeConsumer] = []
        self.reader = Reader(lambda: self._make().client, self.clock)

    def _make(self) -> FakeConsumer:
        self.made.append(FakeConsumer({(TOPIC, 0): [message(0), end(1)]}))
        return self.made[-1]

    def read(self) -> int:
        with self.reader.reading([PARTITION], 10) as chunks:
            return len(next(chunks))


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_no_client_is_made_before_it_is_needed(bench: Bench) -> None:
    """A start has enough to do."""
    assert bench.made == []


def test_a_client_is_kept_while_all_goes_well(bench: Bench) -> None:
    """And holds no partition between two readings."""
    assert [bench.read(), bench.read()] == [2, 2]
    (client,) = bench.made
    assert client.calls[-1] == ("unassign", {})


def test_after_a_failure_another_one_reads(bench: Bench) -> None:
    """Whatever failed: the one before may be broken for good."""
    with pytest.raises(ValueError, match="no record"), bench.reader.reading([PARTITION], 10):
        raise ValueError("no record")
    assert bench.read() == 2
    assert [client.closed for client in bench.made] == [True, False]


def test_silence_is_a_failure(bench: Bench) -> None:
    """Of a broker, or of a client that asks nobody any more."""

    def read_on() -> None:
        with bench.reader.reading([PARTITION], 10) as chunks:
            for _ in chunks:
                bench.clock.sleep(SILENT_S / 4)

    with pytest.raises(KafkaException, match="nothing was read"):
        read_on()
    assert bench.made[0].closed

"""Those who look on while something breaks: a subscriber of the results, and one who asks for committed offsets."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Sequence
from threading import Event, Thread
from typing import Self

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from runtime.config import Settings
from tests.invariants import offset_of, partition_of
from tests.kafka import eventually

Place = tuple[str, int]
Content = tuple[int, bytes | None, bytes | None]
ASK_S = 2.0
EVERY_S = 0.1


class _Background(ABC):
    """Runs on a thread from entering to leaving; what it could not accept is in `faults`."""

    def __init__(self) -> None:
        self.faults: list[str] = []
        self._stop = Event()
        self._thread = Thread(target=self._work, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    @abstractmethod
    def _work(self) -> None: ...


class Watcher(_Background):
    """Reads topics as a `read_committed` subscriber does, from their start and through whatever happens.

    Args:
        settings: Where the brokers are, by a way that the fault leaves open.
        topics: What is read.
    """

    def __init__(self, settings: Settings, topics: Sequence[str]) -> None:
        super().__init__()
        self.seen: dict[Place, list[Content]] = defaultdict(list)
        self._seen_ms: dict[tuple[str, int, int], int] = {}
        self._topics = topics
        self._consumer = _consumer(settings, f"{settings.kafka.group_id}-watcher")
        numbers = range(settings.topics.partitions)
        self._consumer.assign([TopicPartition(topic, number, 0) for topic in topics for number in numbers])

    def has(self, count: int) -> bool:
        """Whether so many records were seen."""
        return self.count() >= count

    def count(self) -> int:
        """How many records were seen."""
        return sum(len(records) for records in list(self.seen.values()))

    def saw_ms(self, message: Message) -> int:
        """Wall-clock time at which it had a record, which is there, in milliseconds since the epoch."""
        place = message.topic() or "", partition_of(message), offset_of(message)
        eventually(lambda: place in self._seen_ms)
        return self._seen_ms[place]

    def prove(self, final: Sequence[Message]) -> None:
        """What it saw is what is there in the end: nothing vanished, nothing stands twice or elsewhere.

        Args:
            final: All records of the topics, read after everything has ended.
        """
        assert self.faults == []
        wanted: dict[Place, list[Content]] = defaultdict(list)
        for message in final:
            wanted[message.topic() or "", partition_of(message)].append(_content(message))
        for place, so_far in list(self.seen.items()):
            records = so_far.copy()  # it may still be reading the last ones
            assert records == wanted[place][: len(records)], f"{place}: what was seen is not what is there"
        eventually(lambda: self.has(len(final)))
        assert dict(self.seen) == dict(wanted)

    def _work(self) -> None:
        while not self._stop.is_set():
            for message in self._consumer.consume(1000, timeout=0.02):
                self._take(message)
        self._consumer.close()

    def _take(self, message: Message) -> None:
        error = message.error()
        if error is not None:
            if error.code() in (KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE):
                self.faults.append(f"{message.topic()}-{message.partition()}: records vanished: {error.str()}")
            return
        topic, number = message.topic() or "", partition_of(message)
        self.seen[topic, number].append(_content(message))
        self._seen_ms[topic, number, offset_of(message)] = time.time_ns() // 1_000_000


class CommittedOffsets(_Background):
    """Asks for the group's committed offsets again and again: they never go back, and none vanishes."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self.last: dict[int, int] = {}
        self._consumer = _consumer(settings, settings.kafka.group_id)
        topic = settings.topics.events
        self._asked = [TopicPartition(topic, number) for number in range(settings.topics.partitions)]

    def prove(self) -> None:
        """Nothing went back while it looked."""
        assert self.last, "it saw nothing"
        assert self.faults == []

    def _work(self) -> None:
        while not self._stop.wait(EVERY_S):
            try:
                found = self._consumer.committed(self._asked, timeout=ASK_S)
            except KafkaException:
                continue  # the brokers may be what is broken
            for partition in found:
                self._compare(partition)
        self._consumer.close()

    def _compare(self, partition: TopicPartition) -> None:
        if partition.error is not None:
            return
        number, offset = partition.partition, partition.offset
        known = self.last.get(number, -1)
        if offset < 0 <= known or 0 <= offset < known:
            self.faults.append(f"committed offset of partition {number} went from {known} to {offset}")
        if offset >= 0:
            self.last[number] = offset


def _content(message: Message) -> Content:
    return offset_of(message), message.key(), message.value()


def _consumer(settings: Settings, group: str) -> Consumer:
    return Consumer(
        {
            "bootstrap.servers": settings.kafka.bootstrap_servers,
            "group.id": group,
            "enable.auto.commit": False,
            "auto.offset.reset": "error",
            "isolation.level": "read_committed",
            "fetch.wait.max.ms": 20,
            "log_level": 2,  # that the brokers are away is known
        }
    )

"""A reader that lives through every fault: what it saw must be the beginning of what is there in the end."""

from __future__ import annotations

import hashlib
import time
from collections import Counter, defaultdict
from collections.abc import Iterable
from threading import Event, Thread
from typing import NamedTuple

import numpy as np
from confluent_kafka import OFFSET_BEGINNING, Consumer, Message, TopicPartition
from confluent_kafka.admin import AdminClient

from consumer.detached import detached
from consumer.topic_reader import next_chunk
from schemas.codec import decision_codec

REQUEST_S = 30.0
CHUNK_RECORDS = 2000
SILENT_S = 10.0
"""A client that stops to fetch from a partition after its leader was gone does not say so (librdkafka#5430): another
one goes on where one of them was silent for so long. Where it was for want of records, that costs some milliseconds."""


class Second(NamedTuple):
    """The decisions that became visible within one second.

    Attributes:
        n_decisions: How many.
        n_by_rules: How many of them the rules gave.
        p95_ms: Append of the event to here.
    """

    n_decisions: int
    n_by_rules: int
    p95_ms: float


class Chain:
    """A digest of all values of one partition, in order."""

    def __init__(self) -> None:
        self.count = 0
        self._digest = hashlib.blake2b(digest_size=16)

    def add(self, value: bytes) -> None:
        """The next value."""
        self.count += 1
        self._digest.update(len(value).to_bytes(4))
        self._digest.update(value)

    def begins(self, values: Iterable[bytes]) -> bool:
        """Whether these values begin with those that were added."""
        other = Chain()
        for value in values:
            if other.count == self.count:
                break
            other.add(value)
        return other.count == self.count and other._digest.digest() == self._digest.digest()


class Subscriber:
    """Reads the decisions, read committed, on a thread of its own; a context manager. It keeps no record.

    Attributes:
        chains: What was seen, by partition.
        seconds: What became visible when, by whole seconds since `start_s`.
        versions: Decisions by model version, None for those of the rules.
    """

    def __init__(self, bootstrap_servers: str, topic: str, start_s: float) -> None:
        self._configuration: dict[str, str | int | bool] = {
            "bootstrap.servers": bootstrap_servers,
            "group.id": f"{topic}.subscriber",
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
            "fetch.wait.max.ms": 50,
            "log_level": 0,  # the broker goes away again and again
        }
        admin = AdminClient({"bootstrap.servers": bootstrap_servers, "log_level": 0})
        numbers = admin.list_topics(topic, timeout=REQUEST_S).topics[topic].partitions
        self._topic, self._offsets = topic, dict.fromkeys(numbers, OFFSET_BEGINNING)
        """Where to go on, by partition."""
        self.chains: dict[int, Chain] = {number: Chain() for number in numbers}
        self.seconds: dict[int, Second] = {}
        self.versions: Counter[str | None] = Counter()
        self._decode = decision_codec().decode
        self._start_s, self._stop = start_s, Event()
        self._latencies: defaultdict[int, list[float]] = defaultdict(list)
        self._by_rules: Counter[int] = Counter()
        self._thread = Thread(target=self._read, name="subscriber", daemon=True)

    def __enter__(self) -> Subscriber:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._close(None)

    def second(self, at_s: int) -> Second | None:
        """What became visible in a second that is over; None if nothing."""
        return self.seconds.get(at_s)

    def _read(self) -> None:
        while not self._stop.is_set():
            consumer = Consumer(self._configuration)
            consumer.assign([TopicPartition(self._topic, number, offset) for number, offset in self._offsets.items()])
            self._read_with(consumer)
            detached("subscriber-close", consumer.close)  # which may take for ever

    def _read_with(self, consumer: Consumer) -> None:
        """Reads until the stop, or until a partition was silent for too long."""
        heard_s = dict.fromkeys(self._offsets, time.monotonic())
        while not self._stop.is_set() and time.monotonic() - min(heard_s.values()) < SILENT_S:
            messages = next_chunk(consumer, CHUNK_RECORDS)
            now_s = time.time()
            at_s = int(now_s - self._start_s)
            for message in messages:
                if message.error() is None:
                    heard_s[self._take(message, at_s, now_s * 1000)] = time.monotonic()
            self._close(at_s)

    def _take(self, message: Message, at_s: int, now_ms: float) -> int:
        """Counts it; returns its partition."""
        number, offset, value = message.partition(), message.offset(), message.value()
        assert number is not None
        assert offset is not None
        assert value is not None
        self._offsets[number] = offset + 1
        self.chains[number].add(value)
        decision = self._decode(value)
        self.versions[decision["model_version"]] += 1
        append_ms = decision["decided_at"] - decision["latency_ms"]
        if append_ms >= 1000 * self._start_s:  # the backlog before the soak has no latency
            self._by_rules[at_s] += decision["scored_by"] == "RULES"
            self._latencies[at_s].append(now_ms - append_ms)
        return number

    def _close(self, at_s: int | None) -> None:
        """Sums up the seconds that are over: all if there is none now."""
        for second in [second for second in self._latencies if second != at_s]:
            latencies = self._latencies.pop(second)
            p95_ms = float(np.percentile(latencies, 95))
            self.seconds[second] = Second(len(latencies), self._by_rules.pop(second), p95_ms)

"""A subscriber that notes when each decision became visible to it, as a downstream system would see it."""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Event, Thread
from typing import NamedTuple

import numpy as np
from confluent_kafka import OFFSET_BEGINNING, Consumer, Message, TopicPartition
from numpy.typing import NDArray

from schemas.codec import decision_codec

Latencies = NDArray[np.float64]
REQUEST_S = 30.0
TAIL_S = 60.0


class Seen(NamedTuple):
    """One decision, and the wall-clock time in ms at which it was visible."""

    at_ms: float
    value: bytes
    timestamp_ms: int


class Observed(NamedTuple):
    """Decisions in the order in which they were seen, `(n,) float64` in ms."""

    append_ms: Latencies
    latency_ms: Latencies


class Watcher:
    """Reads a topic from its start, read committed, on a thread of its own; a context manager."""

    def __init__(self, bootstrap_servers: str, topic: str) -> None:
        self._consumer = Consumer(
            {
                "bootstrap.servers": bootstrap_servers,
                "group.id": f"{topic}.watcher",
                "enable.auto.commit": False,
                "isolation.level": "read_committed",
                "fetch.wait.max.ms": 50,
            }
        )
        numbers = self._consumer.list_topics(topic, timeout=REQUEST_S).topics[topic].partitions
        self._consumer.assign([TopicPartition(topic, number, OFFSET_BEGINNING) for number in numbers])
        self.seen: list[Seen] = []
        self._stop = Event()
        self._thread = Thread(target=self._watch, name="watcher", daemon=True)

    def __enter__(self) -> Watcher:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._consumer.close()

    def wait(self, n_decisions: int) -> None:
        """Returns when so many decisions were seen."""
        deadline = time.monotonic() + TAIL_S
        while len(self.seen) < n_decisions:
            assert time.monotonic() < deadline, f"{n_decisions - len(self.seen)} decisions of {n_decisions} are missing"
            time.sleep(0.05)

    def observed(self, append_ms: Callable[[Seen], float]) -> Observed:
        """What was seen: when each event was appended, and how long after that its decision was visible."""
        appended_ms = np.array([append_ms(one) for one in self.seen])
        return Observed(appended_ms, np.array([one.at_ms for one in self.seen]) - appended_ms)

    def _watch(self) -> None:
        while not self._stop.is_set():
            first = self._consumer.poll(0.1)
            if first is None:
                continue
            messages = [first, *self._consumer.consume(10_000, timeout=0)]
            now_ms = time.time() * 1000
            self.seen += [_seen(message, now_ms) for message in messages if not message.error()]


def _seen(message: Message, now_ms: float) -> Seen:
    return Seen(now_ms, message.value() or b"", message.timestamp()[1])


def append_of_decision() -> Callable[[Seen], float]:
    """The append time of the event behind a decision of the service: when it was decided less how late that was."""
    decode = decision_codec().decode

    def append_ms(seen: Seen) -> float:
        decision = decode(seen.value)
        return float(decision["decided_at"] - decision["latency_ms"])

    return append_ms


def append_of_echo(seen: Seen) -> float:
    """The append time that the echo passed on."""
    return float(seen.timestamp_ms)

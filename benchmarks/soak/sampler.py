"""Looks at processes and offsets each second, through every fault."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from threading import Event, Thread
from typing import NamedTuple

import numpy as np
from confluent_kafka import Consumer, IsolationLevel, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from benchmarks.processes import n_descriptors, n_threads, resident_bytes
from benchmarks.soak.trends import LIMITS, Life
from consumer.end_offsets import end_offsets
from runtime.config import Settings
from tests.scorer import Scorer

EVERY_S = 1.0
REQUEST_S = 2.0


class Lag(NamedTuple):
    """Records that are not committed yet.

    Attributes:
        total: In all partitions.
        worst: In the partition that has most.
    """

    total: int
    worst: int


class Sample(NamedTuple):
    """One look.

    Attributes:
        at_s: Seconds since the soak began.
        quiet: No fault was going on, and the last one was overcome.
        lag: None while the brokers do not tell.
        vitals: Of the processes that run: instance, pid, and the values of `LIMITS` in their order.
    """

    at_s: float
    quiet: bool
    lag: Lag | None
    vitals: list[tuple[str, int, tuple[float, ...]]]


class Sampler:
    """Looks, on a thread of its own; a context manager.

    Attributes:
        samples: All looks.
        quiet: Set from outside: what the next samples say.
        went_back: A sentence for each committed offset that was below an earlier one.
    """

    def __init__(self, settings: Settings, scorers: Sequence[Scorer], start_s: float) -> None:
        self._settings, self._scorers, self._start_s = settings, scorers, start_s
        servers: dict[str, str | int | float | bool] = {
            "bootstrap.servers": settings.kafka.bootstrap_servers,
            "log_level": 0,
        }
        self._admin = AdminClient(servers)
        # A consumer that joins nothing: AdminClient.list_consumer_group_offsets ends the process where the broker goes
        # away at the wrong moment (librdkafka#3663). Read uncommitted, it does not wait for the transaction under way.
        self._observer = Consumer(
            {**servers, "group.id": settings.kafka.group_id, "isolation.level": "read_uncommitted"}
        )
        self.samples: list[Sample] = []
        self.quiet = False
        self.went_back: list[str] = []
        self._committed: dict[int, int] = {}
        self._stop = Event()
        self._thread = Thread(target=self._look, name="sampler", daemon=True)

    def __enter__(self) -> Sampler:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._observer.close()

    def now_s(self) -> float:
        """Seconds since the soak began."""
        return time.time() - self._start_s

    def lives(self) -> list[Life]:
        """The processes that were seen, in the order of their beginnings."""
        looks: dict[tuple[str, int], list[tuple[float, bool, tuple[float, ...]]]] = {}
        for sample in self.samples:
            for instance, pid, values in sample.vitals:
                looks.setdefault((instance, pid), []).append((sample.at_s, sample.quiet, values))
        return [
            Life(
                instance,
                pid,
                np.array([at_s for at_s, _, _ in seen]),
                np.array([quiet for _, quiet, _ in seen]),
                dict(zip(LIMITS, np.array([values for _, _, values in seen]).T, strict=True)),
            )
            for (instance, pid), seen in looks.items()
        ]

    def lag(self) -> Lag | None:
        """The lag now; None while the brokers do not tell."""
        try:
            committed = self.committed()
            numbers = list(range(self._settings.topics.partitions))
            ends = end_offsets(self._admin, self._settings.topics.events, numbers, IsolationLevel.READ_UNCOMMITTED)
        except KafkaException:
            return None
        behind = [end - committed.get(number, 0) for number, end in ends.items()]
        return Lag(sum(behind), max(behind))

    def committed(self) -> dict[int, int]:
        """The group's committed offsets, which may not be below earlier ones."""
        topics = self._settings.topics
        asked = [TopicPartition(topics.events, number) for number in range(topics.partitions)]
        partitions = self._observer.committed(asked, timeout=REQUEST_S)
        found = {partition.partition: partition.offset for partition in partitions if partition.offset >= 0}
        for number, offset in found.items():
            before = self._committed.get(number, -1)
            if offset < before:
                self.went_back.append(f"the committed offset of {number} went back from {before} to {offset}")
        self._committed |= found
        return found

    def _look(self) -> None:
        due_s = time.monotonic()
        while not self._stop.wait(max(0.0, due_s - time.monotonic())):
            quiet = self.quiet
            sample = Sample(self.now_s(), quiet, self.lag(), self._vitals())
            self.samples.append(sample._replace(quiet=quiet and self.quiet))
            due_s = max(due_s + EVERY_S, time.monotonic())

    def _vitals(self) -> list[tuple[str, int, tuple[float, ...]]]:
        found: list[tuple[str, int, tuple[float, ...]]] = []
        for scorer in self._scorers:
            with suppress(AssertionError, OSError):  # not started yet, or gone between two questions
                pid = scorer.pid
                values = (resident_bytes(pid) / 1e6, float(n_descriptors(pid)), float(n_threads(pid)))
                found.append((scorer.instance_id, pid, values))
        return found

"""What restore and the end of a transaction ask: consumers beside the group, and the admin client."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from types import SimpleNamespace
from typing import Any, TypeVar

from confluent_kafka import IsolationLevel, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin._listoffsets import EarliestSpec  # the package exports it without saying so

from tests.simulation.cluster import Cluster
from tests.simulation.coordinator import RefusedError
from tests.simulation.kernel import Process
from tests.simulation.logs import Log
from tests.simulation.messages import SimulatedMessage, fail
from tests.simulation.network import NoAnswerError

T = TypeVar("T")
RETRY_S = 0.05
NO_OFFSET = -1001


@dataclass(slots=True)
class _Reading:
    """A partition as it is being read."""

    topic: str
    number: int
    log: Log
    position: int
    end_told: int = -1

    def next(self) -> SimulatedMessage | None:
        """A record, or once the end."""
        found = self.log.first_committed(self.position)
        if found is not None:
            self.position = found[0] + 1
            return SimulatedMessage(self.number, *found, self.topic)
        self.position = max(self.position, self.log.stable_end)
        if self.end_told == self.position:
            return None
        self.end_told = self.position
        return SimulatedMessage(self.number, self.position, None, self.topic)


class ReaderConsumer:
    """Stands in for a `confluent_kafka.Consumer` that never joins: it reads committed offsets and one partition.

    Args:
        cluster: The brokers.
        process: Whose it is.
        hasty: It reads uncommitted, and does not wait for pending offsets.
    """

    def __init__(self, cluster: Cluster, process: Process, *, hasty: bool = False) -> None:
        self._cluster, self._process, self._hasty = cluster, process, hasty
        self._kernel, self._network = cluster.kernel, cluster.network
        self._reading: list[_Reading] = []

    def committed(self, asked: list[TopicPartition], timeout: float) -> list[TopicPartition]:
        """Waits for pending offsets, as a consumer of committed records does; unless it is hasty."""
        self._cluster.pass_point(self._process, "restore_offsets")
        numbers, group = [partition.partition for partition in asked], self._cluster.group
        found = self._ask(lambda: dict(group.offsets) if self._hasty else group.fetch(numbers), timeout)
        return [
            TopicPartition(partition.topic, number, *found.get(number, (NO_OFFSET, "")))
            for partition, number in zip(asked, numbers, strict=True)
        ]

    def assign(self, partitions: list[TopicPartition]) -> None:
        """From an offset, or from the start."""
        self._reading = []
        for partition in partitions:
            log = self._cluster.log((partition.topic, partition.partition))
            self._reading.append(_Reading(partition.topic, partition.partition, log, max(partition.offset, log.start)))

    def unassign(self) -> None:
        """Ends the reading."""
        self._reading = []

    def poll(self, timeout: float) -> SimulatedMessage | None:
        """The next record or the end."""
        self._kernel.sleep(self._kernel.random.random() * 0.002)
        message = self._next()
        if message is None:
            self._kernel.wait(timeout, *(reading.log.changed for reading in self._reading[:1]))
        return message

    def consume(self, num_messages: int, timeout: float) -> list[SimulatedMessage]:
        """What waits."""
        assert timeout == 0
        messages: list[SimulatedMessage] = []
        for _ in range(self._kernel.random.randint(0, min(num_messages, 50))):
            message = self._next()
            if message is None:
                break
            messages.append(message)
        return messages

    def _next(self) -> SimulatedMessage | None:
        if not self._network.reachable(self._process):
            return None
        return next((message for reading in self._reading if (message := reading.next()) is not None), None)

    def _ask(self, request: Callable[[], T], timeout_s: float) -> T:
        until_s = self._kernel.now_s + timeout_s
        while True:
            try:
                return self._network.call(self._process, request, timeout_s=until_s - self._kernel.now_s)
            except NoAnswerError:
                fail(KafkaError._TIMED_OUT)
            except RefusedError:
                if self._kernel.now_s >= until_s:
                    fail(KafkaError._TIMED_OUT)
                self._kernel.sleep(RETRY_S)


class SimulatedAdmin:
    """Stands in for `confluent_kafka.admin.AdminClient`."""

    def __init__(self, cluster: Cluster, process: Process) -> None:
        self._cluster, self._process = cluster, process

    def list_offsets(
        self, asked: Mapping[TopicPartition, Any], *, isolation_level: IsolationLevel, request_timeout: float
    ) -> dict[TopicPartition, Future[Any]]:
        """The starts or ends of partitions."""
        self._cluster.pass_point(self._process, "restore_end")
        end = "stable_end" if isolation_level is IsolationLevel.READ_COMMITTED else "end"
        answers: dict[TopicPartition, Future[Any]] = {}
        for partition, spec in asked.items():
            log = self._cluster.log((partition.topic, partition.partition))
            wanted = partial(getattr, log, "start" if isinstance(spec, EarliestSpec) else end)
            answers[partition] = self._answer(wanted, request_timeout)
        return answers

    def list_topics(self, *, timeout: float) -> None:
        """Refreshes what the client knows."""
        try:
            self._cluster.network.call(self._process, lambda: None, timeout_s=timeout)
        except NoAnswerError:
            fail(KafkaError._TRANSPORT)

    def _answer(self, request: Callable[[], Any], timeout_s: float) -> Future[Any]:
        answer: Future[Any] = Future()
        try:
            offset = self._cluster.network.call(self._process, request, timeout_s=timeout_s)
        except NoAnswerError:
            if self._cluster.kernel.random.random() < 0.5:
                answer.set_result(SimpleNamespace(offset=NO_OFFSET))  # so the client tells of a silent broker
            else:
                answer.set_exception(KafkaException(KafkaError(KafkaError._TIMED_OUT)))
        else:
            answer.set_result(SimpleNamespace(offset=offset))
        return answer

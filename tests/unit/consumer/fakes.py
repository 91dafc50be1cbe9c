"""Kafka as these tests have it: what a client was asked is noted, what it answers is scripted. And a clock."""

from __future__ import annotations

import struct
from collections import defaultdict, deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, cast

from confluent_kafka import Consumer, IsolationLevel, KafkaError, KafkaException, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._listoffsets import EarliestSpec  # the package exports it without saying so

from consumer.reader import Reader
from consumer.records import Headers, Record

TOPIC = "lead.events"
START_S = 1000.0
START_MS = 1_735_732_800_000  # 2025-01-01T12:00:00Z


class FakeClock:
    """Time that passes when a test says so, or when somebody sleeps."""

    def __init__(self) -> None:
        self.seconds = START_S

    def now_ms(self) -> int:
        return START_MS + round(1000 * (self.seconds - START_S))

    def monotonic(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds


def fault(
    code: int, *, retriable: bool = False, abortable: bool = False, fatal: bool = False, text: str = "so it says"
) -> KafkaException:
    """What the client raises."""
    return KafkaException(KafkaError(code, text, fatal, retriable, abortable))


def record(
    offset: int = 0,
    *,
    partition: int = 0,
    append_ms: int = START_MS,
    key: bytes | None = b"key",
    value: bytes | None = b"value",
    headers: Headers | None = None,
) -> Record:
    """A record as the loop sees it."""
    return Record(partition, offset, append_ms, key, value, lambda: headers)


def message(
    offset: int,
    *,
    partition: int = 0,
    topic: str = TOPIC,
    key: bytes | None = b"key",
    value: bytes | None = b"value",
    append_ms: int = START_MS,
    headers: Headers | None = None,
) -> Message:
    """A record as the client gives it."""
    return Message(
        topic=topic,
        partition=partition,
        offset=offset,
        key=key,
        value=value,
        headers=headers,  # type: ignore[arg-type]
        timestamp=(1, append_ms),
    )


def told(code: int, *, partition: int = 0, offset: int = -1001, topic: str = TOPIC, fatal: bool = False) -> Message:
    """An error in a message's place."""
    return Message(topic=topic, partition=partition, offset=offset, error=KafkaError(code, "so it says", fatal))


def end(offset: int, *, partition: int = 0, topic: str = TOPIC) -> Message:
    """The end of a partition."""
    return told(KafkaError._PARTITION_EOF, partition=partition, offset=offset, topic=topic)


class Script:
    """For each method the outcomes of its next calls: an exception to raise, or something to do first."""

    def __init__(self) -> None:
        self._outcomes: dict[str, deque[BaseException | Callable[[], Any] | None]] = defaultdict(deque)
        self.calls: list[str] = []

    def then(self, method: str, *outcomes: BaseException | Callable[[], Any] | None) -> None:
        """The next calls of a method end like this; those after them are fine."""
        self._outcomes[method].extend(outcomes)

    def play(self, method: str) -> None:
        """The method is called."""
        self.calls.append(method)
        outcomes = self._outcomes[method]
        outcome = outcomes.popleft() if outcomes else None
        if isinstance(outcome, BaseException):
            raise outcome
        if outcome is not None:
            outcome()


class FakeConsumer:
    """The part of `confluent_kafka.Consumer` that this package uses.

    Attributes:
        queue: What the next polls give. `assign` fills it from `logs`, by topic and partition.
        calls: Methods that changed something, with what they were given.
    """

    def __init__(self, logs: dict[tuple[str, int], list[Message]] | None = None) -> None:
        self.logs = logs or {}
        self.queue: deque[Message] = deque()
        self.script = Script()
        self.calls: list[tuple[str, dict[int, int]]] = []
        self.member = "member-1"
        self.generation = -1
        self.owned: set[int] = set()
        self.offsets: dict[int, TopicPartition] = {}
        self.closed = False
        self._on: dict[str, Callable[..., None]] = {}

    @property
    def client(self) -> Consumer:
        """Itself, as the type that is asked for."""
        return cast(Consumer, self)

    def reader(self, clock: FakeClock | None = None) -> Reader:
        """Reads by it, however often a client is made."""
        return Reader(lambda: self.client, clock or FakeClock())

    def subscribe(self, topics: list[str], **callbacks: Callable[..., None]) -> None:
        assert topics == [TOPIC]
        self._on = callbacks

    def rebalance(self, kind: str, *numbers: int) -> None:
        """The group tells: `assign`, `revoke` or `lost`; in service this happens within a poll."""
        self._on[f"on_{kind}"](self, [TopicPartition(TOPIC, number) for number in numbers])
        self.owned = self.owned | set(numbers) if kind == "assign" else self.owned - set(numbers)

    def poll(self, timeout: float) -> Message | None:
        self.script.play("poll")
        assert timeout >= 0
        return self.queue.popleft() if self.queue else None

    def consume(self, num_messages: int, timeout: float) -> list[Message]:
        assert timeout == 0, "a batch call with a timeout waits for a full batch"
        return [self.queue.popleft() for _ in range(min(num_messages, len(self.queue)))]

    def assign(self, partitions: list[TopicPartition]) -> None:
        self._note("assign", partitions)
        self.queue.clear()
        for asked in partitions:
            log = self.logs.get((asked.topic, asked.partition), [])
            self.queue += [found for found in log if asked.offset < 0 or (found.offset() or 0) >= asked.offset]

    def unassign(self) -> None:
        self._note("unassign", [])
        self.queue.clear()

    def assignment(self) -> list[TopicPartition]:
        return [TopicPartition(TOPIC, number) for number in self.owned]

    def incremental_assign(self, partitions: list[TopicPartition]) -> None:
        self._note("incremental_assign", partitions)

    def pause(self, partitions: list[TopicPartition]) -> None:
        self._note("pause", partitions)

    def resume(self, partitions: list[TopicPartition]) -> None:
        self._note("resume", partitions)

    def seek(self, partition: TopicPartition) -> None:
        self.script.play("seek")
        self._note("seek", [partition])

    def memberid(self) -> str:
        return self.member

    def consumer_group_metadata(self) -> object:
        return b"CGMDv2:" + struct.pack("=i", self.generation) + f"group\0{self.member}\0\1".encode()

    def committed(self, partitions: list[TopicPartition], timeout: float) -> list[TopicPartition]:
        assert timeout > 0
        self.script.play("committed")
        return [self.offsets.get(asked.partition, asked) for asked in partitions]

    def close(self) -> None:
        self.closed = True
        if self.owned:
            self.rebalance("revoke", *self.owned)

    def _note(self, method: str, partitions: list[TopicPartition]) -> None:
        self.calls.append((method, {partition.partition: partition.offset for partition in partitions}))


class FakeAdmin:
    """The part of `AdminClient` that asks for the ends and starts of partitions.

    Args:
        high: By partition, the high watermark.
        low: Of all partitions, the first offset.
        stable: By partition, the last stable offset: as often as given, the last of them for ever; else the high one.
    """

    def __init__(self, high: dict[int, int], stable: dict[int, list[int]] | None = None, low: int = 0) -> None:
        self.high, self.low = high, low
        self._stable = {number: deque(offsets) for number, offsets in (stable or {}).items()}
        self.asked: list[IsolationLevel] = []
        self.topics: list[str] = []
        self.script = Script()

    @property
    def client(self) -> AdminClient:
        """Itself, as the type that is asked for."""
        return cast(AdminClient, self)

    def list_offsets(
        self, asked: dict[TopicPartition, Any], *, isolation_level: IsolationLevel, request_timeout: float
    ) -> dict[TopicPartition, Future[Any]]:
        assert request_timeout > 0
        self.asked.append(isolation_level)
        committed = isolation_level == IsolationLevel.READ_COMMITTED
        return {
            partition: self._answer(partition.partition, committed, first=isinstance(spec, EarliestSpec))
            for partition, spec in asked.items()
        }

    def list_topics(self, *, timeout: float) -> SimpleNamespace:
        assert timeout > 0
        self.script.play("list_topics")
        here = SimpleNamespace(error=None, partitions=self.high)
        return SimpleNamespace(topics=dict.fromkeys(self.topics, here))

    def _answer(self, number: int, committed: bool, *, first: bool) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            self.script.play("list_offsets")
        except KafkaException as exception:
            future.set_exception(exception)
        else:
            future.set_result(_Offset(self.low if first else self._end(number, committed)))
        return future

    def _end(self, number: int, committed: bool) -> int:
        stable = self._stable.get(number) if committed else None
        if not stable:
            return self.high[number]
        return stable.popleft() if len(stable) > 1 else stable[0]


@dataclass
class _Offset:
    offset: int


@dataclass
class Produced:
    """What a producer was given."""

    topic: str
    value: bytes | None
    key: bytes | None
    partition: int
    timestamp: int
    headers: Headers | None


class FakeProducer:
    """The part of `confluent_kafka.Producer` that this package uses, transactions included.

    Attributes:
        script: What happens in the next calls of its methods, and what was called.
    """

    def __init__(self, script: Script | None = None) -> None:
        self.script = script or Script()
        self.produced: list[Produced] = []
        self.sent_offsets: list[TopicPartition] = []
        self.membership: object = None
        self.undelivered: list[tuple[Callable[..., None], Message]] = []
        self.delivery_error: KafkaError | None = None

    @property
    def client(self) -> Producer:
        """Itself, as the type that is asked for."""
        return cast(Producer, self)

    def init_transactions(self, timeout: float) -> None:
        assert timeout > 0
        self.script.play("init")

    def begin_transaction(self) -> None:
        self.script.play("begin")

    def produce(
        self,
        topic: str,
        value: bytes | None,
        key: bytes | None,
        partition: int,
        *,
        on_delivery: Callable[..., None] | None = None,
        timestamp: int = 0,
        headers: Headers | None = None,
    ) -> None:
        self.script.play("produce")
        if on_delivery is not None:
            delivered = message(len(self.produced), partition=partition, topic=topic, key=key, value=value)
            self.undelivered.append((on_delivery, delivered))
        self.produced.append(Produced(topic, value, key, partition, timestamp, headers))

    def poll(self, timeout: float) -> int:
        self.script.play("poll")
        return self._deliver() if timeout == 0 else 0

    def flush(self, timeout: float) -> int:
        assert timeout > 0
        self.script.play("flush")
        self._deliver()
        return len(self.undelivered)

    def send_offsets_to_transaction(self, offsets: Iterable[TopicPartition], membership: object) -> None:
        self.script.play("send_offsets")
        self.sent_offsets, self.membership = list(offsets), membership

    def commit_transaction(self) -> None:
        self.script.play("commit")

    def abort_transaction(self) -> None:
        self.script.play("abort")

    def _deliver(self) -> int:
        due, self.undelivered = self.undelivered, []
        for on_delivery, delivered in due:
            on_delivery(self.delivery_error, delivered)
        return len(due)

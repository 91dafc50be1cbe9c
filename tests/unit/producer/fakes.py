"""A Kafka client and a clock that tests own."""

from collections.abc import Callable
from typing import Any, NamedTuple

from confluent_kafka import KafkaError, KafkaException


class Sent(NamedTuple):
    topic: str
    key: bytes | None
    value: bytes | None


class FakeClock:
    """Time that only passes when somebody waits."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def now_ms(self) -> int:
        return int(self.seconds * 1000)

    def monotonic(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds


class FakeClient:
    """The part of `confluent_kafka.Producer` that the transport uses; as that one it waits for whole milliseconds.

    Args:
        clock: Moves on when the client waits.
        capacity: Records that its queue holds.
        answers: Whether brokers acknowledge.
    """

    def __init__(self, clock: FakeClock, *, capacity: int = 1000, answers: bool = True) -> None:
        self.clock = clock
        self.capacity = capacity
        self.answers = answers
        self.refuse: KafkaError | None = None
        self.fail_with: KafkaError | None = None
        self.sent: list[Sent] = []
        self.queue: list[Callable[..., None]] = []
        self.n_polls = 0

    def produce(self, topic: str, value: bytes | None, key: bytes | None, *, on_delivery: Callable[..., Any]) -> None:
        if self.refuse is not None:
            raise KafkaException(self.refuse)
        if len(self.queue) >= self.capacity:
            raise BufferError
        self.sent.append(Sent(topic, key, value))
        self.queue.append(on_delivery)

    def poll(self, timeout: float) -> int:
        self.n_polls += 1
        assert self.n_polls < 10_000, "it spins"
        self.clock.sleep(int(1000 * timeout) / 1000)
        return self._report(self.fail_with) if self.answers else 0

    def flush(self, timeout: float) -> int:
        if self.answers:
            self._report(self.fail_with)
        else:
            self.clock.sleep(timeout)
        return len(self.queue)

    def purge(self) -> None:
        self._report(KafkaError(KafkaError._PURGE_QUEUE))

    def __len__(self) -> int:
        return len(self.queue)

    def _report(self, error: KafkaError | None) -> int:
        due, self.queue = self.queue, []
        for on_delivery in due:
            on_delivery(error, None)
        return len(due)

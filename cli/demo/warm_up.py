"""Gets a broker that has just started up to speed: for its first seconds the JVM interprets what it will compile."""

from __future__ import annotations

import threading
from types import TracebackType
from typing import Final, Self

from confluent_kafka import KafkaException

from runtime import kafka
from runtime.clock import Clock
from runtime.config import Settings

SECONDS: Final = 5.0
RECORDS: Final = 4
"""In each partition and transaction, as in the scorer's."""

_VALUE: Final = bytes(300)  # about the size of a decision


class WarmUp:
    """Commits transactions to a topic of their own while the block does something else; its end waits for it.

    Args:
        settings: Where to.
        topic: Nobody reads it.
        clock: Times it.

    Attributes:
        transactions: How many were committed.
    """

    def __init__(self, settings: Settings, topic: str, clock: Clock) -> None:
        self._settings, self._topic, self._clock = settings, topic, clock
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="warm-up", daemon=True)
        self.transactions = 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self._stop.set()
        self._thread.join(2 * SECONDS)

    def _run(self) -> None:
        # The scorer's own kind of producer: the same requests.
        producer = kafka.transactional_producer(
            self._settings, **{"transactional.id": f"{self._settings.kafka.group_id}-warm-up"}
        )
        end_s = self._clock.monotonic() + SECONDS
        try:
            producer.init_transactions(SECONDS)
            while self._clock.monotonic() < end_s and not self._stop.is_set():
                producer.begin_transaction()
                for number in range(RECORDS * self._settings.topics.partitions):
                    producer.produce(self._topic, _VALUE, partition=number % self._settings.topics.partitions)
                producer.commit_transaction(SECONDS)
                self.transactions += 1
        except KafkaException:
            return  # what is wrong with the broker the scorer will say

"""An admin client that is replaced where it fails for long."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from threading import Lock
from typing import Any, Final

import structlog
from confluent_kafka import IsolationLevel, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._listoffsets import OffsetSpec  # the package exports it without saying so

from consumer.detached import detached
from consumer.end_offsets import Place, is_answer, place_names
from runtime.clock import Clock
from runtime.errors import ConfigurationError

log = structlog.get_logger(__name__)

FAILS_S: Final = 20.0
FAILS_S_MAX: Final = 240.0


class RenewedAdmin:
    """Asks where partitions begin and end, of a new client once one partition could not be asked for long.

    One that sees a leader go and come back may not find it ever again (librdkafka#5430): `No leaders found`, where
    every other client finds them. Failure is borne twice as long after each new client, until it has answered for
    all that the one before failed at: where brokers are away another client finds no more.

    Args:
        client: The first one.
        make: Makes the others.
        clock: Times the failures.
    """

    def __init__(self, client: AdminClient, make: Callable[[], AdminClient], clock: Clock) -> None:
        self._client, self._make, self._clock = client, make, clock
        self._lock = Lock()
        self._failing_since_s: dict[Place, float] = {}
        self._replaced_for: set[Place] = set()
        self._fails_s = FAILS_S

    def list_topics(self, *, timeout: float) -> Any:
        """As the client's."""
        return self._client.list_topics(timeout=timeout)

    def list_offsets(
        self, asked: dict[TopicPartition, OffsetSpec], /, *, isolation_level: IsolationLevel, request_timeout: float
    ) -> dict[TopicPartition, Future[Any]]:
        """As the client's."""
        self._renew()
        futures: dict[TopicPartition, Future[Any]] = self._client.list_offsets(
            asked, isolation_level=isolation_level, request_timeout=request_timeout
        )
        for partition, future in futures.items():
            future.add_done_callback(partial(self._note, (partition.topic, partition.partition)))
        return futures

    def _note(self, place: Place, future: Future[Any]) -> None:
        try:
            answered = is_answer(future.result())
        except KafkaException:
            answered = False
        with self._lock:
            if not answered:
                self._failing_since_s.setdefault(place, self._clock.monotonic())
                return
            self._failing_since_s.pop(place, None)
            self._replaced_for.discard(place)
            if not self._replaced_for:
                self._fails_s = FAILS_S

    def _renew(self) -> None:
        with self._lock:
            now_s = self._clock.monotonic()
            if not self._failing_since_s or now_s - min(self._failing_since_s.values()) < self._fails_s:
                return
            partitions = place_names(self._failing_since_s)
            log.warning("admin_client_replaced", partitions=partitions, why=f"no answer for {self._fails_s:.0f} s")
            self._replaced_for, self._failing_since_s = set(self._failing_since_s), {}
            self._fails_s = min(2 * self._fails_s, FAILS_S_MAX)
            try:
                old, self._client = [self._client], self._make()
            except ConfigurationError:  # threads or files are short
                return
        detached("admin-close", old.clear)  # it waits for what is under way

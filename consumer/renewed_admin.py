"""An admin client that is replaced where it fails for long."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, wait
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
        self._under_way: set[Future[Any]] = set()
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
        asking: Future[None] = Future()
        with self._lock:
            self._renew()
            client, under_way = self._client, self._under_way
            under_way.add(asking)
        try:
            futures: dict[TopicPartition, Future[Any]] = client.list_offsets(
                asked, isolation_level=isolation_level, request_timeout=request_timeout
            )
            with self._lock:
                under_way.update(futures.values())
        finally:
            with self._lock:
                under_way.discard(asking)
            asking.set_result(None)
        for partition, future in futures.items():
            future.add_done_callback(partial(self._note, (partition.topic, partition.partition)))
        return futures

    def _note(self, place: Place, future: Future[Any]) -> None:
        try:
            answered = is_answer(future.result())
        except KafkaException:
            answered = False
        with self._lock:
            self._under_way.discard(future)
            if not answered:
                self._failing_since_s.setdefault(place, self._clock.monotonic())
                return
            self._failing_since_s.pop(place, None)
            self._replaced_for.discard(place)
            if not self._replaced_for:
                self._fails_s = FAILS_S

    def _renew(self) -> None:
        now_s = self._clock.monotonic()
        if not self._failing_since_s or now_s - min(self._failing_since_s.values()) < self._fails_s:
            return
        partitions = place_names(self._failing_since_s)
        log.warning("admin_client_replaced", partitions=partitions, why=f"no answer for {self._fails_s:.0f} s")
        self._replaced_for, self._failing_since_s = set(self._failing_since_s), {}
        self._fails_s = min(2 * self._fails_s, FAILS_S_MAX)
        last, under_way = [self._client], self._under_way
        try:
            client = self._make()
            detached("admin-close", partial(self._close, last, under_way))
        except (ConfigurationError, RuntimeError):  # threads or files are short
            return
        self._client, self._under_way = client, set()

    def _close(self, last: list[AdminClient], under_way: set[Future[Any]]) -> None:
        """Ends a client by dropping it, which answers nothing that is under way: who asked would wait for ever."""
        while pending := self._pending(under_way):
            wait(pending)
        last.clear()

    def _pending(self, under_way: set[Future[Any]]) -> list[Future[Any]]:
        with self._lock:
            return [future for future in under_way if not future.done()]

"""An admin client that is replaced where it fails for long."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, wait
from dataclasses import dataclass
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
FORGOTTEN_S: Final = 60.0
"""What nobody asked for in so long says nothing of the client: a partition that another instance has now."""


@dataclass(slots=True)
class _Failing:
    """A partition that could not be asked, in monotonic seconds, and how long that is borne."""

    since_s: float
    last_s: float
    borne_s: float = FAILS_S


class RenewedAdmin:
    """Asks where partitions begin and end, of a new client once one partition could not be asked for long.

    One that sees a leader go and come back may not find it ever again (librdkafka#5430): `No leaders found`, where
    every other client finds them. Failure is borne twice as long after each new client, until the partition is
    answered for: where brokers are away another client finds no more.

    Args:
        client: The first one.
        make: Makes the others.
        clock: Times the failures.
    """

    def __init__(self, client: AdminClient, make: Callable[[], AdminClient], clock: Clock) -> None:
        self._client, self._make, self._clock = client, make, clock
        self._lock = Lock()
        self._under_way: set[Future[Any]] = set()
        self._failing: dict[Place, _Failing] = {}

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
            if answered:
                self._failing.pop(place, None)
                return
            now_s = self._clock.monotonic()
            self._failing.setdefault(place, _Failing(now_s, now_s)).last_s = now_s

    def _renew(self) -> None:
        now_s = self._clock.monotonic()
        self._failing = {place: f for place, f in self._failing.items() if now_s - f.last_s < FORGOTTEN_S}
        stuck = [place for place, f in self._failing.items() if f.last_s - f.since_s >= f.borne_s]
        if not stuck:
            return
        for failing in self._failing.values():
            failing.since_s, failing.borne_s = now_s, min(2 * failing.borne_s, FAILS_S_MAX)
        try:
            client = self._make()
        except ConfigurationError:  # threads or files are short
            return
        log.warning(
            "admin_client_replaced", partitions=place_names(stuck), why=f"no answer for {FAILS_S:.0f} s or more"
        )
        last, self._client = [self._client], client
        under_way, self._under_way = self._under_way, set()
        detached("admin-close", partial(self._close, last, under_way))

    def _close(self, last: list[AdminClient], under_way: set[Future[Any]]) -> None:
        """Ends a client by dropping it, which answers nothing that is under way: who asked would wait for ever."""
        while pending := self._pending(under_way):
            wait(pending)
        last.clear()

    def _pending(self, under_way: set[Future[Any]]) -> list[Future[Any]]:
        with self._lock:
            return [future for future in under_way if not future.done()]

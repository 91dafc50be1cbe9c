"""Where the service reaches for threads, chance, logs and clients by itself, the simulation hands it its own."""

from __future__ import annotations

import queue
import random
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent import futures
from contextlib import contextmanager
from functools import cache
from types import ModuleType
from typing import Any

from confluent_kafka.admin import AdminClient

import consumer.wiring
from runtime import kafka
from runtime.config import Settings
from runtime.errors import KafkaUnavailableError
from runtime.topic_specs import Topic
from tests.simulation.cluster import Cluster
from tests.simulation.member import MemberConsumer
from tests.simulation.model import FlakyCodec, codecs
from tests.simulation.network import NoAnswerError
from tests.simulation.producer import TransactionalProducer
from tests.simulation.readers import ReaderConsumer, SimulatedAdmin
from tests.simulation.threads import Threads

START_S = 30.0
PURGE_S = 0.01
"""Between two passes over a partition's leads: seeds are short."""
HOMELESS_S = 8.0
WINDOW = 2
"""Offsets that are looked at first: transactions are small."""
Place = tuple[ModuleType, str]


class TracedLog:
    """Stands in for a module's logger: its lines become part of the trace."""

    def __init__(self, cluster: Cluster) -> None:
        self._kernel = cluster.kernel

    def info(self, event: str, **fields: Any) -> None:
        """A line."""
        self._kernel.note(f"log {event}", **fields)

    debug = warning = error = exception = info


class SimulatedConsumer:
    """Stands in for `confluent_kafka.Consumer`: a member of the group once it subscribes, a reader until then."""

    def __init__(self, cluster: Cluster, threads: Threads, properties: Mapping[str, Any]) -> None:
        self._cluster, self._process = cluster, threads.process()
        hasty = properties.get("isolation.level") == "read_uncommitted"
        self._role: Any = ReaderConsumer(cluster, self._process, hasty=hasty)

    def subscribe(self, topics: list[str], **callbacks: Any) -> None:
        """Joins."""
        self._role = MemberConsumer(self._cluster, self._process)
        self._role.subscribe(topics, **callbacks)

    def close(self) -> None:
        """Leaves."""
        if isinstance(self._role, MemberConsumer):
            self._role.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._role, name)


@contextmanager
def installed(cluster: Cluster) -> Iterator[None]:
    """For as long as the context lasts."""
    threads = Threads(cluster.kernel)
    wanted = {place: _stand_in(kind, cluster, threads) for place, kind in _service_places()}
    wanted |= _clients(cluster, threads)
    before = {(module, name): getattr(module, name) for module, name in wanted}
    _put(wanted)
    try:
        yield
    finally:
        _put(before)


def _put(values: Mapping[Place, Any]) -> None:
    for (module, name), value in values.items():
        setattr(module, name, value)


def _clients(cluster: Cluster, threads: Threads) -> dict[Place, Any]:
    wiring = consumer.wiring

    def producer(settings: Settings, **_: Any) -> TransactionalProducer:
        return TransactionalProducer(cluster, threads.process(), settings.transactional_id)

    def wait_for_broker(_: AdminClient) -> None:
        try:
            cluster.network.call(threads.process(), lambda: None, timeout_s=START_S)
        except NoAnswerError:
            raise KafkaUnavailableError("no broker") from None

    def describe(_: AdminClient, names: list[str]) -> dict[str, Topic]:
        return {n: Topic(n, cluster.topic_id(n), cluster.scenario.partitions, cluster.topic_config(n)) for n in names}

    return {
        (kafka, "consumer"): lambda _, **properties: SimulatedConsumer(cluster, threads, properties),
        (kafka, "transactional_producer"): producer,
        (kafka, "admin"): lambda _: SimulatedAdmin(cluster, threads.process()),
        (kafka, "wait_for_broker"): wait_for_broker,
        (wiring, "describe"): describe,
        (wiring, "topic_faults"): lambda *_: [],
        (wiring, "lead_event_codec"): lambda *_: FlakyCodec(cluster),
        (wiring, "decision_codec"): lambda *_: codecs()[1],
        (wiring, "lead_profile_codec"): lambda *_: codecs()[2],
        (sys.modules["consumer.loop"], "SLICE_RECORDS"): cluster.scenario.slice_records,
        (sys.modules["consumer.input"], "HOMELESS_S"): HOMELESS_S,
        (sys.modules["consumer.purge"], "PASS_S_MAX"): PURGE_S,
        (sys.modules["consumer.sightings"], "WINDOW"): WINDOW,
    }


_REPLACED: dict[int, str] = {
    id(threading.Event): "event",
    id(threading.Thread): "thread",
    id(queue.SimpleQueue): "queue",
    id(futures.wait): "wait",
    id(random): "random",
}


def _stand_in(kind: str, cluster: Cluster, threads: Threads) -> Callable[..., Any] | Any:
    if kind == "log":
        return TracedLog(cluster)
    if kind == "random":
        return cluster.kernel.random
    return getattr(threads, kind)


@cache
def _service_places() -> tuple[tuple[Place, str], ...]:
    """Every name in `consumer` that means a thread, a queue, chance or a log, wherever it moves to."""
    modules = [module for name, module in sys.modules.items() if name.startswith("consumer.")]
    return tuple(
        ((module, name), "log" if name == "log" else _REPLACED[id(value)])
        for module in modules
        for name, value in vars(module).items()
        if name == "log" or id(value) in _REPLACED
    )

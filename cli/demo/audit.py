"""The check of the demo: every topic is read back, read committed, into a ledger."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, Final

from confluent_kafka import Consumer, IsolationLevel, Message, TopicPartition

from cli.demo.ledger import Audit, Ledger, Place
from consumer.dead_letters import HEADER_PREFIX, REASON
from consumer.end_offsets import end_offsets
from consumer.topic_reader import read_topic
from runtime import kafka
from runtime.config import Settings
from schemas.codec import decision_codec, lead_event_codec
from schemas.errors import UndecodableError, UnknownSchemaError
from schemas.registry import Registry

MARKERS_S: Final = 15.0
"""How long the brokers may take to write the markers of commits that have returned."""

_POLL_S: Final = 0.1
_METADATA_S: Final = 10.0


class Auditor:
    """Reads the topics of a scorer that has stopped.

    Args:
        settings: The scorer's.
        decisions: All that its policy gives.
    """

    def __init__(self, settings: Settings, decisions: Sequence[str]) -> None:
        self._settings, self._policy_decisions = settings, decisions
        url = settings.schema_registry.url
        registry = Registry(url, settings.schema_registry.client) if url else None
        self._event = lead_event_codec(registry=registry)
        self._decision = decision_codec(registry=registry)
        self._admin = kafka.admin(settings)

    def run(self) -> Audit:
        """All checks.

        Raises:
            KafkaException: A topic cannot be read.
        """
        names, ledger = self._settings.topics, Ledger()
        for topic in (names.decisions, names.dead_letters, *map(names.action, self._policy_decisions)):
            _until(partial(self._no_open_transaction, topic), MARKERS_S)
        for message in self._read(names.decisions):
            value = message.value() or b""
            ledger.decision(self._decision.decode(value), value)
        for message in self._read(names.dead_letters):
            ledger.dead_letter(*_source(message))
        for message in self._read(names.events):
            self._take_input(message, ledger)
        for decision in self._policy_decisions:
            for message in self._read(names.action(decision)):
                ledger.action(decision, message.value() or b"")
        ledger.committed(*self._offsets())
        return ledger.close()

    def _take_input(self, message: Message, ledger: Ledger) -> None:
        place = _place(message)
        if ledger.is_dead(place):
            ledger.refused(place)
            return
        try:
            event = self._event.decode(message.value())
        except (UndecodableError, UnknownSchemaError):  # then it should have become a dead letter
            event = {"lead_id": "", "event_id": f"{place}"}
        ledger.event(place, event["lead_id"], event["event_id"])

    def _offsets(self) -> tuple[dict[int, int], dict[int, int]]:
        topic = self._settings.topics.events
        consumer = self._consumer()
        try:
            numbers = self._numbers(topic)
            committed = consumer.committed([TopicPartition(topic, number) for number in numbers], timeout=_METADATA_S)
        finally:
            consumer.close()
        ends = end_offsets(self._admin, topic, numbers, IsolationLevel.READ_UNCOMMITTED)
        return {partition.partition: partition.offset for partition in committed}, ends

    def _no_open_transaction(self, topic: str) -> bool:
        numbers = self._numbers(topic)
        stable = end_offsets(self._admin, topic, numbers, IsolationLevel.READ_COMMITTED)
        return stable == end_offsets(self._admin, topic, numbers, IsolationLevel.READ_UNCOMMITTED)

    def _numbers(self, topic: str) -> list[int]:
        return list(self._admin.list_topics(topic, timeout=_METADATA_S).topics[topic].partitions)

    def _read(self, topic: str) -> Iterator[Message]:
        consumer = self._consumer()
        try:
            yield from read_topic(consumer, topic)
        finally:
            consumer.close()

    def _consumer(self) -> Consumer:
        # Of the scorer's group, whose offsets are asked for; it never joins it.
        return kafka.consumer(self._settings, **{"enable.partition.eof": True})


def _place(message: Message) -> Place:
    partition, offset = message.partition(), message.offset()
    assert partition is not None
    assert offset is not None
    return partition, offset


def _source(letter: Message) -> tuple[Place, str]:
    """Where a dead letter came from, and its reason; of headers with one name the last counts."""
    given: Any = letter.headers() or []
    headers = {name: (value or b"").decode(errors="replace") for name, value in given}
    partition, offset = (int(headers[f"{HEADER_PREFIX}errors.{name}"]) for name in ("partition", "offset"))
    return (partition, offset), headers[REASON]


def _until(condition: Callable[[], bool], within_s: float) -> None:
    """Waits for a condition; what is not so in time is found by the checks that come after."""
    deadline = time.monotonic() + within_s
    while not condition() and time.monotonic() < deadline:
        time.sleep(_POLL_S)

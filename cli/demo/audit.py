"""The check of the demo: every topic is read back, read committed, and each input offset must have one outcome."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from confluent_kafka import Consumer, IsolationLevel, Message, TopicPartition

from consumer.dead_letters import HEADER_PREFIX, REASON
from consumer.end_offsets import end_offsets
from consumer.topic_reader import read_topic
from runtime import kafka
from runtime.config import Settings
from schemas.codec import Codec, decision_codec, lead_event_codec
from schemas.registry import Registry

MARKERS_S: Final = 15.0
"""How long the brokers may take to write the markers of commits that have returned."""

_POLL_S: Final = 0.1
_METADATA_S: Final = 10.0
_NONE, _DECIDED, _DEAD = 0, 1, 2

Place = tuple[int, int]
"""Partition and offset in the events topic."""


@dataclass(slots=True)
class Decided:
    """When who decided, in ms since 1970, for the story of the outage."""

    at_ms: list[int] = field(default_factory=list)
    by_model: list[bool] = field(default_factory=list)

    def first_after(self, at_ms: int, *, by_model: bool) -> int | None:
        """The first decision at or after a moment by the model, or by the rules."""
        later = (at for at, model in zip(self.at_ms, self.by_model, strict=True) if at >= at_ms and model is by_model)
        return min(later, default=None)


@dataclass(slots=True)
class Audit:
    """What the topics hold, and what is wrong with it.

    Attributes:
        inputs: Records on the events topic.
        decisions: By decision and `MODEL` or `RULES`.
        fallbacks: Decisions by rules, by reason.
        dead_letters: By reason.
        duplicates: Input records without an outcome of their own, each proven to repeat an event decided before.
        actions: Records on the action topics, by decision.
        model_versions: In the decisions.
        decided: When who decided.
        faults: What must not be, a line each; empty: every input offset has exactly one outcome.
    """

    inputs: int = 0
    decisions: Counter[tuple[str, str]] = field(default_factory=Counter)
    fallbacks: Counter[str] = field(default_factory=Counter)
    dead_letters: Counter[str] = field(default_factory=Counter)
    duplicates: int = 0
    actions: Counter[str] = field(default_factory=Counter)
    model_versions: set[str] = field(default_factory=set)
    decided: Decided = field(default_factory=Decided)
    faults: list[str] = field(default_factory=list)

    @property
    def with_one_outcome(self) -> int:
        """Input records that were decided, refused or recognised as sent before."""
        return self.decisions.total() + self.dead_letters.total() + self.duplicates


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
        self._event: Codec = lead_event_codec(registry=registry)
        self._decision: Codec = decision_codec(registry=registry)
        self._admin = kafka.admin(settings)
        self._outcomes: dict[Place, int] = {}
        self._published: Counter[tuple[str, int]] = Counter()
        self._faults: dict[str, list[Place]] = defaultdict(list)
        self.audit = Audit()

    def run(self) -> Audit:
        """All checks.

        Raises:
            KafkaException: A topic cannot be read.
        """
        names = self._settings.topics
        outputs = [names.decisions, names.dead_letters, *map(names.action, self._policy_decisions)]
        for topic in outputs:
            _until(partial(self._no_open_transaction, topic), MARKERS_S)
        self._read_decisions()
        self._read_dead_letters()
        self._read_events()
        self._read_actions()
        self._check_committed()
        for fault, places in self._faults.items():
            first = f"the first at partition {places[0][0]}, offset {places[0][1]}"
            self.audit.faults.append(f"{len(places)} {fault} ({first})")
        return self.audit

    def _read_decisions(self) -> None:
        audit = self.audit
        for message in self._read(self._settings.topics.decisions):
            datum = self._decision.decode(message.value())
            by_model = datum["scored_by"] == "MODEL"
            audit.decisions[datum["decision"], datum["scored_by"]] += 1
            if datum["fallback_reason"] is not None:
                audit.fallbacks[datum["fallback_reason"]] += 1
            if datum["model_version"] is not None:
                audit.model_versions.add(datum["model_version"])
            audit.decided.at_ms.append(datum["decided_at"])
            audit.decided.by_model.append(by_model)
            if datum["action_published"]:
                self._published[datum["decision"], hash(message.value())] += 1
            self._settle((datum["source_partition"], datum["source_offset"]), _DECIDED)

    def _read_dead_letters(self) -> None:
        for message in self._read(self._settings.topics.dead_letters):
            headers = _headers(message)
            self.audit.dead_letters[headers[REASON]] += 1
            prefix = f"{HEADER_PREFIX}errors."
            self._settle((int(headers[f"{prefix}partition"]), int(headers[f"{prefix}offset"])), _DEAD)

    def _settle(self, place: Place, outcome: int) -> None:
        if place in self._outcomes:
            self._faults["input records have more than one outcome"].append(place)
        self._outcomes[place] = outcome

    def _read_events(self) -> None:
        """In offset order: what a record without an outcome repeats must have been decided before it."""
        decided: set[int] = set()  # hashes of 64 bits, here and of what was published: a demo may have a million events
        for message in self._read(self._settings.topics.events):
            self.audit.inputs += 1
            place = _place(message)
            outcome = self._outcomes.pop(place, _NONE)
            if outcome == _DEAD:
                continue
            event = self._event.decode(message.value())
            identity = hash((event["lead_id"], event["event_id"]))
            if outcome == _DECIDED:
                decided.add(identity)
            elif identity in decided:
                self.audit.duplicates += 1
            else:
                self._faults["input records have no outcome and repeat nothing"].append(place)
        self._faults |= {"outcomes belong to no input record": list(self._outcomes)} if self._outcomes else {}

    def _read_actions(self) -> None:
        for decision in self._policy_decisions:
            for message in self._read(self._settings.topics.action(decision)):
                self.audit.actions[decision] += 1
                self._published[decision, hash(message.value())] -= 1
        wrong = [count for count in self._published.values() if count]
        if wrong:
            self.audit.faults.append(
                f"{len(wrong)} decisions are not exactly once, byte for byte, on the action topic where they belong"
            )

    def _check_committed(self) -> None:
        topic = self._settings.topics.events
        consumer = self._consumer()
        try:
            numbers = list(consumer.list_topics(topic, timeout=_METADATA_S).topics[topic].partitions)
            committed = consumer.committed([TopicPartition(topic, number) for number in numbers], timeout=_METADATA_S)
        finally:
            consumer.close()
        ends = end_offsets(self._admin, topic, numbers, IsolationLevel.READ_UNCOMMITTED)
        for partition in committed:
            if partition.offset != ends[partition.partition]:
                self._faults["partitions are not committed to their end"].append(
                    (partition.partition, partition.offset)
                )

    def _no_open_transaction(self, topic: str) -> bool:
        numbers = list(self._admin.list_topics(topic, timeout=_METADATA_S).topics[topic].partitions)
        stable = end_offsets(self._admin, topic, numbers, IsolationLevel.READ_COMMITTED)
        return stable == end_offsets(self._admin, topic, numbers, IsolationLevel.READ_UNCOMMITTED)

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


def _headers(message: Message) -> dict[str, str]:
    """The last header of each name; values that are no text are somebody else's."""
    headers: Any = message.headers() or []
    return {name: (value or b"").decode(errors="replace") for name, value in headers}


def _until(condition: Callable[[], bool], within_s: float) -> None:
    """Waits for a condition; what is not so in time is found by the checks that come after."""
    deadline = time.monotonic() + within_s
    while not condition() and time.monotonic() < deadline:
        time.sleep(_POLL_S)

"""`run --rebuild-state`: profiles folded again from the events that are left, where the state cannot be used."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import chain, takewhile
from typing import Any, NamedTuple, cast

import structlog
from confluent_kafka import OFFSET_BEGINNING, IsolationLevel, KafkaError, KafkaException, Message, TopicPartition

from consumer.damage import DAMAGED, damaged
from consumer.dead_letters import source_offset
from consumer.end_offsets import OffsetLister, end_offsets
from consumer.reader import Reader
from consumer.start import Changelog, Mark, Plan, Start, TopicIds, plan
from runtime.errors import StateError
from schemas.codec import Codec, UndecodableError, UnknownSchemaError
from schemas.times import MAX_MS
from scoring.events import LeadEvent
from scoring.fold import Memory, fold
from scoring.gates import gate
from scoring.policy import Policy, Route
from scoring.profile import Profile, unpack

log = structlog.get_logger(__name__)

CHUNK_RECORDS = 2_000


class Rebuilt(NamedTuple):
    """A partition's new state: where it goes on, and every profile that the changelog must get (None: a tombstone)."""

    next_offset: int
    profiles: dict[str, Profile | None]


@dataclass(slots=True)
class Outcomes:
    """What the decisions and dead letters of a partition tell; some may be of an earlier life of the events topic.

    Attributes:
        last_decided: The event of the last decision.
        last_dead: The record of the last dead letter.
        dead: Offsets and append times of what became a dead letter and so changed no state, though it may pass today.
        actions: By offset and event id, the decision that was published as a route.
    """

    last_decided: Mark | None = None
    last_dead: Mark | None = None
    dead: set[tuple[int, int]] = field(default_factory=set)
    actions: dict[tuple[int, str], Route] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Sources:
    """What a state is rebuilt from: three topics with the codecs of the two that are decoded."""

    events: str
    decisions: str
    dead_letters: str
    event_codec: Codec
    decision_codec: Codec


class Rebuilder:
    """Makes a state that agrees with the input, as far as the topics still tell.

    What it cannot know: events that retention has removed, and last actions whose decisions it has removed.
    """

    def __init__(
        self, reader: Reader, admin: OffsetLister, sources: Sources, ids: TopicIds, policy: Policy, memory: Memory
    ) -> None:
        self._reader, self._admin, self._from, self._ids = reader, admin, sources, ids
        self._policy, self._memory = policy, memory

    def rebuild(self, start: Start, changelog: Changelog, stop: Callable[[], bool]) -> Rebuilt | None:
        """A state to replace the changelog's with; None when `stop` ended it early.

        Raises:
            KafkaException: Kafka could not answer.
            RegistryUnavailableError: The registry could not; try again.
            StateError: What the brokers keep is damaged.
        """
        outcomes = self._outcomes(start.number, stop)
        if outcomes is None:
            return None
        marks = {mark for mark in (changelog.mark(), outcomes.last_decided, outcomes.last_dead) if mark is not None}
        held = {mark for mark in marks if self._holds(start, mark, stop)}
        if stop():
            return None
        chosen = plan(start, changelog, self._ids, held, marks - held)
        profiles: dict[str, Profile | None] = dict.fromkeys((*changelog.leads, *changelog.unreadable))
        if chosen.keep:
            profiles.update((lead_id, unpack(packed)) for lead_id, packed in changelog.leads.items())
        elif not self._fold(start, chosen.next_offset, outcomes, profiles, stop):
            return None
        log.warning(
            "state_rebuilt",
            partition=start.number,
            next_offset=chosen.next_offset,
            leads=sum(profile is not None for profile in profiles.values()),
            source="changelog" if chosen.keep else "events",
            never_scored=chosen.lost_records,
            unknown=_unknown(start, chosen),
        )
        return Rebuilt(chosen.next_offset, profiles)

    def _holds(self, start: Start, mark: Mark, stop: Callable[[], bool]) -> bool:
        """Whether the events topic has what a mark tells of, or had it: what retention took cannot be looked at."""
        if not start.low <= mark.offset < start.high:
            return mark.offset < start.low
        for message in self._read(self._from.events, start.number, mark.offset, stop):
            event = self._decoded(message) if mark.event_id is not None else None
            return mark.is_of(message.offset() or 0, _append_ms(message), event and event["event_id"])
        return False

    def _fold(
        self,
        start: Start,
        next_offset: int,
        outcomes: Outcomes,
        profiles: dict[str, Profile | None],
        stop: Callable[[], bool],
    ) -> bool:
        """Folds the events before `next_offset`; False when it was stopped."""
        for message in self._read(self._from.events, start.number, start.low, stop):
            if (message.offset() or 0) >= next_offset:
                break
            at_ms = _append_ms(message)
            event = None if (message.offset(), at_ms) in outcomes.dead else self._event(message, at_ms)
            if event is not None:
                self._apply(event, message, at_ms, outcomes, profiles)
        return not stop()

    def _event(self, message: Message, at_ms: int) -> LeadEvent | None:
        event = self._decoded(message)
        return event if event is not None and gate(event, message.key(), at_ms) is None else None

    def _decoded(self, message: Message) -> LeadEvent | None:
        try:
            return cast(LeadEvent, self._from.event_codec.decode(message.value()))
        except (UndecodableError, UnknownSchemaError):
            return None

    def _apply(
        self,
        event: LeadEvent,
        message: Message,
        at_ms: int,
        outcomes: Outcomes,
        profiles: dict[str, Profile | None],
    ) -> None:
        lead_id, offset = event["lead_id"], message.offset() or 0
        folded = fold(profiles.get(lead_id), event, offset, at_ms, self._memory)
        if folded is None:
            return
        profiles[lead_id] = folded.profile
        route = outcomes.actions.get((offset, event["event_id"]))
        if route is not None:
            self._policy.record_action(folded.profile, route, event["occurred_at"])

    def _outcomes(self, number: int, stop: Callable[[], bool]) -> Outcomes | None:
        outcomes = Outcomes()
        for message in self._read(self._from.dead_letters, number, OFFSET_BEGINNING, stop):
            offset, at_ms = source_offset(message), _append_ms(message)
            outcomes.last_dead = Mark(offset, append_ms=at_ms)
            outcomes.dead.add((offset, at_ms))
        for message in self._read(self._from.decisions, number, OFFSET_BEGINNING, stop):
            decision = self._from.decision_codec.decode(message.value())
            offset, event_id = decision["source_offset"], decision["event_id"]
            outcomes.last_decided = Mark(offset, event_id=event_id)
            if decision["action_published"]:
                outcomes.actions[offset, event_id] = self._route(decision)
        return None if stop() else outcomes

    def _route(self, decision: dict[str, Any]) -> Route:
        name = decision["decision"]
        in_a_band = name in {band.decision for band in self._policy.bands}
        band = name if in_a_band else self._policy.band(decision["score"])
        return Route(name, decision["confidence"], publish=True, band=band)

    def _read(self, topic: str, number: int, offset: int, stop: Callable[[], bool]) -> Iterator[Message]:
        """The committed records of a partition, to its end."""
        end = end_offsets(self._admin, topic, [number], IsolationLevel.READ_COMMITTED)[number]
        if end <= 0:
            return
        with self._reader.reading([TopicPartition(topic, number, offset)], CHUNK_RECORDS) as chunks:
            for message in chain.from_iterable(takewhile(lambda _: not stop(), chunks)):
                error = message.error()
                if error is None:
                    yield message
                elif error.code() in DAMAGED:
                    raise StateError(damaged(topic, number, message.offset(), error))
                elif error.code() != KafkaError._PARTITION_EOF:
                    raise KafkaException(error)
                elif (message.offset() or 0) >= end:  # else a replica that is behind
                    return


def _append_ms(message: Message) -> int:
    """When an event was appended; a dead letter has the time of its event."""
    return min(message.timestamp()[1], MAX_MS)


def _unknown(start: Start, chosen: Plan) -> str:
    if chosen.keep:
        return f"{chosen.lost_records} records were never scored and are gone" if chosen.lost_records else "nothing"
    before = f"events before offset {start.low}" if start.low else "nothing before the log's first record"
    return f"{before}; last actions older than the decisions topic"

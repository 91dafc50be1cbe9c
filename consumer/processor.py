"""Records to outputs: decode, gate, fold, score, route, encode. No Kafka here; clock and model are passed in."""

from __future__ import annotations

import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from operator import itemgetter
from time import perf_counter
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from consumer.batch import Batch
from consumer.dead_letters import GATE_MESSAGES, INTERNAL_ERROR, dead_letter, reason_of
from consumer.records import Output, Record, new
from consumer.start import REBUILD_HINT
from runtime.clock import Clock
from runtime.errors import FatalError, StateError
from schemas.codec import Codec, UndecodableError, UnknownSchemaError
from schemas.columns import Column, Few, PackedLongs, Same, Shared
from schemas.errors import RegistryUnavailableError
from scoring.events import LeadEvent
from scoring.features import Observations, features, rule_scores
from scoring.fold import Memory, fold
from scoring.gates import gate
from scoring.policy import Policy, Route
from scoring.profile import Profile, to_columns
from scoring.scorer import Scorer, Verdicts

SYSTEMATIC_RECORDS = 10
"""When every one of so many records fails, it is not the records' fault."""
NO_REASONS: list[dict[str, Any]] = []
_IDENTITY = itemgetter("lead_id", "event_id", "event_type", "occurred_at")


class Stages(Protocol):
    """Takes the seconds that a stage of the contract's section 9 took."""

    def stage(self, name: str, seconds: float) -> None:
        """Observes one duration."""


@dataclass(frozen=True, slots=True)
class Destinations:
    """Where outputs go and what dead letters may weigh."""

    group_id: str
    events: str
    decisions: str
    profiles: str
    dead_letters: str
    actions: dict[str, str]
    """Decision to topic."""
    dead_letter_max_bytes: int
    """What the dead letter topic takes for certain; compressed, more may fit."""
    producer_max_bytes: int
    """What the producer takes."""


@dataclass(slots=True)
class _Accepted:
    """What is scored, by row."""

    records: list[Record] = field(default_factory=list)
    events: list[LeadEvent] = field(default_factory=list)
    profiles: list[Profile] = field(default_factory=list)


class Processor:
    """Prepares batches. Everything that it changes is in the batch, so a batch that is dropped never happened."""

    def __init__(
        self,
        *,
        codecs: tuple[Codec, Codec, Codec],
        destinations: Destinations,
        policy: Policy,
        scorer: Scorer,
        baseline_engagement: Callable[[], float | None],
        clock: Clock,
        stages: Stages,
        memory: Memory,
    ) -> None:
        event_codec, decision_codec, profile_codec = codecs
        self._decode: Callable[[bytes | None], dict[str, Any]] = event_codec.decode
        self._encode_decisions = decision_codec.encode_columns
        self._encode_profiles = profile_codec.encode_columns
        self._to = destinations
        self._policy, self._scorer, self._clock, self._stages = policy, scorer, clock, stages
        self._baseline_engagement = baseline_engagement
        self._memory = memory
        self._dead_letter_limit_bytes = destinations.producer_max_bytes

    def prepare(self, records: list[Record], batch: Batch) -> None:
        """Adds what follows from records to a batch.

        A record on which this fails is isolated: the slice is redone record by record on top of the batch, and the
        one that fails alone becomes a dead letter `internal_error`.

        Args:
            records: In offset order for each partition, of active partitions, past what the batch has already.
            batch: Takes everything; `batch.limit` is set if the dead letter guard stopped before the last record.

        Raises:
            RegistryUnavailableError: Nothing was added; try again.
            StateError: A record is at or below its lead's last applied offset.
        """
        trial = batch.child()
        try:
            self._prepare(records, trial)
        except (FatalError, RegistryUnavailableError, MemoryError):
            raise
        except Exception as error:  # noqa: BLE001 - the one place where bugs are caught: to find the record that fails
            trial = self._isolate(records, batch, error)
        batch.absorb(trial)

    def forward_whole(self, *, certain: bool) -> None:
        """How large dead letters may be: tried whole at first, and once a broker has refused one, only what fits.

        Args:
            certain: Only what the topic takes for certain keeps its value.
        """
        self._dead_letter_limit_bytes = self._to.dead_letter_max_bytes if certain else self._to.producer_max_bytes

    def changelog(self, batch: Batch) -> list[Output]:
        """One `LeadProfile` for each lead that the batch changed, a tombstone for each that it forgot.

        Worked out once, unless the batch has changed since.
        """
        if batch.changelog is None:
            batch.changelog = self._changelog(batch)
        return batch.changelog

    def _changelog(self, batch: Batch) -> list[Output]:
        now_ms, topic = self._clock.now_ms(), self._to.profiles
        changed = [
            (partition, lead_id, profile)
            for partition, profiles in batch.profiles.items()
            for lead_id, profile in profiles.items()
        ]
        values = iter(self._profile_values([change for change in changed if change[2] is not None]))
        return [
            new(
                Output,
                (
                    topic,
                    partition,
                    lead_id.encode(errors="surrogateescape"),
                    None if profile is None else next(values),
                    now_ms,
                    None,
                ),
            )
            for partition, lead_id, profile in changed
        ]

    def _profile_values(self, kept: list[tuple[int, str, Any]]) -> list[bytes]:
        if not kept:
            return []
        columns = to_columns([profile for _, _, profile in kept])
        shared: dict[str, Column] = {
            "lead_id": [lead_id for _, lead_id, _ in kept],
            "group_id": Same(self._to.group_id),
            "last_action": Few(columns["last_action"]),
            "last_action_band": Few(columns["last_action_band"]),
            "recent_event_ids": PackedLongs(columns["recent_event_ids"]),
        }
        return self._encode_profiles({**columns, **shared})

    def _prepare(self, records: list[Record], batch: Batch) -> None:
        started = perf_counter()
        outcomes = [self._read(record) for record in records]
        taken = batch.guard.admit(bytearray(type(outcome) is Output for outcome in outcomes))
        if taken < len(records):
            batch.limit = batch.guard.limit_error()
        folded = perf_counter()
        self._stages.stage("decode", folded - started)
        accepted, observations = self._fold(records[:taken], outcomes, batch)
        scored = perf_counter()
        self._stages.stage("state", scored - folded)
        if accepted.records:
            self._score(accepted, observations, batch)

    def _isolate(self, records: list[Record], batch: Batch, error: Exception) -> Batch:
        """Redoes a failed slice record by record; what fails alone becomes a dead letter."""
        redone = batch.child()
        failed = 0
        for record in records:
            trial = redone.child()
            try:
                self._prepare([record], trial)
            except (FatalError, RegistryUnavailableError, MemoryError):
                raise
            except Exception as record_error:  # noqa: BLE001 - as above
                failed += 1
                trial = redone.child()
                self._bury(record, record_error, trial)
            redone.absorb(trial)
            if redone.limit is not None:
                return redone
        if failed == 0 or (failed == len(records) and failed >= SYSTEMATIC_RECORDS):
            raise error  # not one record's fault
        return redone

    def _bury(self, record: Record, error: Exception, batch: Batch) -> None:
        if not batch.guard.admit(bytearray([1])):
            batch.limit = batch.guard.limit_error()
            return
        message = f"the scorer failed on this record in {_place(error)}"
        batch.take([record])
        self._bury_as(batch, self._dead_letter(record, "process", INTERNAL_ERROR, type(error).__name__, message))

    def _read(self, record: Record) -> LeadEvent | Output:
        """The record's event, or the dead letter that it becomes."""
        try:
            event = cast(LeadEvent, self._decode(record.value))
        except UnknownSchemaError as error:
            return self._dead_letter(record, "decode", "unknown_schema", type(error).__name__, str(error))
        except UndecodableError as error:
            return self._dead_letter(record, "decode", "undecodable", type(error).__name__, str(error))
        reason = gate(event, record.key, record.append_ms)
        if reason is None:
            return event
        return self._dead_letter(record, "gate", reason, "GateRejection", GATE_MESSAGES[reason])

    def _dead_letter(self, record: Record, stage: str, reason: str, exception: str, message: str) -> Output:
        return dead_letter(
            record,
            source_topic=self._to.events,
            topic=self._to.dead_letters,
            stage=stage,
            reason=reason,
            exception=exception,
            message=message,
            limit_bytes=self._dead_letter_limit_bytes,
        )

    def _bury_as(self, batch: Batch, letter: Output) -> None:
        batch.outputs.append(letter)
        batch.tally.results["dead_letter"] += 1
        batch.tally.dead_letters[reason_of(letter)] += 1

    def _fold(
        self, records: list[Record], outcomes: list[LeadEvent | Output], batch: Batch
    ) -> tuple[_Accepted, Observations]:
        """Applies events to profiles in offset order; what is accepted is observed as it was at its offset."""
        accepted, observations = _Accepted(), Observations()
        duplicates = 0
        for record, outcome in zip(records, outcomes, strict=False):
            if type(outcome) is Output:
                self._bury_as(batch, outcome)
                continue
            event: LeadEvent = outcome  # type: ignore[assignment]
            partition, offset, append_ms, _, _, _ = record
            lead_id = event["lead_id"]
            known = batch.profile(partition, lead_id)
            if known is not None and offset <= known.last_offset:
                raise self._went_back(record, known)
            folded = fold(known, event, offset, append_ms, self._memory)
            if folded is None:
                duplicates += 1
                continue
            profile, previous_activity_at = folded
            batch.put(partition, lead_id, profile)
            if event["event_type"] == "PROFILE_UPDATE":
                batch.gates.add_update(profile)
            observations.append(profile, event["occurred_at"], previous_activity_at)
            accepted.records.append(record)
            accepted.events.append(event)
            accepted.profiles.append(profile)
        batch.take(records)
        batch.tally.results["duplicate"] += duplicates
        return accepted, observations

    def _went_back(self, record: Record, profile: Profile) -> StateError:
        return StateError(
            f"{self._to.events}-{record.partition} gave offset {record.offset} for a lead whose state has offset "
            f"{profile.last_offset} applied: the events topic or the committed offsets went back. {REBUILD_HINT}"
        )

    def _score(self, accepted: _Accepted, observations: Observations, batch: Batch) -> None:
        """Scores what was accepted and turns it into decisions and actions."""
        started = perf_counter()
        matrix = features(observations)
        baseline = rule_scores(observations, matrix)
        verdicts = self._scorer.score(matrix, baseline)
        inferred = perf_counter()
        self._stages.stage("inference", inferred - started)
        batch.gates.baseline_engagement = self._baseline_engagement()
        batch.gates.add_engagement(matrix[:, 0])
        routes = self._route(accepted, verdicts)
        explained = self._reasons(matrix, verdicts, routes)
        self._decide(accepted, matrix, baseline, verdicts, routes, explained, batch)
        self._count(accepted, verdicts, routes, batch)
        self._stages.stage("publish", perf_counter() - inferred)

    def _route(self, accepted: _Accepted, verdicts: Verdicts) -> list[Route]:
        routes = []
        route, record_action = self._policy.route, self._policy.record_action
        scores, by_models = verdicts.scores.tolist(), verdicts.by_model.tolist()
        for event, profile, score, by_model in zip(accepted.events, accepted.profiles, scores, by_models, strict=True):
            routed = route(profile, score, by_model, event["event_type"], event["occurred_at"])
            if routed.publish:
                record_action(profile, routed, event["occurred_at"])
            routes.append(routed)
        return routes

    def _reasons(
        self, matrix: NDArray[np.float64], verdicts: Verdicts, routes: list[Route]
    ) -> dict[int, list[dict[str, Any]]]:
        """Reasons by row, for the rows whose action is published and which the model scored."""
        published = np.fromiter((route.publish for route in routes), bool, len(routes))
        rows = np.flatnonzero(verdicts.by_model & published)
        if not rows.size:
            return {}
        return dict(zip(rows.tolist(), self._scorer.reasons(matrix[rows]), strict=True))

    def _decide(
        self,
        accepted: _Accepted,
        matrix: NDArray[np.float64],
        baseline: NDArray[np.float64],
        verdicts: Verdicts,
        routes: list[Route],
        explained: dict[int, list[dict[str, Any]]],
        batch: Batch,
    ) -> None:
        decided_at = self._clock.now_ms()
        columns = self._decision_columns(accepted, matrix, baseline, verdicts, routes, decided_at)
        columns["reasons"] = Same(NO_REASONS)
        if explained:
            columns["reasons"] = Shared([explained.get(row, NO_REASONS) for row in range(len(routes))])
        to_decisions, to_actions, add = self._to.decisions, self._to.actions, batch.outputs.append
        values = self._encode_decisions(columns)
        for (partition, _, _, key, _, _), route, value in zip(accepted.records, routes, values, strict=True):
            add(new(Output, (to_decisions, partition, key, value, decided_at, None)))
            if route.publish:
                add(new(Output, (to_actions[route.decision], partition, key, value, decided_at, None)))

    def _decision_columns(
        self,
        accepted: _Accepted,
        matrix: NDArray[np.float64],
        baseline: NDArray[np.float64],
        verdicts: Verdicts,
        routes: list[Route],
        decided_at: int,
    ) -> dict[str, Column]:
        """All fields of the decisions but the reasons."""
        topic, by_model, version = self._to.events, verdicts.by_model.tolist(), verdicts.model_version
        partitions, offsets, append_ms, _, _, _ = map(list, zip(*accepted.records, strict=True))
        lead_ids, event_ids, event_types, occurred_at = map(list, zip(*map(_IDENTITY, accepted.events), strict=True))
        return {
            "decision_id": [f"{topic}-{number}-{offset}" for number, offset in zip(partitions, offsets, strict=True)],
            "lead_id": lead_ids,
            "event_id": event_ids,
            "event_type": event_types,
            "occurred_at": occurred_at,
            "decided_at": Same(decided_at),
            "score": verdicts.scores,
            "decision": Few([route.decision for route in routes]),
            "confidence": [route.confidence for route in routes],
            "scored_by": ["MODEL" if model else "RULES" for model in by_model],
            "model_version": Few([version if model else None for model in by_model]),
            "policy_version": Same(self._policy.version),
            "rule_score": baseline,
            "fallback_reason": Few(verdicts.fallback_reasons),
            "action_published": [route.publish for route in routes],
            "features": matrix,
            "latency_ms": np.maximum(decided_at - np.array(append_ms, dtype=np.float64), 0.0),
            "source_topic": Same(topic),
            "source_partition": partitions,
            "source_offset": offsets,
        }

    def _count(self, accepted: _Accepted, verdicts: Verdicts, routes: list[Route], batch: Batch) -> None:
        tally = batch.tally
        decided = Counter(zip([route.decision for route in routes], verdicts.by_model.tolist(), strict=True))
        fallbacks = Counter(verdicts.fallback_reasons)
        tally.results["scored"] += len(routes)
        tally.scored_append_ms += [record.append_ms for record in accepted.records]
        tally.decisions.update({(name, "MODEL" if model else "RULES"): n for (name, model), n in decided.items()})
        tally.actions.update([route.decision for route in routes if route.publish])
        tally.fallbacks.update({reason: n for reason, n in fallbacks.items() if reason is not None})
        tally.model_scores += verdicts.scores[verdicts.by_model].tolist()


def _place(error: Exception) -> str:
    """Where an exception was raised, without its text, which may quote the payload."""
    frames = traceback.extract_tb(error.__traceback__)
    return f"{frames[-1].name} (line {frames[-1].lineno})" if frames else "an unknown place"

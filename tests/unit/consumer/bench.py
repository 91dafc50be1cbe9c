"""A processor with everything around it in the test's hands, and records to feed it."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from consumer.assignment import Assignment
from consumer.batch import Batch
from consumer.dead_letters import Guard
from consumer.processor import Destinations, Processor
from consumer.records import Headers, Output, Record
from runtime.metrics import Metrics
from schemas.codec import Codec, decision_codec, lead_event_codec, lead_profile_codec
from scoring.features import FEATURES
from scoring.fold import Memory
from scoring.policy import Policy
from scoring.scorer import Scorer, Verdicts
from scoring.stream_gates import StreamGates
from tests.unit.consumer.fakes import START_MS, TOPIC, FakeClock
from tests.unit.scoring.strategies import event_of

DAY_MS = 86_400_000
DECISIONS, PROFILES, DEAD_LETTERS = "lead.decisions", "lead.profiles", "lead.events.dead-letter"
GROUP = "lead-scorer"
VERSION = "v7"
Score = Callable[[list[float]], float]


@cache
def codec(name: str) -> Codec:
    """`event`, `decision` or `profile`."""
    return {"event": lead_event_codec, "decision": decision_codec, "profile": lead_profile_codec}[name]()


def event_record(offset: int, *, partition: int = 0, append_ms: int = START_MS, **fields: Any) -> Record:
    """A record with a good event, by default a page visit of lead `l` at its append time; each has its own id."""
    event = event_of(**{"event_id": f"e-{partition}-{offset}", "occurred_at": append_ms} | fields)
    key = event["lead_id"].encode()
    return Record(partition, offset, append_ms, key, codec("event").encode(event), no_headers)


def no_headers() -> Headers | None:
    return None


class Stages:
    """What was told about durations."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def stage(self, name: str, seconds: float) -> None:
        assert seconds >= 0
        self.told.append(name)


class PerRow:
    """A model that answers each row by itself, with reasons that name the row."""

    def __init__(self, score: Score) -> None:
        self._score = score
        self.calls: list[int] = []

    def score(self, features: NDArray[np.float64], rule_scores: NDArray[np.float64]) -> Verdicts:
        self.calls.append(len(features))
        scores = np.array([self._score(row) for row in features.tolist()])
        by_model = ~np.isnan(scores)
        reasons = [None if known else "bad_score" for known in by_model.tolist()]
        return Verdicts(np.where(by_model, scores, rule_scores), by_model, reasons, VERSION)

    def reasons(self, features: NDArray[np.float64]) -> list[list[dict[str, Any]]]:
        return [
            [
                {"feature": name, "value": value, "contribution": -value}
                for name, value in zip(FEATURES, row, strict=True)
            ]
            for row in features.tolist()
        ]


class Bench:
    """A processor, the state underneath, and how batches begin and end."""

    def __init__(
        self,
        scorer: Scorer | None = None,
        *,
        policy: str = "default",
        memory: Memory = Memory(32, 365 * DAY_MS),  # noqa: B008 - immutable
        guard: Guard | None = None,
        partitions: int = 2,
        dead_letter_max_bytes: int = 1_000_000,
        producer_max_bytes: int = 2_000_000,
    ) -> None:
        self.clock, self.stages = FakeClock(), Stages()
        self.policy = Policy.load(policy)
        self.guard, self.gates = guard or Guard(1000, 1.0), StreamGates()
        self.assignment = Assignment()
        self.assignment.add(list(range(partitions)))
        for number in range(partitions):
            self.assignment.partitions[number].activate(0, {})
        self.processor = Processor(
            codecs=(codec("event"), codec("decision"), codec("profile")),
            destinations=Destinations(
                group_id=GROUP,
                events=TOPIC,
                decisions=DECISIONS,
                profiles=PROFILES,
                dead_letters=DEAD_LETTERS,
                actions={name: action_topic(name) for name in self.policy.decisions},
                dead_letter_max_bytes=dead_letter_max_bytes,
                producer_max_bytes=producer_max_bytes,
            ),
            policy=self.policy,
            scorer=scorer or PerRow(lambda row: min(1.0, row[0] / 10)),
            baseline_engagement=lambda: 1.0,
            clock=self.clock,
            stages=self.stages,
            memory=memory,
        )

    def batch(self, parent: Batch | None = None) -> Batch:
        if parent is not None:
            return Batch(self.assignment, parent.guard, parent.gates, parent)
        return Batch(self.assignment, self.guard, self.gates)

    def prepared(self, *records: Record) -> Batch:
        """A batch of its own for the records."""
        batch = self.batch()
        self.processor.prepare(list(records), batch)
        return batch

    def commit(self, batch: Batch) -> None:
        batch.apply_to_state()
        self.guard, self.gates = batch.guard, batch.gates


def action_topic(decision: str) -> str:
    return f"lead.actions.{decision.replace('_', '-')}"


def on(topic: str, outputs: list[Output]) -> list[Output]:
    """The outputs to a topic."""
    return [output for output in outputs if output.topic == topic]


def decisions(batch: Batch) -> list[dict[str, Any]]:
    """What was decided, in order."""
    return [codec("decision").decode(output.value) for output in on(DECISIONS, batch.outputs)]


def letter_reasons(batch: Batch) -> dict[int, str]:
    """By offset, why a record is a dead letter."""
    found = {}
    for letter in on(DEAD_LETTERS, batch.outputs):
        told = {name.rpartition(".")[2]: value for name, value in letter.headers or []}
        found[int(told["offset"] or b"")] = (told["reason"] or b"").decode()
    return found


def exposed(metrics: Metrics) -> dict[str, float]:
    """The samples of /metrics by name with labels."""
    lines = metrics.exposition().decode().splitlines()
    samples = (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    return {name: float(value) for name, value in samples if name.startswith("lead_scorer_")}

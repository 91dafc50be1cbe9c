"""What must hold after any scenario on a real broker: every topic is read again and recomputed by the oracle."""

from __future__ import annotations

import json
import tomllib
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import xxhash
from confluent_kafka import Consumer, IsolationLevel, Message, TopicPartition
from confluent_kafka.admin import AdminClient
from numpy.typing import NDArray
from onnxruntime import InferenceSession  # type: ignore[import-untyped]

import scoring
from consumer.end_offsets import Place, end_offsets, ends
from consumer.records import Headers
from consumer.topic_reader import read_topic
from runtime.config import Settings
from schemas.codec import (
    Codec,
    UndecodableError,
    UnknownSchemaError,
    decision_codec,
    lead_event_codec,
    lead_profile_codec,
)
from schemas.registry import Registry
from tests import oracle
from tests.kafka import answered, eventually

POLICIES = Path(scoring.__file__).parent / "policies"
TOLERANCE = 1e-12
MODEL_TOLERANCE = 1e-6
"""A model computes in 32 bits."""


def hanging(admin: AdminClient, places: Collection[Place]) -> list[Place]:
    """The partitions that an open transaction keeps from their readers."""
    stable, high = (
        answered(partial(ends, admin, places, isolation))
        for isolation in (IsolationLevel.READ_COMMITTED, IsolationLevel.READ_UNCOMMITTED)
    )
    return [place for place in places if stable[place] != high[place]]


class Topics:
    """The topics of one configuration, read committed from their start."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.admin = AdminClient({"bootstrap.servers": settings.kafka.bootstrap_servers})

    def read(self, topic: str, isolation: str = "read_committed") -> list[Message]:
        """All records that are there now."""
        return self._read(topic, isolation)

    def _read(self, topic: str, isolation: str, numbers: Collection[int] | None = None) -> list[Message]:
        consumer = self._consumer(isolation)
        try:
            return list(read_topic(consumer, topic, numbers=numbers))
        finally:
            consumer.close()

    def ends(self, isolation: IsolationLevel = IsolationLevel.READ_COMMITTED) -> dict[int, int]:
        """The ends of the events topic's partitions."""
        topic = self.settings.topics.events
        numbers = list(self.admin.list_topics(topic, timeout=10).topics[topic].partitions)
        return answered(lambda: end_offsets(self.admin, topic, numbers, isolation))

    def committed(self) -> dict[int, int]:
        """The group's committed offsets; partitions without one are left out."""
        asked = [TopicPartition(self.settings.topics.events, number) for number in self.ends()]
        found = answered(lambda: self._group.committed(asked, timeout=30))
        return {p.partition: p.offset for p in found if p.offset >= 0}

    def caught_up(self) -> bool:
        """Whether every partition's committed offset is its end."""
        return self.committed() == self.ends(IsolationLevel.READ_UNCOMMITTED)

    def wait_until_caught_up(self, within_s: float = 60.0) -> None:
        """Returns once all input is processed."""
        eventually(self.caught_up, within_s=within_s, every_s=0.3)

    @cached_property
    def _group(self) -> Consumer:
        """Kept: to connect anew costs the brokers more than to ask."""
        return self._consumer("read_committed")

    def _consumer(self, isolation: str) -> Consumer:
        return Consumer(
            {
                "bootstrap.servers": self.settings.kafka.bootstrap_servers,
                "group.id": self.settings.kafka.group_id,
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "isolation.level": isolation,
                "enable.partition.eof": True,
                "fetch.wait.max.ms": 20,
                "reconnect.backoff.max.ms": 500,
            }
        )


class Found:
    """What a scenario left in the topics, and the checks on it.

    Args:
        settings: Those of the instances.
        topics: What is read, by default all of every topic.
    """

    def __init__(self, settings: Settings, topics: Topics | None = None) -> None:
        self.settings = settings
        self.topics = topics or Topics(settings)
        url = settings.schema_registry.url
        self._registry = registry = Registry(url) if url else None
        self._event = lead_event_codec(registry=registry)
        self._decision = decision_codec(registry=registry)
        self._profile = lead_profile_codec(registry=registry)
        names = settings.topics
        self.events = self.topics.read(names.events)
        self.decisions = [(m, self._decision.decode(m.value())) for m in self.topics.read(names.decisions)]
        self.dead_letters = self.topics.read(names.dead_letters)
        self.changelog = self.topics.read(names.profiles)
        self.policy = tomllib.loads(self._policy_path().read_text())
        self.actions = {
            decision: self.topics.read(names.action(decision)) for decision in self._decisions_of_the_policy()
        }

    def check(self) -> None:
        """All invariants that can be seen from outside."""
        expected = self.expected()
        self._check_one_outcome_each(expected)
        self._check_dead_letters(expected)
        self._check_decisions(expected)
        self._check_model_scores(expected)
        self._check_order()
        self._check_actions()
        self._check_profiles(expected)
        assert self.topics.committed() == self.topics.ends(IsolationLevel.READ_UNCOMMITTED)
        if self._registry is not None:
            self._registry.close()

    def remember(self, events: Iterable[Message]) -> None:
        """Events that were there and had their outcome before the topic lost them."""
        found = {(partition_of(m), offset_of(m)): m for m in (*events, *self.events)}
        self.events = [message for _, message in sorted(found.items())]

    def expected(self) -> dict[int, oracle.Result]:
        """The oracle's results by partition, with the model's scores taken from the decisions."""
        scores: dict[int, dict[int, float | None]] = defaultdict(dict)
        for _, decision in self.decisions:
            if decision["scored_by"] == "MODEL":
                scores[decision["source_partition"]][decision["source_offset"]] = decision["score"]
        state = self.settings.state
        return {
            number: oracle.run(
                records,
                self.policy,
                dedup_window=state.dedup_window,
                retention_days=state.retention_days,
                scores=scores[number],
            )
            for number, records in self._records().items()
        }

    def _records(self) -> dict[int, list[oracle.Record]]:
        found: dict[int, list[oracle.Record]] = defaultdict(list)
        for m in self.events:
            record = oracle.Record(offset_of(m), m.key(), decoded(self._event, m.value()), m.timestamp()[1])
            found[partition_of(m)].append(record)
        return found

    def _check_one_outcome_each(self, expected: Mapping[int, oracle.Result]) -> None:
        seen: dict[tuple[int, int], list[str]] = defaultdict(list)
        for message, decision in self.decisions:
            assert partition_of(message) == decision["source_partition"]
            seen[decision["source_partition"], decision["source_offset"]].append("scored")
        for message in self.dead_letters:
            seen[source_of(message)].append("dead_letter")
        wanted = {
            (number, offset): ["scored"] if outcome.kind == "scored" else ["dead_letter"]
            for number, result in expected.items()
            for offset, outcome in result.outcomes.items()
            if outcome.kind != "duplicate"
        }
        assert dict(seen) == wanted

    def _check_dead_letters(self, expected: Mapping[int, oracle.Result]) -> None:
        originals = {(partition_of(m), offset_of(m)): m for m in self.events}
        for letter in self.dead_letters:
            number, offset = source_of(letter)
            original = originals[number, offset]
            assert headers_of(letter)["reason"] == expected[number].outcomes[offset].reason
            assert partition_of(letter) == number
            assert (letter.key(), letter.value()) == (original.key(), original.value())
            assert letter.timestamp()[1] == original.timestamp()[1]
            before = header_list(original)
            assert header_list(letter)[: len(before)] == before

    def _check_decisions(self, expected: Mapping[int, oracle.Result]) -> None:
        names = self.settings.topics
        for message, decision in self.decisions:
            number, offset = decision["source_partition"], decision["source_offset"]
            outcome = expected[number].outcomes[offset]
            for name in ("decision", "confidence", "scored_by", "action_published"):
                assert decision[name] == getattr(outcome, name), (decision, outcome)
            assert abs(decision["rule_score"] - outcome.rule_score) < TOLERANCE
            assert abs(decision["score"] - outcome.score) < TOLERANCE
            assert decision["features"].keys() == outcome.features.keys()
            for name, value in outcome.features.items():
                assert abs(decision["features"][name] - value) < TOLERANCE, (name, decision, outcome)
            assert decision["decision_id"] == f"{names.events}-{number}-{offset}"
            assert (decision["model_version"] is None) == (decision["scored_by"] == "RULES")
            assert (decision["fallback_reason"] is not None) == (decision["scored_by"] == "RULES")
            assert message.timestamp()[1] == decision["decided_at"]
            assert message.key() == decision["lead_id"].encode()
            assert message.headers() in (None, [])

    def _check_model_scores(self, expected: Mapping[int, oracle.Result]) -> None:
        """Each is what the version that the record names says of the oracle's features."""
        scored: dict[str, list[tuple[oracle.Features, float]]] = defaultdict(list)
        for _, decision in self.decisions:
            if decision["scored_by"] == "MODEL":
                outcome = expected[decision["source_partition"]].outcomes[decision["source_offset"]]
                scored[decision["model_version"]].append((outcome.features, decision["score"]))
        for version, found in scored.items():
            given = predicted(self.settings.model.directory / version, [features for features, _ in found])
            np.testing.assert_allclose([score for _, score in found], given, rtol=0.0, atol=MODEL_TOLERANCE)

    def _check_order(self) -> None:
        """Results stand in input order in each partition, which is more than order per lead."""
        decisions = [(partition_of(m), decision["source_offset"]) for m, decision in self.decisions]
        for results in (decisions, [source_of(letter) for letter in self.dead_letters]):
            last: dict[int, int] = {}
            for number, offset in results:
                assert offset > last.get(number, -1), f"partition {number}: {offset} stands behind {last[number]}"
                last[number] = offset

    def _check_actions(self) -> None:
        """Each action topic has the bytes of its decisions, in their order."""
        for decision, messages in self.actions.items():
            published = [m for m, d in self.decisions if d["action_published"] and d["decision"] == decision]
            assert by_partition(messages) == by_partition(published), decision

    def _check_profiles(self, expected: Mapping[int, oracle.Result]) -> None:
        latest: dict[tuple[int, bytes], bytes | None] = {}
        for message in self.changelog:
            latest[partition_of(message), message.key() or b""] = message.value()
        profiles = {place: self._profile.decode(value) for place, value in latest.items() if value is not None}
        wanted = {
            (number, lead_id.encode()): profile_datum(lead, self.settings.kafka.group_id)
            for number, result in expected.items()
            for lead_id, lead in result.profiles.items()
        }
        gone = {place for place, value in latest.items() if value is None}
        assert profiles.keys() == wanted.keys() - gone
        log_time_ms = max((m.timestamp()[1] for m in self.events), default=0)
        retention_ms = self.settings.state.retention_days * oracle.DAY_MS
        assert all(wanted[place]["last_seen_at"] + retention_ms <= log_time_ms for place in gone if place in wanted)
        for place, profile in profiles.items():
            assert profile == wanted[place]

    def _policy_path(self) -> Path:
        policy = self.settings.policy
        return policy.path or POLICIES / f"{policy.name}.toml"

    def _decisions_of_the_policy(self) -> list[str]:
        names = [band["decision"] for band in self.policy["bands"]]
        return [*names, self.policy["review"]["decision"]] if "review" in self.policy else names


def profile_datum(lead: Mapping[str, Any], group_id: str) -> dict[str, Any]:
    """The oracle's lead as a `LeadProfile`: ids become signed hashes."""
    ids = [int.from_bytes(xxhash.xxh3_64_digest(i.encode()), "big", signed=True) for i in lead["recent_event_ids"]]
    return {**lead, "group_id": group_id, "recent_event_ids": ids}


def by_partition(messages: Iterable[Message]) -> dict[int, list[tuple[bytes | None, bytes | None]]]:
    """The keys and values of each partition, in order."""
    found: dict[int, list[tuple[bytes | None, bytes | None]]] = defaultdict(list)
    for message in messages:
        found[partition_of(message)].append((message.key(), message.value()))
    return found


def predicted(bundle: Path, rows: Sequence[oracle.Features]) -> NDArray[np.float64]:
    """What a bundle's model says of `(n,)` rows of features, asked of its file alone: `(n,) float64` scores."""
    features = json.loads((bundle / "manifest.json").read_text())["features"]
    model = InferenceSession(bundle / "model.onnx")
    matrix = np.array([[row[name] for name in features] for row in rows], dtype=np.float32)
    probabilities: NDArray[np.float32] = model.run(["probabilities"], {model.get_inputs()[0].name: matrix})[0]
    return probabilities[:, 1].astype(np.float64)


def decoded(codec: Codec, value: bytes | None) -> dict[str, Any] | str:
    """The event, or the reason of its dead letter."""
    try:
        return codec.decode(value)
    except UndecodableError:
        return "undecodable"
    except UnknownSchemaError:
        return "unknown_schema"


def headers_of(letter: Message) -> dict[str, str]:
    """The scorer's own headers of a dead letter, by their last part."""
    prefix = "__lead_scorer.errors."
    own = [(name, value) for name, value in header_list(letter) if name.startswith(prefix)]
    return {name.removeprefix(prefix): (value or b"").decode() for name, value in own}


def header_list(message: Message) -> Headers:
    """Its headers in order, duplicates kept."""
    found: Headers = message.headers() or []  # type: ignore[assignment]
    return found


def source_of(letter: Message) -> tuple[int, int]:
    """Partition and offset that a dead letter came from."""
    headers = headers_of(letter)
    return int(headers["partition"]), int(headers["offset"])


def partition_of(message: Message) -> int:
    """Its partition."""
    number = message.partition()
    assert number is not None
    return number


def offset_of(message: Message) -> int:
    """Its offset."""
    offset = message.offset()
    assert offset is not None
    return offset

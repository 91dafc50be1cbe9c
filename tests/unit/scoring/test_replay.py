"""The whole of the pure core, put together as the loop does it, over any stream in any batches."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scoring.events import LeadEvent
from scoring.features import FEATURES, Observations, features, rule_scores
from scoring.gates import gate
from scoring.policy import Policy, Route
from scoring.profile import (
    Profile,
    apply,
    event_id_hash,
    expired,
    from_record,
    is_duplicate,
    pack,
    to_record,
    unpack,
)
from tests import oracle
from tests.unit.scoring.strategies import DAY_MS, NOON_MS, event_of, policies, policy_data, records, scores

WINDOW = 3
RETENTION_DAYS = 20
RETENTION_MS = RETENTION_DAYS * DAY_MS


@dataclass
class Core:
    """Gates, fold, features, score and routing of one partition; state at rest between batches."""

    policy: Policy
    model_scores: dict[int, float | None]
    state: dict[str, bytes] = field(default_factory=dict)
    outcomes: dict[int, tuple[Any, ...]] = field(default_factory=dict)

    def batch(self, batch: list[oracle.Record]) -> None:
        working: dict[str, Profile] = {}
        observations = Observations()
        accepted: list[tuple[int, LeadEvent, Profile]] = []
        for offset, key, value, append_ms in batch:
            reason = value if isinstance(value, str) else gate(cast(LeadEvent, value), key, append_ms)
            if reason is not None:
                self.outcomes[offset] = ("dead_letter", reason)
                continue
            event = cast(LeadEvent, value)
            lead_id = event["lead_id"]
            profile = working.get(lead_id)
            if profile is None:
                profile = unpack(self.state[lead_id]) if lead_id in self.state else Profile(last_seen_at=append_ms)
            if expired(profile, append_ms, RETENTION_MS):
                profile = Profile()
            hash8 = event_id_hash(event["event_id"])
            if is_duplicate(profile, hash8):
                self.outcomes[offset] = ("duplicate",)
                continue
            before = profile.last_activity_at
            apply(profile, event, hash8, offset=offset, append_ms=append_ms, dedup_window=WINDOW)
            observations.append(profile, event["occurred_at"], before)
            working[lead_id] = profile
            accepted.append((offset, event, profile))
        matrix = features(observations)
        for (offset, event, profile), row, rule_score in zip(
            accepted, matrix.tolist(), rule_scores(observations, matrix).tolist(), strict=True
        ):
            score = self.model_scores.get(offset)
            route = self._route(profile, event, rule_score if score is None else score, score is not None)
            self.outcomes[offset] = ("scored", row, rule_score, route.decision, route.confidence, route.publish)
        self.state |= {lead_id: pack(profile) for lead_id, profile in working.items()}

    def _route(self, profile: Profile, event: LeadEvent, score: float, by_model: bool) -> Route:
        route = self.policy.route(profile, score, by_model, event["event_type"], event["occurred_at"])
        if route.publish:
            self.policy.record_action(profile, route, event["occurred_at"])
        return route

    def restart(self) -> None:
        """State goes through the changelog's records and back."""
        datums = [to_record(lead_id, "g", unpack(packed)) for lead_id, packed in self.state.items()]
        restored = (from_record(datum, WINDOW) for datum in datums)
        self.state = {lead_id: pack(profile) for lead_id, _, profile in restored}


def split(stream: list[oracle.Record], cuts: list[int]) -> list[list[oracle.Record]]:
    """The stream in batches, cut where it is said, modulo its length."""
    places = sorted({cut % (len(stream) + 1) for cut in cuts} | {0, len(stream)})
    return [stream[start:end] for start, end in pairwise(places)]


def core_of(stream: list[oracle.Record], data: dict[str, Any], drawn: list[float | None], cuts: list[int]) -> Core:
    core = Core(Policy.from_mapping(data), scores_of(stream, drawn))
    for batch in split(stream, cuts):
        core.batch(batch)
    return core


def scores_of(stream: list[oracle.Record], drawn: list[float | None]) -> dict[int, float | None]:
    return {record.offset: drawn[i % len(drawn)] for i, record in enumerate(stream)}


model_scores = st.lists(st.none() | scores, min_size=1, max_size=7)
cuts = st.lists(st.integers(0, 1000), max_size=8)


@given(records(), policies(), model_scores, cuts)
def test_any_batch_split_gives_the_same(
    stream: list[oracle.Record], data: dict[str, Any], drawn: list[float | None], at: list[int]
) -> None:
    """Where the batches begin and end changes no outcome and no state, to the last bit."""
    whole = core_of(stream, data, drawn, [])
    parts = core_of(stream, data, drawn, at)
    one_by_one = core_of(stream, data, drawn, list(range(len(stream) + 1)))
    assert whole.outcomes == parts.outcomes == one_by_one.outcomes
    assert whole.state == parts.state == one_by_one.state


@given(records(), policies(), model_scores, st.integers(0, 1000))
def test_a_restart_changes_nothing(
    stream: list[oracle.Record], data: dict[str, Any], drawn: list[float | None], cut: int
) -> None:
    """State that went through the changelog leads to the same outcomes and the same state."""
    whole = core_of(stream, data, drawn, [cut])
    restarted = Core(Policy.from_mapping(data), scores_of(stream, drawn))
    for batch in split(stream, [cut]):
        restarted.batch(batch)
        restarted.restart()
    assert (restarted.outcomes, restarted.state) == (whole.outcomes, whole.state)


@given(records(), policies(), model_scores, cuts)
def test_the_core_agrees_with_the_oracle(
    stream: list[oracle.Record], data: dict[str, Any], drawn: list[float | None], at: list[int]
) -> None:
    """For any stream every outcome, feature, decision and final profile is that of the second implementation."""
    core = core_of(stream, data, drawn, at)
    expected = oracle.run(
        stream, data, dedup_window=WINDOW, retention_days=RETENTION_DAYS, scores=scores_of(stream, drawn)
    )
    assert core.outcomes.keys() == expected.outcomes.keys()
    for offset, outcome in expected.outcomes.items():
        assert_same(core.outcomes[offset], outcome)
    assert {lead_id: flat(lead_id, packed) for lead_id, packed in core.state.items()} == {
        lead_id: lead | {"recent_event_ids": [event_id_hash(e) for e in lead["recent_event_ids"]]}
        for lead_id, lead in expected.profiles.items()
    }


def assert_same(found: tuple[Any, ...], expected: oracle.Outcome) -> None:
    assert found[0] == expected.kind
    if expected.kind == "dead_letter":
        assert found[1] == expected.reason
    if expected.kind == "scored":
        _, row, rule_score, decision, confidence, publish = found
        assert row == pytest.approx([expected.features[name] for name in FEATURES], rel=1e-12, abs=0.0)
        assert (rule_score, decision, confidence, publish) == (
            expected.rule_score,
            expected.decision,
            expected.confidence,
            expected.action_published,
        )


def flat(lead_id: str, packed: bytes) -> dict[str, Any]:
    datum = to_record(lead_id, "g", unpack(packed))
    del datum["group_id"]
    datum["recent_event_ids"] = [n.to_bytes(8, "big", signed=True) for n in datum["recent_event_ids"]]
    return datum


def stream_of(*events: dict[str, Any], append_ms: int = NOON_MS) -> list[oracle.Record]:
    return [
        oracle.Record(offset, b"l", event_of(**{"event_id": f"e{offset}"} | event), append_ms)
        for offset, event in enumerate(events)
    ]


def decided(stream: list[oracle.Record]) -> dict[int, tuple[Any, ...]]:
    return core_of(stream, policy_data(), [None], []).outcomes


def test_a_duplicate_changes_nothing() -> None:
    """A duplicate between two events leaves the second's features as without it."""
    with_duplicate = decided(stream_of({}, {"event_id": "e0"}, {}))
    without = decided(stream_of({}, {}))
    assert with_duplicate[1] == ("duplicate",)
    assert with_duplicate[2] == without[1]


def test_a_duplicate_does_not_refresh_its_place() -> None:
    """An id that came again is forgotten when its first coming falls out of the window."""
    ids = ["a", "a", "b", "c", "d", "a"]
    outcomes = decided(stream_of(*({"event_id": event_id} for event_id in ids)))
    assert [outcomes[offset][0] for offset in range(6)] == ["scored", "duplicate", *["scored"] * 4]


def test_a_dead_letter_is_not_remembered() -> None:
    """An event that a gate refused does not make its mended repetition a duplicate."""
    outcomes = decided(stream_of({"event_id": "a", "company_headcount": -1}, {"event_id": "a"}))
    assert [outcomes[0], outcomes[1][0]] == [("dead_letter", "negative_headcount"), "scored"]


def test_a_late_event_is_scored_with_what_is_known() -> None:
    """An event from before the last activity counts, with 0 days since it, and does not take it back."""
    outcomes = decided(stream_of({}, {"occurred_at": NOON_MS - 30 * DAY_MS}, {"occurred_at": NOON_MS + 1}))
    days = [outcomes[offset][1][FEATURES.index("days_since_last_activity")] for offset in range(3)]
    assert days == [999.0, 0.0, 0.0]


def test_the_scores_are_python_floats_of_numpy() -> None:
    """What the outcomes hold can be encoded: plain floats, not numpy's."""
    (outcome,) = decided(stream_of({})).values()
    assert {type(value) for value in outcome[1]} == {float}
    assert not isinstance(outcome[2], np.floating)

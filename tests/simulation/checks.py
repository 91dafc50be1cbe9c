"""The invariants after a run: everything that the brokers hold is read and compared with the oracle's recomputation."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import xxhash

from consumer.dead_letters import OVERHEAD_BYTES
from schemas.codec import UndecodableError, UnknownSchemaError
from scoring.profile import to_record, unpack
from tests import oracle
from tests.simulation.cluster import DEAD_LETTERS, DECISIONS, EVENTS, GROUP, PROFILES, Cluster
from tests.simulation.instance import Instance
from tests.simulation.logs import Entry
from tests.simulation.model import POISON_MS, POLICY, WEIGHTS, codecs, policy
from tests.simulation.scenario import LARGE_BYTES

TOLERANCE = 1e-12
COMPARED = ("decision", "confidence", "scored_by", "action_published")


class BrokenError(AssertionError):
    """An invariant does not hold."""


def check(cluster: Cluster, instances: list[Instance]) -> None:
    """All invariants that hold once everything is caught up.

    Raises:
        BrokenError: One does not hold.
    """
    counted: Counter[str] = Counter()
    for number in range(cluster.scenario.partitions):
        found = _Partition(cluster, number)
        found.check()
        found.check_owner(instances)
        counted.update(outcome.kind for outcome in found.expected.outcomes.values())
    for (topic, number), log in cluster.logs.items():
        _hold(not log.hanging, f"{topic}-{number} has hanging transactions", log.hanging)
    seen: Counter[str] = sum((instance.counts.results for instance in instances), Counter())
    if cluster.scenario.has("state_loss"):
        del seen["duplicate"]  # where offsets were lost, those after the last outcome are found once more
    if cluster.scenario.has("skipped_markers"):
        return  # what was undone after it was told to be committed is counted twice
    _hold(not seen - counted, "more outcomes were counted than there are", seen - counted)


class _Partition:
    """One input partition with what became of it."""

    def __init__(self, cluster: Cluster, number: int) -> None:
        self.number, self._cluster = number, cluster
        self._retention_ms = cluster.scenario.retention_ms
        self.events = dict(cluster.events(number).committed())
        decode = codecs()[1].decode
        self.decisions = [(entry, decode(entry.value)) for _, entry in cluster.log((DECISIONS, number)).committed()]
        self.expected = self._expect()

    def check(self) -> None:
        self._check_offset()
        self._check_outcomes()
        for entry, decision in self.decisions:
            self._check_decision(entry, decision)
        self._check_actions()
        self._check_changelog()

    def check_owner(self, instances: list[Instance]) -> None:
        """The state that the owner holds in memory."""
        owner = self._cluster.group.owner_of(self.number)
        (instance,) = [instance for instance in instances if instance.process is owner]
        assert instance.loop is not None
        partition = instance.loop.assignment.partitions[self.number]
        held = {lead: to_record(lead, GROUP, unpack(packed)) for lead, packed in partition.leads.items()}
        _same(held, self._profiles(), f"{self}: state in memory beside the changelog")

    def __str__(self) -> str:
        return f"{EVENTS}-{self.number}"

    def _expect(self) -> oracle.Result:
        scores = {d["source_offset"]: d["score"] for _, d in self.decisions if d["scored_by"] == "MODEL"}
        return oracle.run(
            [self._record(offset, entry) for offset, entry in self.events.items()],
            POLICY,
            dedup_window=self._cluster.scenario.dedup_window,
            retention_days=self._retention_ms / oracle.DAY_MS,
            scores=scores,
        )

    def _record(self, offset: int, entry: Entry) -> oracle.Record:
        value: dict[str, Any] | str
        try:
            value = codecs()[0].decode(entry.value)
        except UndecodableError:
            value = "undecodable"
        except UnknownSchemaError:
            value = "unknown_schema"
        record = oracle.Record(offset, entry.key, value, entry.timestamp_ms)
        if isinstance(value, dict) and value["occurred_at"] % 1000 == POISON_MS and oracle.gate(record) is None:
            return record._replace(value="internal_error")
        return record

    def _check_offset(self) -> None:
        offset, metadata = self._cluster.group.offsets[self.number]
        _hold(offset == self._cluster.events(self.number).end, f"{self}: committed offset", offset)
        ids = {"events": self._cluster.topic_id(EVENTS), "profiles": self._cluster.topic_id(PROFILES)}
        _hold(ids.items() <= json.loads(metadata).items(), f"{self}: metadata", metadata)

    def _check_outcomes(self) -> None:
        """Each input record has one outcome, in the order of the input."""
        scored = [decision["source_offset"] for _, decision in self.decisions]
        letters = list(self._cluster.log((DEAD_LETTERS, self.number)).committed())
        buried = [_own_headers(letter) for _, letter in letters]
        outcomes = self.expected.outcomes
        _same(scored, [at for at, outcome in outcomes.items() if outcome.kind == "scored"], f"{self}: decisions")
        dead = [(str(at), outcome.reason) for at, outcome in outcomes.items() if outcome.kind == "dead_letter"]
        _same([(own["offset"], own["reason"]) for own in buried], dead, f"{self}: dead letters")
        for (_, letter), own in zip(letters, buried, strict=True):
            self._check_letter(letter, own)

    def _check_letter(self, letter: Entry, own: dict[str, str]) -> None:
        """As it was received, unless the topic cannot take it."""
        original = self.events[int(own["offset"])]
        kept = (letter.key, letter.timestamp_ms, (letter.headers or [])[: -len(own)])
        _same(kept, (original.key, original.timestamp_ms, original.headers or []), f"{self}: {own}")
        if letter.value != original.value:
            size = len(original.key or b"") + len(original.value or b"")
            _hold(letter.value is None and "dropped" in own["message"], f"{self}: {own}: value", letter.value)
            _hold(size > LARGE_BYTES - OVERHEAD_BYTES - 300, f"{self}: {own}: value dropped, of bytes", size)

    def _check_decision(self, entry: Entry, decision: dict[str, Any]) -> None:
        outcome = self.expected.outcomes[decision["source_offset"]]
        where = f"{self}: the decision on offset {decision['source_offset']}"
        for name in COMPARED:
            _same(decision[name], getattr(outcome, name), f"{where}: {name}")
        _same(decision["features"].keys(), outcome.features.keys(), f"{where}: features")
        for name, value in outcome.features.items():
            _close(decision["features"][name], value, f"{where}: {name}")
        _close(decision["rule_score"], outcome.rule_score, f"{where}: rule score")
        expected = outcome.rule_score
        if decision["scored_by"] == "MODEL":
            expected = sum(weight * outcome.features[name] for name, weight in WEIGHTS.items()) % 1.0
        _close(decision["score"], expected, f"{where}: score")
        _same(decision["decision_id"], f"{self}-{decision['source_offset']}", where)
        _same((entry.key, entry.headers), (decision["lead_id"].encode(), None), where)

    def _check_actions(self) -> None:
        for name in policy().decisions:
            published = [
                (entry.key, entry.value)
                for entry, decision in self.decisions
                if decision["action_published"] and decision["decision"] == name
            ]
            actions = self._cluster.log(("lead.actions." + name.replace("_", "-"), self.number)).committed()
            _same([(entry.key, entry.value) for _, entry in actions], published, f"{self}: actions {name}")

    def _check_changelog(self) -> None:
        found, expected = self._profiles(), self._expected_profiles()
        forgotten = {lead_id: expected.pop(lead_id) for lead_id in expected.keys() - found.keys()}
        _same(found, expected, f"{self}: changelog")
        too_early = [p for p in forgotten.values() if p["last_seen_at"] + self._retention_ms > self._cluster.now_ms()]
        _hold(not too_early, f"{self}: forgotten before their time", too_early)

    def _profiles(self) -> dict[str, dict[str, Any]]:
        """The changelog as compaction would leave it."""
        latest = {entry.key: entry.value for _, entry in self._cluster.log((PROFILES, self.number)).committed()}
        decode = codecs()[2].decode
        try:
            return {(key or b"").decode(): decode(value) for key, value in latest.items() if value is not None}
        except (UndecodableError, UnicodeDecodeError) as error:
            raise BrokenError(f"{self}: the changelog cannot be read: {error}") from error

    def _expected_profiles(self) -> dict[str, dict[str, Any]]:
        return {
            lead_id: {**lead, "group_id": GROUP, "recent_event_ids": [_hash(i) for i in lead["recent_event_ids"]]}
            for lead_id, lead in self.expected.profiles.items()
        }


def _hash(event_id: str) -> int:
    return int.from_bytes(xxhash.xxh3_64_digest(event_id.encode()), "big", signed=True)


def _own_headers(letter: Entry) -> dict[str, str]:
    prefix = "__lead_scorer.errors."
    return {n.removeprefix(prefix): (v or b"").decode() for n, v in letter.headers or [] if n.startswith(prefix)}


def _close(found: float, expected: float, what: str) -> None:
    _hold(abs(found - expected) <= TOLERANCE, what, f"{found}, expected {expected}")


def _same(found: object, expected: object, what: str) -> None:
    _hold(found == expected, what, f"\n  found    {found}\n  expected {expected}")


def _hold(holds: bool, what: str, detail: object = "") -> None:
    if not holds:
        raise BrokenError(f"{what}: {detail}" if detail != "" else what)

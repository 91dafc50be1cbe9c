"""Where a partition goes on, and whether its state and its input agree about it. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from consumer.assignment import Leads

REBUILD_HINT = "To go on with what the events topic still holds: `lead-scorer run --rebuild-state`"


@dataclass(frozen=True, slots=True)
class TopicIds:
    """Which topics the state belongs to: a topic that was recreated has another id."""

    events: str
    profiles: str

    def to_metadata(self, transaction: str = "") -> str:
        """What goes with each committed offset.

        Args:
            transaction: Tells the transaction from all others, so that one whose end is not known can be found again.
        """
        named = {"events": self.events, "profiles": self.profiles, "transaction": transaction}
        return json.dumps(named, separators=(",", ":"))


@dataclass(frozen=True, slots=True)
class Start:
    """What Kafka says about an input partition.

    Attributes:
        topic: The events topic.
        number: The partition.
        committed: The group's committed offset, None without one.
        metadata: What was committed with it.
        low: The first offset that the log still has.
        high: The log's end, to the last stable offset.
    """

    topic: str
    number: int
    committed: int | None
    metadata: str | None
    low: int
    high: int

    def named(self) -> dict[str, Any] | None:
        """The topic ids in the metadata; None if it names none."""
        try:
            named = json.loads(self.metadata or "")
        except ValueError:
            return None
        return named if isinstance(named, dict) else None


@dataclass(slots=True)
class Changelog:
    """A partition of the changelog, folded.

    Attributes:
        leads: The packed profiles.
        unreadable: By key, what is wrong with the latest value of a lead.
        last_offset: The highest input offset that a profile has applied.
    """

    leads: Leads = field(default_factory=dict)
    unreadable: dict[str, str] = field(default_factory=dict)
    last_offset: int = -1


def disagreement(start: Start, changelog: Changelog, ids: TopicIds) -> str | None:
    """Why the state must not be used with this input; None if all is well."""
    where = f"{start.topic}-{start.number}"
    if changelog.unreadable:
        return f"the changelog cannot be read: {next(iter(changelog.unreadable.values()))}"
    if start.committed is None:
        if changelog.leads:
            return (
                f"{where}: there are profiles of {len(changelog.leads)} leads but no committed offset: the group's "
                "offsets expired or were deleted"
            )
        return None
    return _offset_fault(start, where, start.committed, ids) or _state_fault(where, start.committed, changelog)


def _offset_fault(start: Start, where: str, committed: int, ids: TopicIds) -> str | None:
    named = start.named()
    if named is None:
        return (
            f"{where}: the committed offset {committed} was not written by this service (its metadata names no "
            "topics): the group's offsets were reset"
        )
    recreated = [role for role, topic_id in _roles(ids) if named.get(role) != topic_id]
    if recreated:
        return f"{where}: the {' and '.join(recreated)} topic was recreated since offset {committed} was committed"
    if committed < start.low:
        return (
            f"{where}: the committed offset is {committed}, but the log begins at {start.low}: "
            f"{start.low - committed} records were lost to retention before they were scored"
        )
    if committed > start.high:
        return f"{where}: the committed offset is {committed}, but the log ends at {start.high}: it was truncated"
    return None


def _state_fault(where: str, committed: int, changelog: Changelog) -> str | None:
    if changelog.last_offset < committed:
        return None
    return (
        f"{where}: the committed offset is {committed}, but the state has offset {changelog.last_offset} applied: the "
        "group's offsets went back"
    )


def _roles(ids: TopicIds) -> list[tuple[str, str]]:
    return [("events", ids.events), ("profiles", ids.profiles)]


@dataclass(frozen=True, slots=True)
class Plan:
    """How a partition whose state and input disagree goes on.

    Attributes:
        next_offset: The first record to be scored.
        keep: The changelog's profiles are right as they are; else events are folded from the log's start.
        lost_records: Records that were never scored and are gone.
    """

    next_offset: int
    keep: bool
    lost_records: int


def plan(start: Start, changelog: Changelog, ids: TopicIds, last_outcome: int) -> Plan:
    """What `--rebuild-state` does.

    The changelog is kept where only offsets were lost or records after it are gone. Otherwise, and where it cannot be
    read or is of another topic, the profiles are folded anew from what the events topic still holds.

    Args:
        start: What Kafka says.
        changelog: What was read of the changelog.
        ids: The topics as they are now.
        last_outcome: The highest input offset with a decision or a dead letter, -1 without one.
    """
    named = start.named() or {}
    same = named.get("events", ids.events) == ids.events
    if start.committed is not None and same and start.low <= start.committed <= start.high:
        keep = _trusted(changelog, named, ids) and changelog.last_offset < start.committed
        return Plan(start.committed, keep, 0)
    done = max(last_outcome, changelog.last_offset) + 1
    if not same or done > start.high:  # another life of the topic: nothing of it is done
        return Plan(start.low, keep=False, lost_records=0)
    reached = max(done, start.committed or 0)
    return Plan(max(reached, start.low), _trusted(changelog, named, ids), max(0, start.low - reached))


def _trusted(changelog: Changelog, named: dict[str, Any], ids: TopicIds) -> bool:
    return not changelog.unreadable and named.get("profiles", ids.profiles) == ids.profiles

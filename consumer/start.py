"""Where a partition goes on, and whether its state and its input agree about it. Pure."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from consumer.assignment import Leads
from scoring.profile import unpack

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
        """The topic ids in the metadata; None if it names none: it was not written by this service."""
        try:
            named = json.loads(self.metadata or "")
        except ValueError:
            return None
        return named if isinstance(named, dict) and named.keys() >= {"events", "profiles"} else None


class Mark(NamedTuple):
    """An input record that is done, as what it left behind tells.

    Attributes:
        offset: Where it was. Offsets begin anew when a topic is recreated, so more is needed to know it again.
        append_ms: Its append time; None where that is not told.
        event_id: Its event; None where that is not told.
    """

    offset: int
    append_ms: int | None = None
    event_id: str | None = None

    def is_of(self, offset: int, append_ms: int, event_id: str | None) -> bool:
        """Whether it tells of this record."""
        told = (self.offset, self.append_ms or append_ms, self.event_id or event_id)
        return told == (offset, append_ms, event_id)


@dataclass(slots=True)
class Changelog:
    """A partition of the changelog, folded.

    Attributes:
        leads: The packed profiles.
        unreadable: By key, what is wrong with the latest value of a lead.
        highest_offset: No profile has applied a higher input offset. Those that later ones replaced count: after a
            rebuild they may be of another life of the events topic.
    """

    leads: Leads = field(default_factory=dict)
    unreadable: dict[str, str] = field(default_factory=dict)
    highest_offset: int = -1

    def mark(self) -> Mark | None:
        """The last record that a profile has applied, None without a profile. Looks at each."""
        profiles = map(unpack, self.leads.values())
        last = max(profiles, key=lambda profile: profile.last_offset, default=None)
        return Mark(last.last_offset, append_ms=last.last_seen_at) if last is not None else None


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
    if changelog.highest_offset < committed or (mark := changelog.mark()) is None or mark.offset < committed:
        return None
    return (
        f"{where}: the committed offset is {committed}, but the state has offset {mark.offset} applied: the "
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


def plan(start: Start, changelog: Changelog, ids: TopicIds, held: Collection[Mark], lost: Collection[Mark]) -> Plan:
    """What `--rebuild-state` does.

    What has an outcome is not scored again, and what has none is scored, wherever the group's offset was moved to. The
    changelog is kept where only offsets were lost or records after it are gone. Otherwise, and where it cannot be read
    or is of another topic, the profiles are folded anew from what the events topic still holds.

    Args:
        start: What Kafka says.
        changelog: What was read of the changelog.
        ids: The topics as they are now.
        held: Marks of the changelog, the decisions and the dead letters that the events topic agrees with.
        lost: Those that it does not agree with: they are of another life of it.
    """
    named, mark = start.named(), changelog.mark()
    done = max((mark.offset for mark in held), default=-1) + 1
    if named is None:  # there is no offset, or one that a tool has set: it tells where to begin, and not what is done
        another_life = bool(lost) and not done
        reached = done or min(start.committed or 0, start.high)
        keep = mark in held if done else mark is None
    else:  # an offset of ours is past every outcome, and past duplicates, which leave none
        another_life = named["events"] != ids.events
        reached = max(done, start.committed or 0)
        keep = named["profiles"] == ids.profiles
    if another_life:
        return Plan(start.low, keep=False, lost_records=0)
    if reached > start.high:  # the log lost its end, and profiles may have applied what is gone
        return Plan(start.high, keep=False, lost_records=0)
    begun = start.committed is not None or done > 0  # a new group has lost nothing
    lost_records = max(0, start.low - reached) if begun else 0
    return Plan(max(reached, start.low), keep and not changelog.unreadable, lost_records)

"""An event history through the same gates, fold and features as serving: there is no second implementation."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, cast

from schemas.ndjson import EventError, parse_event
from scoring.events import LeadEvent
from scoring.features import Observations
from scoring.fold import Memory, fold
from scoring.gates import gate
from scoring.profile import Profile
from training.errors import DataRefusedError
from training.findings import Findings

Line = tuple[int, dict[str, object] | EventError]
"""A line's number and its event, or why it is none."""

AFTER_AS_OF: Final = "events after --as-of"


@dataclass(slots=True)
class Replay:
    """The accepted events of a history, one row each.

    Attributes:
        observations: What their features are computed from.
        event_ids: Their ids.
        leads: A number per lead, by row.
        known_at_ms: By row, the latest `occurred_at` of the lead so far: a late event is known no earlier than what
            came before it, and the history does not say when it was appended.
        profiles: Each lead's state after its last event; a lead's number is its place.
        first_ms: The first `occurred_at`.
        last_ms: The last one.
    """

    observations: Observations = field(default_factory=Observations)
    event_ids: list[str] = field(default_factory=list)
    leads: list[int] = field(default_factory=list)
    known_at_ms: list[int] = field(default_factory=list)
    profiles: dict[str, Profile] = field(default_factory=dict)
    first_ms: int | None = None
    last_ms: int | None = None


def read_events(path: Path) -> Iterator[Line]:
    """The lines of an NDJSON file of lead events; empty ones are passed over.

    Raises:
        DataRefusedError: The file cannot be read.
    """
    try:
        with path.open("rb") as file:
            for line, text in enumerate(file, start=1):
                if text.strip():
                    try:
                        yield line, parse_event(text)
                    except EventError as error:
                        yield line, error
    except OSError as error:
        raise DataRefusedError(f"{path} cannot be read: {error.strerror}") from error


def replay(lines: Iterable[Line], findings: Findings, *, now_ms: int, until_ms: int | None, memory: Memory) -> Replay:
    """Folds the events in the order of the lines, which has to be that of their offsets within each lead.

    Args:
        lines: Events as `read_events` gives them.
        findings: Takes what was rejected and left out.
        now_ms: The present: what occurred after it is rejected as `occurred_in_future`, since the history does not
            say when its records were appended.
        until_ms: Later events are left out; None takes all.
        memory: The service's.
    """
    result = Replay()
    numbers: dict[str, int] = {}
    for _, event_or_error in lines:
        findings.records += 1
        if isinstance(event_or_error, EventError):
            findings.rejected[event_or_error.code] += 1
            continue
        event = cast(LeadEvent, event_or_error)
        lead_id, occurred_at = event["lead_id"], event["occurred_at"]
        if until_ms is not None and occurred_at > until_ms:
            findings.left_out[AFTER_AS_OF] += 1
            continue
        if (reason := gate(event, lead_id.encode(), now_ms)) is not None:
            findings.rejected[reason] += 1
            findings.negative_ages += reason == "negative_account_age"
            continue
        known_at = _fold(result, event, memory)
        if known_at is None:
            findings.left_out["duplicates"] += 1
            continue
        result.event_ids.append(event["event_id"])
        result.leads.append(numbers.setdefault(lead_id, len(numbers)))
        result.known_at_ms.append(known_at)
        result.first_ms = occurred_at if result.first_ms is None else min(result.first_ms, occurred_at)
        result.last_ms = occurred_at if result.last_ms is None else max(result.last_ms, occurred_at)
    return result


def _fold(result: Replay, event: LeadEvent, memory: Memory) -> int | None:
    """Applies one event as the service does; when it was known, or None for a duplicate."""
    lead_id, occurred_at = event["lead_id"], event["occurred_at"]
    profile = result.profiles.get(lead_id)
    offset = 0 if profile is None else profile.last_offset + 1
    append_ms = occurred_at if profile is None else max(occurred_at, profile.last_seen_at)
    folded = fold(profile, event, offset, append_ms, memory)
    if folded is None:
        return None
    result.profiles[lead_id] = folded.profile
    result.observations.append(folded.profile, occurred_at, folded.previous_activity_at)
    return append_ms

"""One event into a lead's state: expiry, duplicate check, fold, in this order (contract 5)."""

from typing import NamedTuple

from scoring.events import LeadEvent
from scoring.profile import Profile, apply, event_id_hash, expired, is_duplicate


class Memory(NamedTuple):
    """How much of a lead is remembered.

    Attributes:
        dedup_window: Accepted event ids.
        retention_ms: A lead without an accepted event for so long, by append time, counts as new.
    """

    dedup_window: int
    retention_ms: int


class Folded(NamedTuple):
    """An accepted event.

    Attributes:
        profile: The lead's profile after it.
        previous_activity_at: `last_activity_at` before it, as the features want it.
    """

    profile: Profile
    previous_activity_at: int | None


_new = tuple.__new__  # half the time of the constructor of a NamedTuple, which is a Python function


def fold(profile: Profile | None, event: LeadEvent, offset: int, append_ms: int, memory: Memory) -> Folded | None:
    """Folds an event that is past the gates; None if it is a duplicate, which changes nothing.

    Args:
        profile: The lead's state, changed in place unless it has expired; None for a new lead.
        event: The event.
        offset: Its record's offset.
        append_ms: Its record's append time.
        memory: How much is remembered.

    Example:
        >>> event = {"event_id": "e", "lead_id": "l", "event_type": "PAGE_VISIT", "occurred_at": 5, "source": "",
        ...          "page_url": None, "email": None, "company_headcount": None, "created_at": None}
        >>> first = fold(None, event, 0, 7, Memory(32, 1000))
        >>> first.profile.page_visits, first.previous_activity_at
        (1, None)
        >>> fold(first.profile, event, 1, 8, Memory(32, 1000)) is None
        True
        >>> fold(first.profile, event, 2, 1007, Memory(32, 1000)).profile.page_visits  # forgotten meanwhile
        1
    """
    if profile is None or expired(profile, append_ms, memory.retention_ms):
        profile = Profile()
    hash8 = event_id_hash(event["event_id"])
    if is_duplicate(profile, hash8):
        return None
    previous_activity_at = profile.last_activity_at
    apply(profile, event, hash8, offset=offset, append_ms=append_ms, dedup_window=memory.dedup_window)
    return _new(Folded, (profile, previous_activity_at))

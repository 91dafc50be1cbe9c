"""A lead's state: a fold over its accepted events in offset order (contract 5), and its compact form at rest.

At rest a profile is one `bytes` object: a `dict[str, bytes]` per partition holds no object that the garbage collector
would have to visit, and a lead costs under 600 bytes with 32 remembered event ids.
"""

import struct
import sys
from dataclasses import dataclass, fields
from functools import lru_cache
from operator import attrgetter
from typing import Any, Final

import xxhash

from scoring.events import LeadEvent

HASH_BYTES: Final = 8


@dataclass(slots=True)
class Profile:
    """The working copy of one lead's state, changed in place; times in ms since 1970."""

    page_visits: int = 0
    email_opens: int = 0
    demo_requests: int = 0
    company_headcount: int | None = None  # 0 is a value: a company of unknown size
    created_at: int | None = None
    contactable: bool = False  # an e-mail address has been seen; the address itself is never kept
    last_activity_at: int | None = None
    last_action: str | None = None
    last_action_band: str | None = None
    last_action_at: int | None = None
    recent_event_ids: bytes = b""  # 8-byte hashes, the oldest first
    last_offset: int = -1
    last_seen_at: int = 0

    def copy(self) -> "Profile":
        """A second profile with the same values, which are all immutable."""
        return Profile(
            self.page_visits,
            self.email_opens,
            self.demo_requests,
            self.company_headcount,
            self.created_at,
            self.contactable,
            self.last_activity_at,
            self.last_action,
            self.last_action_band,
            self.last_action_at,
            self.recent_event_ids,
            self.last_offset,
            self.last_seen_at,
        )


def event_id_hash(event_id: str) -> bytes:
    """The 8 bytes that stand for an event id: XXH3-64 of its UTF-8 bytes, big-endian.

    Two of a lead's 33 ids collide with probability 3e-17.

    Example:
        >>> event_id_hash("e-1").hex()
        '3d21bc8729acd985'
    """
    return xxhash.xxh3_64_digest(event_id.encode())


def is_duplicate(profile: Profile, hash8: bytes) -> bool:
    """Whether the event id is among those that the profile remembers.

    Example:
        >>> is_duplicate(Profile(recent_event_ids=b"12345678abcdefgh"), b"abcdefgh")
        True
        >>> is_duplicate(Profile(recent_event_ids=b"12345678abcdefgh"), b"5678abcd")
        False
    """
    ids = profile.recent_event_ids
    at = ids.find(hash8)
    while at % HASH_BYTES and at != -1:  # found across two neighbours: not an id
        at = ids.find(hash8, at + 1)
    return at != -1


def apply(profile: Profile, event: LeadEvent, hash8: bytes, *, offset: int, append_ms: int, dedup_window: int) -> None:
    """Folds one accepted event into the profile, in place.

    Args:
        profile: The lead's state so far; a new lead's is `Profile()`.
        event: The event: past the gates, not a duplicate, at a higher offset than the one before.
        hash8: `event_id_hash` of its id.
        offset: Where the record stands in its partition.
        append_ms: When it was appended, in ms since 1970.
        dedup_window: How many event ids to remember.

    Example:
        >>> profile = Profile()
        >>> event = {"event_id": "e", "lead_id": "l", "event_type": "PAGE_VISIT", "occurred_at": 5, "source": "",
        ...          "page_url": None, "email": None, "company_headcount": 10, "created_at": None}
        >>> apply(profile, event, event_id_hash("e"), offset=0, append_ms=7, dedup_window=32)
        >>> profile.page_visits, profile.last_activity_at, profile.company_headcount
        (1, 5, None)
    """
    event_type = event["event_type"]
    if event_type == "PROFILE_UPDATE":
        _set_attributes(profile, event)
    else:
        if event_type == "PAGE_VISIT":
            profile.page_visits += 1
        elif event_type == "EMAIL_OPEN":
            profile.email_opens += 1
        elif event_type == "DEMO_REQUEST":
            profile.demo_requests += 1
        occurred_at = event["occurred_at"]
        last_activity_at = profile.last_activity_at
        if last_activity_at is None or occurred_at > last_activity_at:
            profile.last_activity_at = occurred_at
    ids = profile.recent_event_ids + hash8
    excess = len(ids) - HASH_BYTES * dedup_window
    profile.recent_event_ids = ids[excess:] if excess > 0 else ids
    profile.last_offset = offset
    profile.last_seen_at = append_ms


def _set_attributes(profile: Profile, event: LeadEvent) -> None:
    headcount = event["company_headcount"]
    if headcount is not None:
        profile.company_headcount = headcount
    created_at = event["created_at"]
    if created_at is not None:
        profile.created_at = created_at
    if event["email"]:  # an empty string is no address
        profile.contactable = True


def expired(profile: Profile, append_ms: int, retention_ms: int) -> bool:
    """Whether the lead has been without an accepted event for the retention time and so counts as new.

    To be asked before the duplicate check: a lead that is new remembers no event.
    """
    return append_ms - profile.last_seen_at >= retention_ms


_LAYOUT: Final = struct.Struct("<8qi?H")
_LAST_SEEN: Final = struct.Struct("<q")
_LAST_SEEN_AT: Final = 4 * _LAST_SEEN.size  # the fifth number of the layout
_NO_TIME: Final = -(2**63)  # no time: year 1 is at -6.2e13 ms
_NO_HEADCOUNT: Final = -(2**31)  # no headcount: the gate refuses negative ones
_NAME_LENGTH: Final = struct.Struct("<h")


def pack(profile: Profile) -> bytes:
    """The profile's form at rest, of this process only: 71 bytes, the decision names, the ids.

    Example:
        >>> unpack(pack(Profile(demo_requests=1))) == Profile(demo_requests=1)
        True
    """
    headcount = profile.company_headcount
    created_at = profile.created_at
    last_activity_at = profile.last_activity_at
    last_action_at = profile.last_action_at
    names = _pack_names(profile.last_action, profile.last_action_band)
    return (
        _LAYOUT.pack(
            profile.page_visits,
            profile.email_opens,
            profile.demo_requests,
            profile.last_offset,
            profile.last_seen_at,
            _NO_TIME if created_at is None else created_at,
            _NO_TIME if last_activity_at is None else last_activity_at,
            _NO_TIME if last_action_at is None else last_action_at,
            _NO_HEADCOUNT if headcount is None else headcount,
            profile.contactable,
            len(names),
        )
        + names
        + profile.recent_event_ids
    )


def last_seen_at(data: bytes) -> int:
    """The append time of the last accepted event in what `pack` made, without unpacking the rest.

    Example:
        >>> last_seen_at(pack(Profile(last_seen_at=7)))
        7
    """
    seen: int = _LAST_SEEN.unpack_from(data, _LAST_SEEN_AT)[0]
    return seen


def unpack(data: bytes) -> Profile:
    """The working copy of what `pack` made."""
    visits, opens, demos, offset, seen, created, activity, action_at, headcount, contactable, size = (
        _LAYOUT.unpack_from(data)
    )
    ids_at = _LAYOUT.size + size
    last_action, last_action_band = _unpack_names(data[_LAYOUT.size : ids_at])
    return Profile(
        visits,
        opens,
        demos,
        None if headcount == _NO_HEADCOUNT else headcount,
        None if created == _NO_TIME else created,
        contactable,
        None if activity == _NO_TIME else activity,
        last_action,
        last_action_band,
        None if action_at == _NO_TIME else action_at,
        data[ids_at:],
        offset,
        seen,
    )


@lru_cache(maxsize=1024)  # a policy has a handful of decisions: after the first leads every call is a lookup
def _pack_names(last_action: str | None, last_action_band: str | None) -> bytes:
    parts = []
    for name in (last_action, last_action_band):
        encoded = (name or "").encode()
        parts.append(_NAME_LENGTH.pack(-1 if name is None else len(encoded)) + encoded)
    return b"".join(parts)


@lru_cache(maxsize=1024)
def _unpack_names(data: bytes) -> tuple[str | None, str | None]:
    names: list[str | None] = []
    at = 0
    for _ in range(2):
        (length,) = _NAME_LENGTH.unpack_from(data, at)
        at += _NAME_LENGTH.size
        names.append(None if length < 0 else sys.intern(data[at : at + length].decode()))
        at += max(length, 0)
    return names[0], names[1]


def to_record(lead_id: str, group_id: str, profile: Profile) -> dict[str, Any]:
    """The `LeadProfile` datum (contract 4) that the changelog keeps; ids as signed 64-bit integers."""
    ids = profile.recent_event_ids
    return {
        "lead_id": lead_id,
        "group_id": group_id,
        "page_visits": profile.page_visits,
        "email_opens": profile.email_opens,
        "demo_requests": profile.demo_requests,
        "company_headcount": profile.company_headcount,
        "created_at": profile.created_at,
        "contactable": profile.contactable,
        "last_activity_at": profile.last_activity_at,
        "last_action": profile.last_action,
        "last_action_band": profile.last_action_band,
        "last_action_at": profile.last_action_at,
        "recent_event_ids": list(struct.unpack(f">{len(ids) // HASH_BYTES}q", ids)),
        "last_offset": profile.last_offset,
        "last_seen_at": profile.last_seen_at,
    }


_FIELD_NAMES: Final = tuple(field.name for field in fields(Profile))
_FIELDS: Final = attrgetter(*_FIELD_NAMES)


def to_columns(profiles: list[Profile]) -> dict[str, list[Any]]:
    """The fields of `to_record` for many profiles (at least one) at once, but the lead and the group; ids stay packed.

    Example:
        >>> columns = to_columns([Profile(page_visits=2, recent_event_ids=bytes(8)), Profile()])
        >>> columns["page_visits"], columns["recent_event_ids"] == [bytes(8), b""]
        ([2, 0], True)
    """
    columns = map(list, zip(*map(_FIELDS, profiles), strict=True))
    return dict(zip(_FIELD_NAMES, columns, strict=True))


def from_record(datum: dict[str, Any], dedup_window: int | None = None) -> tuple[str, str, Profile]:
    """Reads a `LeadProfile` datum.

    Args:
        datum: As `to_record` gives it and the codec decodes it.
        dedup_window: Keep the last so many ids only; needed where the window was made smaller since.

    Returns:
        The lead id, the group that the profile belongs to, and the profile.
    """
    ids = datum["recent_event_ids"]
    if dedup_window is not None:
        ids = ids[max(0, len(ids) - dedup_window) :]
    last_action, last_action_band = datum["last_action"], datum["last_action_band"]
    profile = Profile(
        page_visits=datum["page_visits"],
        email_opens=datum["email_opens"],
        demo_requests=datum["demo_requests"],
        company_headcount=datum["company_headcount"],
        created_at=datum["created_at"],
        contactable=datum["contactable"],
        last_activity_at=datum["last_activity_at"],
        last_action=last_action and sys.intern(last_action),
        last_action_band=last_action_band and sys.intern(last_action_band),
        last_action_at=datum["last_action_at"],
        recent_event_ids=struct.pack(f">{len(ids)}q", *ids),
        last_offset=datum["last_offset"],
        last_seen_at=datum["last_seen_at"],
    )
    return datum["lead_id"], datum["group_id"], profile

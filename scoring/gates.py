"""The record gates after decoding: what an event must be before it may change a lead (contract 5)."""

from typing import Final

from scoring.events import LeadEvent

ID_CODE_POINTS_MAX: Final = 256
AHEAD_MS_MAX: Final = 5 * 60_000
"""How far `occurred_at` may lie after the append: producers' clocks differ by seconds, seldom by minutes."""

REASONS: Final = (
    "empty_lead_id",
    "empty_event_id",
    "oversized",
    "key_mismatch",
    "occurred_in_future",
    "negative_account_age",
    "negative_headcount",
)
"""The reasons that `gate` gives, in the order in which it looks."""


def gate(event: LeadEvent, key: bytes | None, append_ms: int) -> str | None:
    """Names the first gate that the event fails, or None. The gates hold for every event type.

    Args:
        event: The decoded event.
        key: The record's key: must be exactly the UTF-8 bytes of the lead id.
        append_ms: When the broker appended the record, in ms since 1970.

    Example:
        >>> event = {"event_id": "e", "lead_id": "l", "event_type": "OTHER", "occurred_at": 0, "source": "",
        ...          "page_url": None, "email": None, "company_headcount": -1, "created_at": None}
        >>> gate(event, b"l", 0)
        'negative_headcount'
        >>> gate(event, None, 0)
        'key_mismatch'
    """
    lead_id = event["lead_id"]
    event_id = event["event_id"]
    if not lead_id:
        return "empty_lead_id"
    if not event_id:
        return "empty_event_id"
    if len(lead_id) > ID_CODE_POINTS_MAX or len(event_id) > ID_CODE_POINTS_MAX:
        return "oversized"
    if key != lead_id.encode():
        return "key_mismatch"
    occurred_at = event["occurred_at"]
    if occurred_at > append_ms + AHEAD_MS_MAX:
        return "occurred_in_future"
    created_at = event["created_at"]
    if created_at is not None and created_at > occurred_at:
        return "negative_account_age"
    headcount = event["company_headcount"]
    if headcount is not None and headcount < 0:
        return "negative_headcount"
    return None

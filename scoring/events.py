"""A lead event as the codec gives it (contract 4)."""

from typing import Final, TypedDict

EVENT_TYPES: Final = ("PAGE_VISIT", "EMAIL_OPEN", "DEMO_REQUEST", "PROFILE_UPDATE", "OTHER")
"""The symbols of `lead.EventType`, in the order of the schema."""


class LeadEvent(TypedDict):
    """One `LeadEvent`; every time is in milliseconds since 1970, negative before, year 1 to 9999."""

    event_id: str
    lead_id: str
    event_type: str
    occurred_at: int
    source: str
    page_url: str | None
    email: str | None
    company_headcount: int | None
    created_at: int | None

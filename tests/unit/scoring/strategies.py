"""Events, profiles, records and policies for the tests of the pure core, made by hand or by hypothesis."""

from __future__ import annotations

from typing import Any, cast

from hypothesis import strategies as st

from scoring.events import EVENT_TYPES, LeadEvent
from scoring.profile import Profile
from tests.oracle import Record

DAY_MS = 86_400_000
YEAR_1_MS = -62_135_596_800_000
YEAR_9999_MS = 253_402_300_799_999
NOON_MS = 1_735_732_800_000  # 2025-01-01T12:00:00Z
HEADCOUNT_EDGES = [None, 0, 1, 50, 51, 500, 501, 5000, 5001, 2**31 - 1]


def event_of(**fields: Any) -> LeadEvent:
    """A page visit of lead `l` at noon, with the fields that the test is about."""
    event = {
        "event_id": "e",
        "lead_id": "l",
        "event_type": "PAGE_VISIT",
        "occurred_at": NOON_MS,
        "source": "web",
        "page_url": None,
        "email": None,
        "company_headcount": None,
        "created_at": None,
    }
    assert fields.keys() <= event.keys()
    return cast(LeadEvent, event | fields)


def policy_data(**fields: Any) -> dict[str, Any]:
    """What the default policy's file contains, changed."""
    return {
        "name": "default",
        "bands": [
            {"decision": "disqualify", "below": 0.30},
            {"decision": "nurture", "below": 0.70},
            {"decision": "contact_now"},
        ],
        "confidence": {"high_from": 0.70, "high_below": 0.30, "low": [0.45, 0.50]},
        "review": {"decision": "manual_review", "confidence": ["LOW"]},
        "fallback": {"cap": "nurture"},
        "repeat_after_days": 7,
        "always_publish": ["DEMO_REQUEST"],
    } | fields


times = st.integers(YEAR_1_MS, YEAR_9999_MS)
names = st.one_of(st.none(), st.sampled_from(["nurture", "contact_now", ""]), st.text(max_size=80))
counts = st.integers(0, 2**63 - 1)

profiles = st.builds(
    Profile,
    page_visits=counts,
    email_opens=counts,
    demo_requests=counts,
    company_headcount=st.none() | st.integers(0, 2**31 - 1),
    created_at=st.none() | times,
    contactable=st.booleans(),
    last_activity_at=st.none() | times,
    last_action=names,
    last_action_band=names,
    last_action_at=st.none() | times,
    recent_event_ids=st.integers(0, 40).flatmap(lambda n: st.binary(min_size=8 * n, max_size=8 * n)),
    last_offset=st.integers(-1, 2**63 - 1),
    last_seen_at=times,
)

near_times = st.builds(
    lambda days, ms: NOON_MS + days * DAY_MS + ms, st.integers(-30, 30), st.sampled_from([-1, 0, 1, 300_000, 300_001])
)


def weighted(*choices: tuple[int, Any]) -> st.SearchStrategy[Any]:
    """One of the values, each as often as its weight says."""
    return st.sampled_from([value for weight, value in choices for _ in range(weight)])


# One in a dozen records is bad: most reach the fold, where leads meet again, ids repeat and times go back and forth.
_drafts = st.fixed_dictionaries(
    {
        "event_id": weighted(*((6, f"e{n}") for n in range(8)), (1, ""), (1, "ü" * 257)),
        "lead_id": weighted((40, "a"), (20, "b"), (10, "ü"), (1, ""), (1, "l" * 257)),
        "event_type": st.sampled_from(EVENT_TYPES),
        # to the append time
        "occurred_at": weighted((30, 0), (5, -1), (10, -DAY_MS), (5, -9 * DAY_MS), (2, 300_000), (1, 300_001)),
        "email": st.sampled_from([None, "", "someone@example.org"]),
        "company_headcount": weighted(*((5, headcount) for headcount in HEADCOUNT_EDGES), (1, -1)),
        "created_at": weighted((30, None), (15, -DAY_MS), (5, 0), (1, 1)),  # to the time of the event
    }
)
_silences = weighted(
    (20, 0), (20, 1000), (5, -5), (20, DAY_MS), (5, 7 * DAY_MS), (2, 20 * DAY_MS - 1), (2, 20 * DAY_MS)
)


@st.composite
def records(draw: st.DrawFn) -> list[Record]:
    """One partition's records: gaps between the offsets, bad records, duplicates, late events, long silences.

    Window and retention to see all of it with: 3 ids and 20 days.
    """
    made = []
    offset, append_ms = draw(st.integers(0, 5)), draw(st.sampled_from([NOON_MS, NOON_MS, -2 * DAY_MS]))
    for draft in draw(st.lists(_drafts, max_size=5) | st.lists(_drafts, min_size=15, max_size=40)):
        value = _dated(draft, append_ms)
        key = draw(weighted((30, value["lead_id"].encode()), (1, b"other"), (1, None)))
        made.append(Record(offset, key, draw(weighted((40, value), (1, "undecodable"))), append_ms))
        offset += draw(st.sampled_from([1, 1, 1, 2, 7]))
        append_ms += draw(_silences)
    return made


def _dated(draft: dict[str, Any], append_ms: int) -> LeadEvent:
    occurred_at = append_ms + draft["occurred_at"]
    created_at = draft["created_at"]
    return event_of(
        **draft | {"occurred_at": occurred_at, "created_at": None if created_at is None else occurred_at + created_at}
    )


edges = st.sampled_from([0.1, 0.3, 0.4, 0.45, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0])
scores = st.one_of(edges, st.sampled_from([0.0, 1.0]), st.floats(0.0, 1.0))


@st.composite
def policies(draw: st.DrawFn) -> dict[str, Any]:
    """What a valid policy's file may contain."""
    below = sorted(draw(st.sets(edges, max_size=4)))
    decisions = [f"d{n}" for n in range(len(below) + 1)]
    high_below, low_from, low_below, high_from = sorted(draw(st.tuples(edges, edges, edges, edges)))
    data: dict[str, Any] = {
        "name": "drawn",
        "bands": [{"decision": name, "below": edge} for name, edge in zip(decisions, below, strict=False)]
        + [{"decision": decisions[-1]}],
        "confidence": {"high_from": high_from, "high_below": high_below, "low": [low_from, low_below]},
        "repeat_after_days": draw(st.sampled_from([0, 0.5, 1, 7, 20])),
        "always_publish": draw(st.lists(st.sampled_from(EVENT_TYPES), max_size=2)),
    }
    if draw(st.booleans()):
        listed = st.lists(st.sampled_from(["HIGH", "MEDIUM", "LOW"]), min_size=1, max_size=3)
        data["review"] = {"decision": "review", "confidence": draw(listed)}
    if draw(st.booleans()):
        data["fallback"] = {"cap": draw(st.sampled_from(decisions))}
    return data

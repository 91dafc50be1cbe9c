"""Whether state and input agree, and how a state that does not is rebuilt."""

from __future__ import annotations

import pytest

from consumer.start import Changelog, Plan, Start, TopicIds, disagreement, plan

IDS = TopicIds("E", "P")
OTHER_EVENTS = TopicIds("E0", "P")
OTHER_PROFILES = TopicIds("E", "P0")


def start(committed: int | None, ids: TopicIds | None = IDS, low: int = 0, high: int = 100) -> Start:
    return Start("events", 3, committed, ids.to_metadata() if ids else None, low, high)


def changelog(last_offset: int = -1, leads: int = 0, unreadable: str = "") -> Changelog:
    return Changelog({f"lead-{n}": b"" for n in range(leads)}, {"x": unreadable} if unreadable else {}, last_offset)


@pytest.mark.parametrize(
    ("found", "state"),
    [
        (start(None), changelog()),
        (start(0), changelog()),
        (start(50), changelog()),
        (start(100), changelog(99, leads=3)),
        (start(50, low=50), changelog(49, leads=3)),
    ],
    ids=["new group", "crash in the first transaction", "dead letters only", "caught up", "retention just behind"],
)
def test_agreement(found: Start, state: Changelog) -> None:
    """None of the harmless situations of the contract is taken for a disagreement."""
    assert disagreement(found, state, IDS) is None


@pytest.mark.parametrize(
    ("found", "state", "says"),
    [
        (start(10, low=20), changelog(9, leads=1), "10 records were lost to retention"),
        (start(101), changelog(99, leads=1), "truncated"),
        (start(10, OTHER_EVENTS), changelog(9, leads=1), "events topic was recreated"),
        (start(10, OTHER_PROFILES), changelog(), "profiles topic was recreated"),
        (start(10, None), changelog(9, leads=1), "were reset"),
        (start(None), changelog(9, leads=2), "2 leads but no committed offset"),
        (start(10), changelog(10, leads=1), "went back"),
        (start(10), changelog(9, leads=1, unreadable="events-3 at offset 7: broken"), "at offset 7: broken"),
    ],
    ids=[
        "retention",
        "truncated",
        "events recreated",
        "profiles recreated",
        "reset",
        "expired",
        "went back",
        "damaged",
    ],
)
def test_disagreement_is_named(found: Start, state: Changelog, says: str) -> None:
    """Each disagreement of the contract is found, and named."""
    assert says in (disagreement(found, state, IDS) or "")


@pytest.mark.parametrize(
    ("found", "state", "last_outcome", "expected"),
    [
        (start(50), changelog(49, leads=1, unreadable="x"), 49, Plan(50, keep=False, lost_records=0)),
        (start(50, OTHER_PROFILES), changelog(), 49, Plan(50, keep=False, lost_records=0)),
        (start(None), changelog(49, leads=1), 47, Plan(50, keep=True, lost_records=0)),
        (start(None), changelog(40, leads=1), 47, Plan(48, keep=True, lost_records=0)),
        (start(10, low=20), changelog(9, leads=1), 9, Plan(20, keep=True, lost_records=10)),
        (start(50, OTHER_EVENTS), changelog(49, leads=1), 49, Plan(0, keep=False, lost_records=0)),
        (start(500, high=100), changelog(499, leads=1), 499, Plan(0, keep=False, lost_records=0)),
        (start(20), changelog(49, leads=1), 49, Plan(20, keep=False, lost_records=0)),
    ],
    ids=[
        "damaged changelog: fold up to the committed offset",
        "changelog recreated: fold up to the committed offset",
        "offsets expired: the changelog tells where it was",
        "offsets expired: a dead letter after the last profile tells",
        "records lost: the state is right, the gap is reported",
        "events recreated: from its start",
        "truncated: from its start",
        "went back: the state as of the committed offset",
    ],
)
def test_plan(found: Start, state: Changelog, last_outcome: int, expected: Plan) -> None:
    """What can be trusted is kept; the rest is folded from the events."""
    assert plan(found, state, IDS, last_outcome) == expected

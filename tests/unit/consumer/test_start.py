"""Whether state and input agree, and how a state that does not is rebuilt."""

from __future__ import annotations

import pytest

from consumer.start import Changelog, Mark, Plan, Start, TopicIds, disagreement, plan
from scoring.profile import Profile, pack

IDS = TopicIds("E", "P")
SEEN_MS = 1_000
OTHER_EVENTS = TopicIds("E0", "P")
OTHER_PROFILES = TopicIds("E", "P0")


def start(committed: int | None, ids: TopicIds | None = IDS, low: int = 0, high: int = 100) -> Start:
    metadata = ids.to_metadata() if ids and committed is not None else None
    return Start("events", 3, committed, metadata, low, high)


def changelog(last_offset: int = -1, leads: int = 0, unreadable: str = "") -> Changelog:
    packed = {f"lead-{n}": pack(Profile(last_offset=last_offset, last_seen_at=SEEN_MS)) for n in range(leads)}
    return Changelog(packed, {"x": unreadable} if unreadable else {}, last_offset)


@pytest.mark.parametrize(
    ("found", "state"),
    [
        (start(None), changelog()),
        (start(0), changelog()),
        (start(50), changelog()),
        (start(100), changelog(99, leads=3)),
        (start(50, low=50), changelog(49, leads=3)),
        (start(3), Changelog({"lead-0": pack(Profile(last_offset=2))}, highest_offset=999)),
    ],
    ids=[
        "new group",
        "crash in the first transaction",
        "dead letters only",
        "caught up",
        "retention just behind",
        "rebuilt, and the profiles of before are not yet compacted",
    ],
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


def test_a_mark_is_of_the_record_that_it_tells_of() -> None:
    """What it does not tell is not compared."""
    assert Mark(7, append_ms=5).is_of(7, 5, None)
    assert Mark(7, event_id="e").is_of(7, 5, "e")
    assert not Mark(7, append_ms=5).is_of(7, 6, None)
    assert not Mark(7, event_id="e").is_of(7, 5, "f")
    assert not Mark(7, event_id="e").is_of(7, 5, None)
    assert not Mark(7, append_ms=5).is_of(8, 5, None)


def marks(*offsets: int) -> set[Mark]:
    return {Mark(offset, append_ms=SEEN_MS) for offset in offsets}


@pytest.mark.parametrize(
    ("found", "state", "held", "lost", "expected"),
    [
        (start(50), changelog(49, leads=1, unreadable="x"), {49}, {}, Plan(50, keep=False, lost_records=0)),
        (start(50, OTHER_PROFILES), changelog(), {49}, {}, Plan(50, keep=False, lost_records=0)),
        (start(None), changelog(49, leads=1), {49, 47}, {}, Plan(50, keep=True, lost_records=0)),
        (start(None), changelog(40, leads=1), {40, 47}, {}, Plan(48, keep=True, lost_records=0)),
        (start(None), changelog(), {47}, {}, Plan(48, keep=False, lost_records=0)),
        (start(10, low=20), changelog(9, leads=1), {9}, {}, Plan(20, keep=True, lost_records=10)),
        (start(0, low=20), changelog(), {}, {}, Plan(20, keep=True, lost_records=20)),
        (start(50, OTHER_EVENTS), changelog(49, leads=1), {}, {49}, Plan(0, keep=False, lost_records=0)),
        (start(500, high=100), changelog(499, leads=1), {}, {499}, Plan(100, keep=False, lost_records=0)),
        (start(20), changelog(49, leads=1), {49}, {}, Plan(50, keep=True, lost_records=0)),
        (start(20, None), changelog(49, leads=1), {49, 52}, {}, Plan(53, keep=True, lost_records=0)),
        (start(80, None), changelog(49, leads=1), {49}, {}, Plan(50, keep=True, lost_records=0)),
        (start(80, None, low=60), changelog(49, leads=1), {49}, {}, Plan(60, keep=True, lost_records=10)),
        (start(80, None), changelog(), {}, {}, Plan(80, keep=True, lost_records=0)),
        (start(180, None), changelog(), {}, {}, Plan(100, keep=True, lost_records=0)),
        (start(None, low=60), changelog(unreadable="x"), {}, {}, Plan(60, keep=False, lost_records=0)),
        (start(None), changelog(49, leads=1), {}, {49}, Plan(0, keep=False, lost_records=0)),
        (start(None), changelog(49, leads=1), {19}, {49}, Plan(20, keep=False, lost_records=0)),
    ],
    ids=[
        "damaged changelog: fold up to the committed offset",
        "changelog recreated: fold up to the committed offset",
        "offsets expired: the changelog tells where it was",
        "offsets expired: a dead letter after the last profile tells",
        "offsets expired and changelog recreated: fold up to the last outcome",
        "records lost: the state is right, the gap is reported",
        "records lost before the first was scored",
        "events recreated: from its start",
        "truncated: what is left has its outcomes",
        "went back: what is done stays done",
        "reset backwards: what is done stays done",
        "reset forwards: what is not done is not skipped",
        "reset forwards past what is gone",
        "reset before anything was done: the operator says where to begin",
        "reset to past the end before anything was done",
        "damaged before anything was done",
        "events recreated, which took the offsets along: from its start",
        "events recreated, scored for a while, offsets expired: the decisions tell where it was",
    ],
)
def test_plan(found: Start, state: Changelog, held: set[int], lost: set[int], expected: Plan) -> None:
    """What can be trusted is kept, the rest is folded from the events; nothing is scored twice or skipped."""
    assert plan(found, state, IDS, marks(*held), marks(*lost)) == expected

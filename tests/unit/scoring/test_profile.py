"""The fold: what each event changes in a profile, the duplicate check, and when a lead counts as new."""

from __future__ import annotations

from typing import Any

import pytest
import xxhash

from scoring.profile import Profile, apply, event_id_hash, expired, is_duplicate
from tests.unit.scoring.strategies import NOON_MS, event_of


def fold(profile: Profile, *, dedup_window: int = 32, **fields: Any) -> Profile:
    event = event_of(**fields)
    apply(profile, event, event_id_hash(event["event_id"]), offset=7, append_ms=NOON_MS + 1, dedup_window=dedup_window)
    return profile


@pytest.mark.parametrize(
    ("event_type", "counts"),
    [
        ("PAGE_VISIT", (1, 0, 0)),
        ("EMAIL_OPEN", (0, 1, 0)),
        ("DEMO_REQUEST", (0, 0, 1)),
        ("PROFILE_UPDATE", (0, 0, 0)),
        ("OTHER", (0, 0, 0)),
    ],
)
def test_each_type_counts_its_own(event_type: str, counts: tuple[int, int, int]) -> None:
    """Visits, opens and demo requests add one to their count; the rest to none."""
    profile = fold(Profile(), event_type=event_type)
    assert (profile.page_visits, profile.email_opens, profile.demo_requests) == counts


@pytest.mark.parametrize("event_type", ["PAGE_VISIT", "EMAIL_OPEN", "DEMO_REQUEST", "OTHER"])
def test_activity(event_type: str) -> None:
    """Every type but PROFILE_UPDATE is activity."""
    assert fold(Profile(), event_type=event_type).last_activity_at == NOON_MS


def test_an_update_is_not_activity() -> None:
    """PROFILE_UPDATE leaves the time of the last activity alone."""
    assert fold(Profile(last_activity_at=5), event_type="PROFILE_UPDATE").last_activity_at == 5


def test_a_late_event_does_not_take_activity_back() -> None:
    """The last activity is the greatest time so far, not that of the last event."""
    assert fold(Profile(last_activity_at=NOON_MS + 1)).last_activity_at == NOON_MS + 1


def test_activity_before_1970() -> None:
    """Negative times are times: the later of two counts, and 0 is no absence."""
    profile = fold(Profile(last_activity_at=-10), occurred_at=-3)
    assert profile.last_activity_at == -3
    assert fold(Profile(last_activity_at=0), occurred_at=-3).last_activity_at == 0


def test_an_update_sets_what_it_carries() -> None:
    """Attributes that are given replace those that stand."""
    profile = fold(
        Profile(company_headcount=5, created_at=1),
        event_type="PROFILE_UPDATE",
        company_headcount=9,
        created_at=2,
        email="someone@example.org",
    )
    assert (profile.company_headcount, profile.created_at, profile.contactable) == (9, 2, True)


def test_an_update_leaves_what_it_does_not_carry() -> None:
    """A null attribute is not carried."""
    profile = fold(Profile(company_headcount=5, created_at=1, contactable=True), event_type="PROFILE_UPDATE")
    assert (profile.company_headcount, profile.created_at, profile.contactable) == (5, 1, True)


def test_headcount_zero_is_a_value() -> None:
    """A headcount of 0 replaces a size that was known, and is not None."""
    assert fold(Profile(company_headcount=5), event_type="PROFILE_UPDATE", company_headcount=0).company_headcount == 0


def test_created_in_1970_is_a_value() -> None:
    """A creation time of 0 ms is carried."""
    assert fold(Profile(), event_type="PROFILE_UPDATE", created_at=0).created_at == 0


def test_an_empty_string_is_no_address() -> None:
    """Only a non-empty e-mail makes a lead contactable."""
    assert not fold(Profile(), event_type="PROFILE_UPDATE", email="").contactable


@pytest.mark.parametrize("event_type", ["PAGE_VISIT", "EMAIL_OPEN", "DEMO_REQUEST", "OTHER"])
def test_attributes_on_other_types_are_ignored(event_type: str) -> None:
    """Only PROFILE_UPDATE sets attributes."""
    profile = fold(Profile(), event_type=event_type, company_headcount=9, created_at=2, email="someone@example.org")
    assert (profile.company_headcount, profile.created_at, profile.contactable) == (None, None, False)


def test_the_address_is_not_kept() -> None:
    """No field of the profile holds any of the e-mail address."""
    profile = fold(Profile(), event_type="PROFILE_UPDATE", email="someone@example.org")
    assert "someone" not in repr(profile)


def test_offset_and_append_time_are_noted() -> None:
    """The profile knows the last offset applied and when it was appended."""
    profile = fold(Profile())
    assert (profile.last_offset, profile.last_seen_at) == (7, NOON_MS + 1)


def test_the_window_is_first_in_first_out() -> None:
    """Past the window the oldest id is forgotten and the others are not."""
    profile = Profile()
    for event_id in ("e1", "e2", "e3"):
        fold(profile, event_id=event_id, dedup_window=2)
    assert [is_duplicate(profile, event_id_hash(e)) for e in ("e1", "e2", "e3")] == [False, True, True]


def test_every_type_is_remembered() -> None:
    """The id of a PROFILE_UPDATE counts as that of any event."""
    profile = fold(Profile(), event_type="PROFILE_UPDATE", event_id="u")
    assert is_duplicate(profile, event_id_hash("u"))


def test_a_smaller_window_forgets_at_the_next_event() -> None:
    """A window made smaller drops all that is past it, not one id an event."""
    profile = Profile(recent_event_ids=b"".join(event_id_hash(f"e{n}") for n in range(10)))
    assert len(fold(profile, dedup_window=3).recent_event_ids) == 3 * 8


def test_no_window_remembers_nothing() -> None:
    """With a window of 0 nothing is a duplicate."""
    assert fold(Profile(), dedup_window=0).recent_event_ids == b""


def test_a_hash_across_two_ids_is_not_found() -> None:
    """Bytes that happen to stand across two neighbouring ids are no duplicate; the same bytes as an id are."""
    neighbours = b"12345678abcdefgh"
    assert not is_duplicate(Profile(recent_event_ids=neighbours), b"5678abcd")
    assert is_duplicate(Profile(recent_event_ids=neighbours + b"5678abcd"), b"5678abcd")


def test_the_first_id_is_found() -> None:
    """The oldest id, at place 0, is a duplicate as any."""
    assert is_duplicate(Profile(recent_event_ids=b"12345678abcdefgh"), b"12345678")


def test_a_new_lead_has_no_duplicate() -> None:
    """A lead that remembers nothing has no duplicate."""
    assert not is_duplicate(Profile(), event_id_hash("e"))


def test_ids_beyond_ascii() -> None:
    """The hash is XXH3-64 of the UTF-8 bytes, big-endian, so that any implementation can compute it."""
    assert int.from_bytes(event_id_hash("ü"), "big") == xxhash.xxh3_64_intdigest(b"\xc3\xbc")


@pytest.mark.parametrize(("silence_ms", "new"), [(999, False), (1000, True), (-5, False)])
def test_a_lead_expires_after_the_retention(silence_ms: int, new: bool) -> None:
    """A lead without an event for exactly the retention counts as new; an append time that goes back does not harm."""
    assert expired(Profile(last_seen_at=NOON_MS), NOON_MS + silence_ms, 1000) is new


def test_a_copy_is_equal_and_its_own() -> None:
    """Changing a copy leaves the original as it was."""
    original = fold(Profile(last_action="a", last_action_band="b", last_action_at=3))
    copied = original.copy()
    assert copied == original
    fold(copied, event_id="another")
    assert copied.page_visits == 2
    assert original.page_visits == 1

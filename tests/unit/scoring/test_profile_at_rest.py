"""A profile at rest: nothing is lost on the way to bytes or to a record and back, and a lead stays small."""

from __future__ import annotations

import gc
import tracemalloc

import pytest
from hypothesis import given

from scoring.profile import Profile, event_id_hash, from_record, pack, to_record, unpack
from tests.unit.scoring.strategies import NOON_MS, profiles


@given(profiles)
def test_packing_loses_nothing(profile: Profile) -> None:
    """What was packed comes out equal: any time, any name, None and zero apart."""
    assert unpack(pack(profile)) == profile


@given(profiles)
def test_a_record_loses_nothing(profile: Profile) -> None:
    """What the changelog keeps gives the same profile, for the same lead and group."""
    assert from_record(to_record("lead", "group", profile)) == ("lead", "group", profile)


@pytest.mark.parametrize("headcount", [None, 0, 2**31 - 1])
def test_no_headcount_and_none_are_apart(headcount: int | None) -> None:
    """None, 0 and the largest int survive as what they are."""
    assert unpack(pack(Profile(company_headcount=headcount))).company_headcount == headcount


def test_ids_are_signed_longs() -> None:
    """The changelog's ids are the 64-bit hashes as Avro longs."""
    datum = to_record("l", "g", Profile(recent_event_ids=bytes([255] * 8 + [0] * 7 + [1])))
    assert datum["recent_event_ids"] == [-1, 1]


def test_a_smaller_window_keeps_the_latest_ids() -> None:
    """Read with a smaller window, a profile forgets its oldest ids."""
    datum = to_record("l", "g", Profile(recent_event_ids=b"".join(n.to_bytes(8, "big") for n in (1, 2, 3))))
    *_, profile = from_record(datum, dedup_window=2)
    assert profile.recent_event_ids == b"".join(n.to_bytes(8, "big") for n in (2, 3))


def test_names_are_shared() -> None:
    """A million leads with the same decision hold one string: names come back interned, from bytes and from records."""
    packed = pack(Profile(last_action="contact_now", last_action_band="contact_now"))
    datum = to_record("l", "g", unpack(packed)) | {"last_action": "".join(["contact", "_now"])}
    assert unpack(packed).last_action is unpack(bytes(packed)).last_action is from_record(datum)[2].last_action


@pytest.mark.parametrize("ids", [10, 32])
def test_a_lead_costs_less_than_600_bytes(ids: int) -> None:
    """All in: the profile's bytes, a key as long as a UUID, and its place in the dictionary."""
    recent = b"".join(event_id_hash(f"e{n}") for n in range(ids))
    profile = Profile(3, 2, 1, 800, NOON_MS, True, NOON_MS, "manual_review", "nurture", NOON_MS, recent, 99, NOON_MS)
    n_leads = 11_000  # just past a growth of the dictionary: its worst
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        leads = {f"{n:036d}": pack(profile) for n in range(n_leads)}
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (after - before) / len(leads) < 600


def test_the_collector_does_not_visit_leads() -> None:
    """A dictionary of leads at rest is not tracked by the garbage collector, however many it holds."""
    leads = {str(n): pack(Profile(page_visits=n)) for n in range(100)}
    gc.collect()
    assert not gc.is_tracked(leads)

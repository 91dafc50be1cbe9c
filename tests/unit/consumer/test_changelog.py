"""The changelog read back: the committed state of the leads, to its very end."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from confluent_kafka import KafkaError, KafkaException, Message
from hypothesis import given
from hypothesis import strategies as st

from consumer.changelog import ChangelogReader, OpenTransactionError
from consumer.start import Changelog
from runtime.errors import StateError
from scoring.profile import Profile, pack, to_record, unpack
from tests.unit.consumer.bench import GROUP, PROFILES, codec
from tests.unit.consumer.fakes import FakeAdmin, FakeConsumer, end, message, told


def profile_message(
    offset: int, lead_id: str, profile: Profile, *, key: bytes | None = None, group: str = GROUP
) -> Message:
    value = codec("profile").encode(to_record(lead_id, group, profile))
    return message(offset, topic=PROFILES, key=lead_id.encode() if key is None else key, value=value)


def tombstone(offset: int, lead_id: str) -> Message:
    return message(offset, topic=PROFILES, key=lead_id.encode(), value=None)


def damaged(offset: int, lead_id: str) -> Message:
    return message(offset, topic=PROFILES, key=lead_id.encode(), value=b"no avro")


class Bench:
    """A reader of a log whose last record is followed by so many control records."""

    def __init__(self, *log: Message, behind: int = 0, stable: list[int] | None = None, dedup_window: int = 32) -> None:
        high = max((found.offset() or 0 for found in log), default=-1) + 1 + behind
        self.consumer = FakeConsumer({(PROFILES, 0): [*log, end(high, topic=PROFILES)]})
        self.admin = FakeAdmin({0: high}, None if stable is None else {0: stable})
        self.passed: list[str] = []
        self.reader = ChangelogReader(
            self.consumer.reader(),
            self.admin.client,
            codec("profile"),
            PROFILES,
            GROUP,
            dedup_window=dedup_window,
            at=self.passed.append,
        )

    def read(self, stop: Callable[[], bool] = lambda: False) -> Changelog:
        found = self.reader.read(0, stop)
        assert found is not None
        return found


def test_the_latest_profile_of_each_lead() -> None:
    """Packed as the state holds it."""
    found = Bench(
        profile_message(0, "a", Profile(page_visits=1)),
        profile_message(1, "ü", Profile(page_visits=5)),
        profile_message(2, "a", Profile(page_visits=2)),
    ).read()
    assert found.leads == {"a": pack(Profile(page_visits=2)), "ü": pack(Profile(page_visits=5))}
    assert found.unreadable == {}


def test_a_tombstone_forgets_the_lead() -> None:
    """Until a later profile; one for a lead that was not there is harmless."""
    found = Bench(
        profile_message(0, "a", Profile()),
        profile_message(1, "b", Profile()),
        tombstone(2, "a"),
        tombstone(3, "b"),
        tombstone(4, "c"),
        profile_message(5, "b", Profile(page_visits=9)),
    ).read()
    assert found.leads == {"b": pack(Profile(page_visits=9))}


def test_an_end_that_comes_too_early_is_none() -> None:
    """A replica that is behind, or a leader that does not know of its end yet, has more to come."""
    bench = Bench(profile_message(0, "a", Profile(page_visits=1)), profile_message(1, "a", Profile(page_visits=2)))
    log = bench.consumer.logs[PROFILES, 0]
    log.insert(1, end(1, topic=PROFILES))
    assert bench.read().leads == {"a": pack(Profile(page_visits=2))}


def test_the_highest_input_offset_that_was_applied() -> None:
    """Of any profile, one that was superseded or forgotten since included."""
    found = Bench(
        profile_message(0, "a", Profile(last_offset=17)),
        profile_message(1, "b", Profile(last_offset=4)),
        tombstone(2, "a"),
    ).read()
    assert found.highest_offset == 17


def test_an_empty_changelog_is_not_read() -> None:
    """Nor polled for: there is nothing to wait for."""
    bench = Bench()
    assert bench.read() == Changelog()
    assert bench.consumer.calls == []


def test_a_changelog_with_aborted_records_only() -> None:
    """It has an end and no record: the end of the partition tells."""
    assert Bench(behind=4).read() == Changelog()


@pytest.mark.parametrize("behind", [0, 1, 5])
def test_the_end_may_lie_behind_control_records(behind: int) -> None:
    """Which no record's offset tells, and compaction may have removed."""
    assert set(Bench(profile_message(0, "a", Profile()), behind=behind).read().leads) == {"a"}


def test_what_is_appended_later_is_not_waited_for() -> None:
    """The end is that of the moment when it was asked for: its last record ends the reading by itself."""
    bench = Bench(profile_message(0, "a", Profile()), profile_message(1, "b", Profile()))
    bench.consumer.logs[PROFILES, 0].pop()  # no end of the partition comes
    stops = iter([False] * 3)
    assert set(bench.read(lambda: next(stops, True)).leads) == {"a", "b"}


def test_an_open_transaction_puts_it_off() -> None:
    """A commit marker may be missing here while the input's offset is committed: nothing is read before."""
    bench = Bench(profile_message(0, "a", Profile()), behind=1, stable=[0, 2])
    with pytest.raises(OpenTransactionError):
        bench.read()
    assert bench.consumer.calls == []
    assert set(bench.read().leads) == {"a"}


def test_reading_ends_when_it_is_stopped() -> None:
    """And the client is left without an assignment, for the next partition."""
    bench = Bench(profile_message(0, "a", Profile()))
    assert bench.reader.read(0, lambda: True) is None
    assert bench.consumer.calls[-1][0] == "unassign"


def test_a_client_that_failed_is_left() -> None:
    """The next partition is read by another one."""
    bench = Bench(profile_message(0, "a", Profile()))
    bench.consumer.logs[PROFILES, 0].insert(0, told(KafkaError._TRANSPORT, topic=PROFILES))
    with pytest.raises(KafkaException):
        bench.read()
    assert bench.consumer.closed


# --- what cannot be used ---


def test_a_value_that_cannot_be_read_is_named() -> None:
    """With its place, for the operator; the others are there."""
    found = Bench(profile_message(0, "a", Profile()), damaged(1, "b")).read()
    assert set(found.leads) == {"a"}
    assert found.unreadable == {
        "b": f"{PROFILES}-0 at offset 1: UndecodableError: begins neither with C3 01 nor with 00"
    }


@pytest.mark.parametrize("then", [lambda: profile_message(2, "a", Profile()), lambda: tombstone(2, "a")])
def test_a_later_value_supersedes_one_that_cannot_be_read(then: Callable[[], Message]) -> None:
    """Compaction would have removed it."""
    assert Bench(profile_message(0, "a", Profile()), damaged(1, "a"), then()).read().unreadable == {}


def test_a_value_that_cannot_be_read_is_not_the_one_before() -> None:
    """The older profile is not the lead's state: going on with it would be silent loss."""
    found = Bench(profile_message(0, "a", Profile()), damaged(1, "a")).read()
    assert ("a" in found.leads, "a" in found.unreadable) == (False, True)


def test_a_profile_under_another_leads_key() -> None:
    """Cannot be used, and is named by the key: what would be written over it."""
    found = Bench(profile_message(0, "a", Profile(), key=b"b")).read()
    assert (found.leads, list(found.unreadable)) == ({}, ["b"])
    assert "its key is not its lead" in found.unreadable["b"]


def test_a_key_that_is_no_text() -> None:
    """Comes back as the same bytes when a tombstone is written for it."""
    (key,) = Bench(profile_message(0, "a", Profile(), key=b"\xff\xfe")).read().unreadable
    assert key.encode(errors="surrogateescape") == b"\xff\xfe"


def test_what_the_brokers_keep_damaged_ends() -> None:
    """A checksum that is wrong stays wrong: no try reads it, and nothing may be started without it."""
    with pytest.raises(StateError, match=r"lead\.profiles-0: (.|\n)*--rebuild-state"):
        Bench(told(KafkaError._BAD_MSG, topic=PROFILES), profile_message(1, "a", Profile())).read()


def test_another_groups_profile_ends() -> None:
    """Exit 5, with both groups and what to do; its value is readable and would be taken for ours."""
    with pytest.raises(StateError, match=r"belongs to 'other', this is 'lead-scorer'.*topics.profiles") as caught:
        Bench(profile_message(0, "a", Profile(), group="other")).read()
    assert caught.value.exit_code == 5


def test_a_smaller_window_keeps_the_latest_ids() -> None:
    """Where `state.dedup_window` was made smaller since."""
    ids = b"".join(bytes([n]) * 8 for n in range(5))
    found = Bench(profile_message(0, "a", Profile(recent_event_ids=ids)), dedup_window=2).read()
    assert unpack(found.leads["a"]).recent_event_ids == ids[-16:]


def test_a_drill_passes_here() -> None:
    """A crash in the midst of a restore can be rehearsed."""
    bench = Bench(profile_message(0, "a", Profile()))
    bench.read()
    assert set(bench.passed) == {"in_restore"}


# --- any changelog ---

LEADS = ["a", "b", "c"]
values = st.none() | st.just("damaged") | st.integers(0, 99)


@given(st.lists(st.tuples(st.sampled_from(LEADS), values), max_size=12), st.integers(0, 3))
def test_the_changelog_is_a_dictionary_written_as_a_log(log: list[tuple[str, int | str | None]], behind: int) -> None:
    """Whatever is in it, each lead has what its last value says: a profile, nothing, or a fault."""
    made = []
    for offset, (lead_id, value) in enumerate(log):
        if value is None:
            made.append(tombstone(offset, lead_id))
        elif isinstance(value, str):
            made.append(damaged(offset, lead_id))
        else:
            made.append(profile_message(offset, lead_id, Profile(page_visits=value)))
    last = dict(log)
    found = Bench(*made, behind=behind).read()
    assert {lead_id: unpack(packed).page_visits for lead_id, packed in found.leads.items()} == {
        lead_id: value for lead_id, value in last.items() if isinstance(value, int)
    }
    assert set(found.unreadable) == {lead_id for lead_id, value in last.items() if value == "damaged"}

"""Dead letters byte for byte, and the guard that stops a flood of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer import dead_letters
from consumer.dead_letters import (
    GATE_MESSAGES,
    HEADER_PREFIX,
    OVERHEAD_BYTES,
    RATIO_WINDOW_RECORDS,
    VALUE_DROPPED,
    Guard,
    dead_letter,
    reason_of,
    source_offset,
)
from consumer.records import Headers, Output, Record
from scoring.gates import REASONS
from tests.unit.consumer.fakes import START_MS, message, record

LARGE_BYTES = 1_000_000
OWN_NAMES = ["topic", "partition", "offset", "stage", "reason", "exception", "message"]
headers_of_others = st.lists(st.tuples(st.text(max_size=8), st.none() | st.binary(max_size=8)), max_size=6)
flags = st.lists(st.booleans(), max_size=60).map(bytearray)


def buried(received: Record, limit_bytes: int = LARGE_BYTES) -> Output:
    return dead_letter(
        received,
        source_topic="lead.events",
        topic="lead.events.dead-letter",
        stage="gate",
        reason="key_mismatch",
        exception="GateRejection",
        message="a sentence",
        limit_bytes=limit_bytes,
    )


def own(letter: Output) -> dict[str, str]:
    """What the seven headers of the scorer say, by the last part of their names."""
    assert letter.headers is not None
    return {name.rpartition(".")[2]: (value or b"").decode() for name, value in letter.headers[-7:]}


@given(st.none() | st.binary(max_size=20), st.none() | st.binary(max_size=20), headers_of_others)
def test_all_that_was_received_is_kept(key: bytes | None, value: bytes | None, headers: Headers) -> None:
    """Key, value, timestamp, and the headers in order, with duplicates and nulls; the scorer's come after them."""
    letter = buried(record(7, partition=3, append_ms=5, key=key, value=value, headers=headers))
    assert (letter.key, letter.value, letter.timestamp_ms) == (key, value, 5)
    assert (letter.topic, letter.partition) == ("lead.events.dead-letter", 3)
    assert (letter.headers or [])[: len(headers)] == headers
    assert [name for name, _ in (letter.headers or [])[len(headers) :]] == [
        f"{HEADER_PREFIX}errors.{name}" for name in OWN_NAMES
    ]


def test_the_seven_headers_say_where_from_and_why() -> None:
    """Numbers are decimal ASCII."""
    assert own(buried(record(7, partition=3))) == {
        "topic": "lead.events",
        "partition": "3",
        "offset": "7",
        "stage": "gate",
        "reason": "key_mismatch",
        "exception": "GateRejection",
        "message": "a sentence",
    }


def test_a_record_without_headers() -> None:
    """The client gives None; the letter has the seven."""
    assert len(buried(record(headers=None)).headers or []) == 7


def test_the_headers_of_the_record_are_not_changed() -> None:
    """A batch that is redone makes the letter again from the same record."""
    headers: Headers = [("a", b"1")]
    received = record(headers=headers)
    assert buried(received) == buried(received)
    assert headers == [("a", b"1")]


def test_a_value_that_does_not_fit_is_dropped_and_the_size_told() -> None:
    """Key and headers stay; the message has the size of key and value, and what the topic takes."""
    letter = buried(record(key=b"abc", value=bytes(5000), headers=[("a", b"1")]), limit_bytes=4000)
    assert (letter.key, letter.value) == (b"abc", None)
    assert (letter.headers or [])[0] == ("a", b"1")
    assert own(letter)["message"] == (
        f"a sentence; {VALUE_DROPPED}: key and value have 5003 bytes, the topic takes records of 4000"
    )


def test_headers_that_alone_are_too_large_are_dropped() -> None:
    """Then the letter is the key and the seven."""
    letter = buried(record(key=b"abc", value=b"v", headers=[("a", bytes(5000))]), limit_bytes=4000)
    assert (letter.key, letter.value, len(letter.headers or [])) == (b"abc", None, 7)
    assert VALUE_DROPPED in own(letter)["message"]


def test_a_key_that_alone_is_too_large_is_dropped() -> None:
    """Then the letter is the seven: it always fits, or its partition would be stuck."""
    letter = buried(record(key=bytes(5000), value=b"v", headers=[("a", b"1")]), limit_bytes=4000)
    assert (letter.key, letter.value, len(letter.headers or [])) == (None, None, 7)
    assert "key and value have 5001 bytes" in own(letter)["message"]


@given(st.integers(0, 3500), st.integers(0, 3000), st.lists(st.integers(0, 1500), max_size=3))
def test_a_letter_is_whole_if_and_only_if_it_fits(key_bytes: int, value_bytes: int, header_bytes: list[int]) -> None:
    """Whatever comes out is within the limit, and nothing is dropped that would fit."""
    limit_bytes = 4000
    headers: Headers = [("h", bytes(n)) for n in header_bytes]
    letter = buried(record(key=bytes(key_bytes), value=bytes(value_bytes), headers=headers), limit_bytes)
    size_bytes = key_bytes + value_bytes + sum(11 + n for n in header_bytes)
    assert (letter.value is not None) == (size_bytes + OVERHEAD_BYTES <= limit_bytes)
    assert (letter.key is not None) == (key_bytes + OVERHEAD_BYTES <= limit_bytes)
    kept_bytes = sum(len(name) + len(value or b"") for name, value in letter.headers or [])
    assert len(letter.key or b"") + len(letter.value or b"") + kept_bytes <= limit_bytes


@pytest.mark.parametrize(("more_bytes", "whole"), [(0, True), (1, False)])
def test_the_limit_itself_is_allowed(more_bytes: int, whole: bool) -> None:
    """To the byte, with the generous overhead; the same holds for headers alone."""
    value = bytes(4000 - OVERHEAD_BYTES - 3 + more_bytes)
    assert (buried(record(value=value), 4000).value is not None) is whole
    headers: Headers = [("h", bytes(4000 - OVERHEAD_BYTES - 3 - 11 + more_bytes))]
    assert (("h", headers[0][1]) in (buried(record(value=b"v", headers=headers), 4000).headers or [])) is whole


def test_the_overhead_covers_the_seven_headers() -> None:
    """With the longest sentence of ours, the drop told, and the longest topic name that Kafka takes."""
    for reason, text in GATE_MESSAGES.items():
        letter = dead_letter(
            record(2**62, partition=2**30, value=bytes(9000)),
            source_topic="t" * 249,
            topic="d",
            stage="process",
            reason=reason,
            exception="RegistryUnavailableError",
            message=text,
            limit_bytes=9000,
        )
        assert sum(len(name) + len(value or b"") + 10 for name, value in letter.headers or []) <= OVERHEAD_BYTES


def test_every_gate_has_its_sentence() -> None:
    """A gate without one would be an internal error of its own."""
    assert set(GATE_MESSAGES) == set(REASONS)


def test_a_replayed_letter_that_fails_again_tells_the_last_place() -> None:
    """Of a header's name the last counts: a letter of a letter names where it came from now."""
    received = record(9, headers=[(f"{HEADER_PREFIX}errors.offset", b"3"), (f"{HEADER_PREFIX}errors.reason", b"x")])
    letter = buried(received)
    assert reason_of(letter) == "key_mismatch"
    assert source_offset(message(0, headers=letter.headers)) == 9


@pytest.mark.parametrize("headers", [None, [], [(f"{HEADER_PREFIX}errors.offset", b"x")], [("offset", b"3")]])
def test_a_letter_that_does_not_say_its_offset(headers: Headers | None) -> None:
    """Somebody else's record on the topic is no letter of ours."""
    assert source_offset(message(0, headers=headers)) == -1


# --- the guard ---


def verdict(guard: Guard, *parts: bytearray) -> int:
    """How many records it takes of several batches, up to the first that it does not take whole."""
    taken = 0
    for part in parts:
        admitted = guard.admit(part)
        taken += admitted
        if admitted < len(part):
            break
    return taken


@pytest.fixture
def window(monkeypatch: pytest.MonkeyPatch) -> int:
    """A short window to see the ratio in."""
    monkeypatch.setattr(dead_letters, "RATIO_WINDOW_RECORDS", 10)
    return 10


def test_at_most_so_many_in_a_row() -> None:
    """The letter that would pass the limit is not taken; what came before is."""
    assert Guard(3, 1.0).admit(bytearray([0, 1, 1, 1, 1])) == 4


def test_a_good_record_ends_the_row() -> None:
    """Three, a good one, three again: no more than three in a row."""
    assert Guard(3, 1.0).admit(bytearray([1, 1, 1, 0, 1, 1, 1])) == 7


def test_good_records_end_a_row_of_an_earlier_batch() -> None:
    """Also a batch of good ones alone."""
    guard = Guard(3, 1.0)
    assert verdict(guard, bytearray([1, 1, 1]), bytearray([0]), bytearray([1, 1, 1])) == 7


@pytest.mark.usefixtures("window")
def test_the_ratio_counts_once_the_window_is_full() -> None:
    """Nine of nine are taken; the tenth record fills the window and passes the ratio."""
    assert Guard(1000, 0.2).admit(bytearray([1] * 20)) == 9


@pytest.mark.usefixtures("window")
def test_the_ratio_itself_is_allowed() -> None:
    """2 of 10 are not more than 0.2; the next record moves the window on."""
    letters = bytearray([1, 1, *[0] * 8, 1, 1, *[0] * 8, 1, 1, 1])
    assert Guard(1000, 0.2).admit(letters) == 22


@pytest.mark.usefixtures("window")
def test_what_leaves_the_window_is_not_counted() -> None:
    """Two letters among the first ten; once they have left, two more are allowed, and a third is not."""
    guard = Guard(1000, 0.2)
    letters = bytearray([1, 1, *[0] * 8, 0, 0, 1, 0, 1, 0, 1])
    assert guard.admit(letters) == 16


@pytest.mark.usefixtures("window")
def test_good_records_alone_fill_the_window_too() -> None:
    """Batches without any letter, before and after some: what they push out is not counted."""
    parts = [bytearray(7), bytearray([1, 1]), bytearray(8), bytearray(20), bytearray([1, 1, 1])]
    assert verdict(Guard(1000, 0.2), *parts) == 39


def test_the_window_has_the_contracts_size() -> None:
    """The ratio is that of the last 10,000 records."""
    good = bytearray(RATIO_WINDOW_RECORDS - 2000)
    assert RATIO_WINDOW_RECORDS == 10_000
    assert Guard(10_000, 0.2).admit(good + bytearray([1] * 2001)) == 10_000


@given(flags, st.data(), st.integers(1, 6), st.sampled_from([0.0, 0.1, 0.2, 0.5, 1.0]))
def test_batch_boundaries_make_no_difference(
    all_flags: bytearray, data: st.DataObject, max_consecutive: int, max_ratio: float
) -> None:
    """Whatever the batches, the same record is the first that is not taken."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dead_letters, "RATIO_WINDOW_RECORDS", 10)
        cuts = sorted(data.draw(st.lists(st.integers(0, len(all_flags)), max_size=5)))
        parts = [all_flags[a:b] for a, b in zip([0, *cuts], [*cuts, len(all_flags)], strict=True)]
        whole = Guard(max_consecutive, max_ratio).admit(all_flags)
        assert verdict(Guard(max_consecutive, max_ratio), *parts) == whole


@given(flags, st.integers(1, 6), st.sampled_from([0.0, 0.1, 0.2, 0.5, 1.0]))
def test_the_guard_counts_as_the_contract_does(all_flags: bytearray, max_consecutive: int, max_ratio: float) -> None:
    """Against a count of each record's row and window, made anew for each record."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dead_letters, "RATIO_WINDOW_RECORDS", 10)
        taken = 0
        for at in range(len(all_flags)):
            row = bytes(all_flags[: at + 1]).rpartition(b"\0")[2]
            last = all_flags[max(0, at - 9) : at + 1]
            too_many = all_flags[at] and len(last) == 10 and sum(last) / 10 > max_ratio
            if len(row) > max_consecutive or too_many:
                break
            taken += 1
        assert Guard(max_consecutive, max_ratio).admit(all_flags) == taken


@given(flags, flags, flags)
def test_a_copy_goes_its_own_way(before: bytearray, mine: bytearray, others: bytearray) -> None:
    """What a copy admits changes nothing for the guard that it was made from, and the other way round."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dead_letters, "RATIO_WINDOW_RECORDS", 10)
        guard, alone = Guard(4, 0.5), Guard(4, 0.5)
        guard.admit(before)
        alone.admit(before)
        copy = guard.copy()
        copy.admit(others)
        expected = alone.admit(mine)
        assert guard.admit(mine) == expected
        again = Guard(4, 0.5)
        again.admit(before)
        again.admit(others)
        assert copy.admit(mine) == again.admit(mine)


def test_the_error_says_what_was_reached_and_what_to_do() -> None:
    """Exit 4, with both figures and the keys to raise."""
    guard = Guard(3, 1.0)
    guard.admit(bytearray([0, 1, 1, 1, 1]))
    error = guard.limit_error()
    assert error.exit_code == 4
    for part in ("3 in a row (limit 3)", "3 of the last 4 records", "dead_letters.max_consecutive", "list"):
        assert part in str(error)


def test_a_letter_keeps_the_time_of_its_record() -> None:
    """A reader of the dead letters sees when the original was appended, not when it was buried."""
    assert buried(record(append_ms=START_MS - 1)).timestamp_ms == START_MS - 1

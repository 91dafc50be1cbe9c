"""Bytes that another reader lets pass: each is refused, or is exactly the encoding of what was read."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import released
from schemas.codec import Codec, UndecodableError, UnknownSchemaError, lead_event_codec
from tests.unit.schemas.data import EVENT, data_of

CODECS = {name: Codec(name) for name in released.NAMES}
CODEC = lead_event_codec()
HEAD = b"\xc3\x01" + CODEC.fingerprint
EVENTS = data_of(released.current("lead_event"))
# The smallest event: event_id "e", lead_id "l", PAGE_VISIT, 1970, source "s", and null four times.
PARTS = [b"\x02e", b"\x02l", b"\x00", b"\x00", b"\x02s", b"\x00", b"\x00", b"\x00", b"\x00"]


def event(**parts: bytes) -> bytes:
    """A value whose named fields are these bytes."""
    names = [field["name"] for field in released.current("lead_event").root["fields"]]
    return HEAD + b"".join(parts.get(name, part) for name, part in zip(names, PARTS, strict=True))


def varint(number: int) -> bytes:
    """A number on the wire, without any limit."""
    raw = number << 1 if number >= 0 else ~(number << 1)
    out = bytearray()
    while raw > 0x7F:
        out.append(raw & 0x7F | 0x80)
        raw >>= 7
    return bytes([*out, raw])


def test_the_parts_make_an_event() -> None:
    """The cases below differ from a good event in one field only."""
    assert CODEC.decode(event())["event_id"] == "e"


BAD = {
    "enum -1": ({"event_type": varint(-1)}, "event_type: an enum index"),
    "enum past the end": ({"event_type": varint(5)}, "event_type: an enum index"),
    "enum 2**40": ({"event_type": varint(2**40)}, "event_type: an enum index"),
    "union -1": ({"page_url": varint(-1) + b"\x02x"}, "page_url: a union index"),
    "union -2": ({"page_url": varint(-2)}, "page_url: a union index"),
    "union past the end": ({"page_url": varint(2)}, "page_url: a union index"),
    "int 2**31": ({"company_headcount": b"\x02" + varint(2**31)}, "company_headcount: an int over 32"),
    "int -2**31 - 1": ({"company_headcount": b"\x02" + varint(-(2**31) - 1)}, "company_headcount: an int over 32"),
    "int 2**40": ({"company_headcount": b"\x02" + varint(2**40)}, "company_headcount: an int over 32"),
    "long 2**63": ({"occurred_at": varint(2**63)}, "occurred_at: a number over 64"),
    "eleven bytes": ({"occurred_at": b"\xff" * 10 + b"\x01"}, "occurred_at: a number over 64"),
    "endless number": ({"occurred_at": b"\xff" * 50}, "occurred_at: a number over 64"),
    "zeros behind a number": ({"occurred_at": b"\x80\x80\x00"}, "occurred_at: a number that is padded"),
    "year 0": ({"occurred_at": varint(-62_135_596_800_001)}, "occurred_at: a time"),
    "year 10000": ({"occurred_at": varint(253_402_300_800_000)}, "occurred_at: a time"),
    "created in year 0": ({"created_at": b"\x02" + varint(-62_135_596_800_001)}, "created_at: a time"),
    "created in year 10000": ({"created_at": b"\x02" + varint(253_402_300_800_000)}, "created_at: a time"),
    "not UTF-8": ({"source": b"\x04\xc3\x28"}, "source: text that is not UTF-8"),
    "half of a surrogate pair": ({"source": b"\x06\xed\xa0\x80"}, "source: text that is not UTF-8"),
    "overlong UTF-8": ({"source": b"\x04\xc0\x80"}, "source: text that is not UTF-8"),
    "text of length -1": ({"source": varint(-1) + b"s"}, "source: a negative length"),
    "text of length -65": ({"source": varint(-65) + b"s"}, "source: a negative length"),
    "text of length 2**62": ({"source": varint(2**62) + b"s"}, "ends too early"),
    "text longer than the rest": ({"source": varint(6) + b"s"}, "ends too early"),
    "bytes left over": ({"created_at": b"\x00\x00"}, "left over"),
}


@pytest.mark.parametrize(("parts", "message"), BAD.values(), ids=BAD)
def test_what_is_no_encoding_is_undecodable(parts: dict[str, bytes], message: str) -> None:
    """Contract 3, one by one; the message names the field where the bytes tell."""
    with pytest.raises(UndecodableError, match=message):
        CODEC.decode(event(**parts))


@pytest.mark.parametrize("ms", [-62_135_596_800_000, 253_402_300_799_999])
def test_the_first_and_the_last_millisecond_are_read(ms: int) -> None:
    """The limits of a time are those of years 1 to 9999, inclusive."""
    assert CODEC.decode(event(occurred_at=varint(ms), created_at=b"\x02" + varint(ms)))["created_at"] == ms


@pytest.mark.parametrize("headcount", [-(2**31), 2**31 - 1])
def test_the_smallest_and_the_largest_int_are_read(headcount: int) -> None:
    """A negative headcount is the gates' affair, not the codec's."""
    assert CODEC.decode(event(company_headcount=b"\x02" + varint(headcount)))["company_headcount"] == headcount


def test_a_boolean_is_0_or_1() -> None:
    """Other readers take any byte but 0 for true."""
    profile = dict.fromkeys(("lead_id", "group_id"), "") | dict.fromkeys(
        ("page_visits", "email_opens", "demo_requests", "last_offset", "last_seen_at"), 0
    )
    codec = CODECS["lead_profile"]
    nullable = ("company_headcount", "created_at", "last_activity_at", "last_action", "last_action_band")
    datum = profile | dict.fromkeys((*nullable, "last_action_at"), None) | {"contactable": True, "recent_event_ids": []}
    value = codec.encode(datum)
    assert value.count(1) == 2  # in the magic bytes, and the boolean
    with pytest.raises(UndecodableError, match="contactable: a boolean"):
        codec.decode(value[:2] + value[2:].replace(b"\x01", b"\x02"))


def test_every_beginning_of_a_value_is_undecodable() -> None:
    """A truncated value never passes for a shorter one."""
    value = CODEC.encode(EVENT)
    for size in range(len(value)):
        with pytest.raises(UndecodableError):
            CODEC.decode(value[:size])


def test_no_single_byte_can_change_unnoticed() -> None:
    """All 255 changes of each byte of one event: refused, or an event that is written with just these bytes."""
    value = CODEC.encode(EVENT)
    for at in range(len(value)):
        for byte in set(range(256)) - {value[at]}:
            exact_or_refused(CODEC, value[:at] + bytes([byte]) + value[at + 1 :])


@given(EVENTS, st.data())
def test_no_change_of_a_byte_passes_unnoticed(datum: dict[str, Any], data: st.DataObject) -> None:
    """The same for any event and any byte of it."""
    value = bytearray(CODEC.encode(datum))
    value[data.draw(st.integers(0, len(value) - 1))] ^= data.draw(st.integers(1, 255))
    exact_or_refused(CODEC, bytes(value))


@pytest.mark.parametrize("name", released.NAMES)
@given(datum=st.binary(max_size=60))
def test_random_data_behind_a_good_head_is_exact_or_refused(name: str, datum: bytes) -> None:
    """A known schema and any bytes: nothing but the two errors, and no reading that differs from the bytes."""
    exact_or_refused(CODECS[name], b"\xc3\x01" + CODECS[name].fingerprint + datum)


def exact_or_refused(codec: Codec, value: bytes) -> None:
    """The law of this page.

    An array may come in several blocks, which is the one freedom that an encoding has: then a second reading of what
    is written gives the same.
    """
    try:
        datum = codec.decode(value)
    except (UndecodableError, UnknownSchemaError):
        return
    written = codec.encode(datum)
    if written != value:
        assert datum.get("recent_event_ids") or datum.get("reasons")
        assert codec.encode(codec.decode(written)) == written

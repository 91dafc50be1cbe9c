"""The compiled reader agrees with the readers that define what may be read, or leaves it to them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from schemas import released
from schemas.codec import Codec
from schemas.compiled_reading import compiled_reader
from schemas.reading import FAULTS, Read
from schemas.resolution import reader_of
from tests.unit.schemas.data import EVENT, data_of

EVENTS = released.current("lead_event")
HEAD_BYTES = 10


def exact(name: str) -> Read:
    """The reader that defines it."""
    return reader_of(released.current(name), released.current(name))


def refused(_value: bytes, _at: int) -> tuple[Any, int]:
    """Stands for the exact reader where it must not be needed."""
    raise AssertionError("left to the exact reader")


def outcome(read: Read, value: bytes) -> object:
    """What a reader gives, or says."""
    try:
        return repr(read(value, 0))
    except FAULTS as fault:
        return str(fault)


@pytest.mark.parametrize("name", released.NAMES)
@given(data=st.data())
def test_every_datum_is_read_as_by_definition(name: str, data: st.DataObject) -> None:
    """Whatever is in it, and without asking: long text and far times are left field by field."""
    value = Codec(name).encode(data.draw(data_of(released.current(name))))
    read = compiled_reader(released.current(name), exact(name))
    assert repr(read(value, HEAD_BYTES)) == repr(exact(name)(value, HEAD_BYTES))  # NaN is not NaN


@given(st.binary(max_size=60))
@example(b"")
@example(b"\x02e\x02l\x01\x00\x02s\x00\x00\x00\x00")  # enum -1
@example(b"\x02e\x02l\x00\x80\x80\x80\x80\x80\x00\x02s\x00\x00\x00\x00")  # six bytes, the last one padding
@example(b"\x02e\x02l\x00\x00\x02s\x03\x00\x00\x00")  # union -2
def test_any_bytes_have_the_outcome_of_the_definition(value: bytes) -> None:
    """The same datum, or the same words of refusal."""
    assert outcome(compiled_reader(EVENTS, exact("lead_event")), value) == outcome(exact("lead_event"), value)


@given(data_of(EVENTS), st.data())
def test_a_spoilt_event_has_the_outcome_of_the_definition(datum: dict[str, Any], data: st.DataObject) -> None:
    """One byte is another, or the end is missing."""
    value = bytearray(Codec("lead_event").encode(datum)[HEAD_BYTES:])
    at = data.draw(st.integers(0, len(value) - 1))
    value[at] = data.draw(st.integers(0, 255))
    spoilt = bytes(value[: data.draw(st.integers(0, len(value)))])
    assert outcome(compiled_reader(EVENTS, exact("lead_event")), spoilt) == outcome(exact("lead_event"), spoilt)


@pytest.mark.parametrize("ms", [2**34, 2**34 + 1, 1_780_000_000_123, 2**41 - 1])
def test_the_times_of_our_days_take_the_short_way(ms: int) -> None:
    """From 1970-07 to 2039-09 a time has six bytes, which are read without a loop."""
    value = Codec("lead_event").encode({**EVENT, "occurred_at": ms, "created_at": ms})
    datum, end = compiled_reader(EVENTS, refused)(value, HEAD_BYTES)
    assert (datum["occurred_at"], datum["created_at"], end) == (ms, ms, len(value))

"""The compiled writer agrees with the one that defines what may be written, or leaves it to that one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from schemas import released
from schemas.codec import Codec
from schemas.compiled_writing import UNSURE, compiled_writer, source
from schemas.released import Schema, parse
from schemas.writing import writer_of
from tests.unit.schemas.data import EVENT, data_of
from tests.unit.schemas.test_writing import BAD, GOOD, RECORD, short

LONGS = st.lists(st.integers(-(2**63), 2**63 - 1), max_size=20)
PROFILE: dict[str, Any] = {
    **dict.fromkeys(("company_headcount", "created_at", "last_activity_at", "last_action_at")),
    **dict.fromkeys(("page_visits", "email_opens", "demo_requests", "last_offset", "last_seen_at"), 0),
    "lead_id": "l",
    "group_id": "g",
    "contactable": False,
    "last_action": "nurture",
    "last_action_band": None,
}


def defined(schema: Schema, datum: Any) -> bytes:
    """What `schemas.writing` makes of a datum."""
    out = bytearray(b"head")
    writer_of(schema)(out, datum)
    return bytes(out)


@pytest.mark.parametrize("name", released.NAMES)
@given(data=st.data())
def test_it_writes_what_the_definition_writes(name: str, data: st.DataObject) -> None:
    """For every datum of our schemas the bytes are the same, and no datum is left over."""
    schema = released.current(name)
    datum = data.draw(data_of(schema))
    assert compiled_writer(schema)(b"head", datum) == defined(schema, datum)


@given(numbers=LONGS)
@example([0, 63, -64, 64, 8191, -8192, 8192, 2**27])
@example([2**55 - 1, 2**55, -(2**55), -(2**55) - 1, 2**62, -(2**63), 2**63 - 1])
def test_numbers_of_any_size_and_count(numbers: list[int]) -> None:
    """Hashes, small numbers, few and many: each in its shortest form."""
    schema, datum = released.current("lead_profile"), {**PROFILE, "recent_event_ids": numbers}
    assert compiled_writer(schema)(b"head", datum) == defined(schema, datum)


@pytest.mark.parametrize("length", [0, 63, 64, 8191, 8192])
def test_text_of_any_length(length: int) -> None:
    """A length that it has no table for it leaves to the definition."""
    datum = {**EVENT, "source": "x" * length}
    codec = Codec("lead_event")
    assert codec.decode(codec.encode(datum)) == datum


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in BAD.items() for value in values], ids=short
)
def test_what_may_not_be_written_it_does_not_write(name: str, value: Any) -> None:
    """Whatever the definition refuses, here it is at least not sure."""
    with pytest.raises(UNSURE):
        compiled_writer(parse(RECORD))(b"", {**GOOD, name: value})


@pytest.mark.parametrize("numbers", [[2**63], [-(2**63) - 1], [True], [1.0], [2**63] * 9, [True] * 9, [1.0] * 9, (1,)])
def test_numbers_that_are_none(numbers: Any) -> None:
    """Neither of the two ways converts a number or cuts it off."""
    with pytest.raises(UNSURE):
        compiled_writer(released.current("lead_profile"))(b"", {**PROFILE, "recent_event_ids": numbers})


@pytest.mark.parametrize("datum", [{}, {**GOOD, "more": 1}, None, [], "x"])
def test_other_fields_than_the_schemas(datum: Any) -> None:
    """Too few, too many, or no record at all."""
    with pytest.raises(UNSURE):
        compiled_writer(parse(RECORD))(b"", datum)


@pytest.mark.parametrize("value", [3, np.float64(3.0)])
def test_what_is_unusual_the_codec_writes_all_the_same(value: Any) -> None:
    """The definition takes whole numbers and numpy's for a double."""
    schema = parse(RECORD)
    with pytest.raises(UNSURE):
        compiled_writer(schema)(b"", {**GOOD, "number": value})
    assert defined(schema, {**GOOD, "number": value}) == defined(schema, {**GOOD, "number": 3.0})


@pytest.mark.parametrize("name", released.NAMES)
@given(data=st.data())
def test_it_never_writes_what_is_refused(name: str, data: st.DataObject) -> None:
    """With any one field replaced by anything: what the compiled writer writes, the definition would have written."""
    schema = released.current(name)
    datum = data.draw(data_of(schema))
    field = data.draw(st.sampled_from(sorted(datum)))
    scalar = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=9), st.binary(max_size=9))
    datum[field] = data.draw(st.one_of(scalar, st.lists(scalar, max_size=9)))
    try:
        written = compiled_writer(schema)(b"head", datum)
    except UNSURE:
        return
    assert written == defined(schema, datum)


def test_the_code_can_be_looked_at() -> None:
    """What runs is plain Python."""
    assert source(released.current("lead_event")).startswith("def write(head, datum):\n    v1 = datum['event_id']\n")

"""What may be written: only what the schema admits, and nothing that would be converted on the way."""

from __future__ import annotations

import json
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import released
from schemas.codec import Codec, UnwritableError
from schemas.released import parse
from schemas.writing import writer_of
from tests.unit.schemas.data import EVENT, data_of, written_by_fastavro

RECORD = json.dumps(
    {
        "type": "record",
        "name": "R",
        "fields": [
            {"name": "text", "type": "string"},
            {"name": "small", "type": "int"},
            {"name": "large", "type": {"type": "long"}},
            {"name": "time", "type": {"type": "long", "logicalType": "timestamp-millis"}},
            {"name": "number", "type": "double"},
            {"name": "flag", "type": "boolean"},
            {"name": "kind", "type": {"type": "enum", "name": "Kind", "symbols": ["A", "B"]}},
            {"name": "other", "type": ["null", "Kind"]},
            {"name": "list", "type": {"type": "array", "items": "long"}},
            {"name": "inner", "type": {"type": "record", "name": "I", "fields": [{"name": "x", "type": "double"}]}},
        ],
    }
)
GOOD: dict[str, Any] = {
    "text": "ä",
    "small": -1,
    "large": 2**40,
    "time": 0,
    "number": 0.5,
    "flag": True,
    "kind": "B",
    "other": None,
    "list": [1, -(2**63)],
    "inner": {"x": 1.0},
}


def encode(datum: Any) -> bytes:
    """The encoding of a datum of RECORD."""
    out = bytearray()
    writer_of(parse(RECORD))(out, datum)
    return bytes(out)


@pytest.mark.parametrize("name", released.NAMES)
@given(data=st.data())
def test_bytes_are_those_that_fastavro_writes(name: str, data: st.DataObject) -> None:
    """Two implementations write every datum of our schemas alike."""
    datum = data.draw(data_of(released.current(name)))
    codec = Codec(name)
    assert codec.encode(datum)[10:] == written_by_fastavro(released.text(name), datum)


def test_a_named_type_may_be_used_again() -> None:
    """A type that is defined at one field can be another field's by its name."""
    assert encode({**GOOD, "other": "B"}) == written_by_fastavro(RECORD, {**GOOD, "other": "B"})


@pytest.mark.parametrize("length", [0, 63, 64, 8191, 8192, 100_000])
def test_text_of_any_length_is_written(length: int) -> None:
    """The length in front of a text takes one byte or several."""
    datum = {**GOOD, "text": "x" * length}
    assert encode(datum) == written_by_fastavro(RECORD, datum)


def short(part: object) -> str:
    """A name for a case."""
    return repr(part)[:20]


BAD: dict[str, tuple[Any, ...]] = {
    "text": (None, 1, b"bytes", "half \ud800"),
    "small": (True, 1.0, "1", None, 2**31, -(2**31) - 1, np.int64(1)),
    "large": (True, 1.5, 2**63, -(2**63) - 1),
    "time": (None, 1.0, -62_135_596_800_001, 253_402_300_800_000),
    "number": (None, "1", True, 10**400),
    "flag": (None, 1, "x", np.True_),
    "kind": (None, "C", "", 0, []),
    "other": ("C", 0),
    "list": (None, "12", (1, 2), [1.5], [2**63], [None]),
    "inner": (None, 3, {}, {"x": 1.0, "y": 1.0}, {"y": 1.0}, {"x": "1"}),
}


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in BAD.items() for value in values], ids=short
)
def test_what_a_field_does_not_admit_is_refused_by_its_name(name: str, value: Any) -> None:
    """Another writer takes a good part of these, and writes each as something else."""
    with pytest.raises(UnwritableError, match=f"^{name}: "):
        encode({**GOOD, name: value})


def test_a_message_quotes_no_value() -> None:
    """The message ends in somebody's log."""
    with pytest.raises(UnwritableError) as caught:
        Codec("lead_event").encode({**EVENT, "company_headcount": "someone@example.com"})
    assert str(caught.value) == "company_headcount: a value of type str that is not allowed here: an int of 32 bits"


def test_a_missing_field_is_refused() -> None:
    """Also a nullable one: who leaves it out may have misspelt it."""
    datum = {name: value for name, value in EVENT.items() if name != "email"}
    with pytest.raises(UnwritableError, match="email: is missing"):
        Codec("lead_event").encode(datum)


def test_a_field_too_many_is_refused() -> None:
    """It would be lost without a word."""
    with pytest.raises(UnwritableError, match="e_mail: no such field"):
        Codec("lead_event").encode({**EVENT, "e_mail": "x"})


def test_a_whole_number_is_a_double_too() -> None:
    """A count or a difference of milliseconds need not be converted by its maker."""
    assert encode({**GOOD, "number": 3}) == encode({**GOOD, "number": 3.0}) == encode({**GOOD, "number": np.float64(3)})


def test_any_mapping_is_written() -> None:
    """A datum need not be a dict."""
    assert encode(MappingProxyType(GOOD)) == encode(GOOD)


def test_a_refused_datum_leaves_nothing_behind() -> None:
    """The next datum is written as if nothing had been."""
    codec = Codec("lead_event")
    with pytest.raises(UnwritableError):
        codec.encode({**EVENT, "created_at": "yesterday"})
    assert codec.decode(codec.encode(EVENT)) == EVENT


def test_a_type_that_none_of_ours_has_is_not_written() -> None:
    """Who adds one is told at once, not by bytes that nobody can read."""
    with pytest.raises(NotImplementedError):
        writer_of(parse('{"type": "map", "values": "long"}'))

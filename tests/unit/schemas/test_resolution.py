"""Older and newer writers: what their data become."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import released
from schemas.errors import UnresolvableError
from schemas.reading import Malformed
from schemas.released import parse, parse_foreign
from schemas.resolution import reader_of
from tests.unit.schemas.data import EVENT, changed, data_of, field, read_by_fastavro, written_by_fastavro

LEAD_EVENT = released.text("lead_event")


def resolve(writer: str, reader: str, datum: bytes) -> Any:
    """What a datum of one schema is in another."""
    found, end = reader_of(parse_foreign(writer), parse(reader))(datum, 0)
    assert end == len(datum)
    return found


def newer(schema: dict[str, Any]) -> None:
    """All that contract 3 lets a next version change, and another order."""
    field(schema, "event_type")["type"]["symbols"].insert(0, "WEBINAR")
    schema["fields"].append({"name": "campaign", "type": ["null", "string"], "default": None})
    schema["fields"].append({"name": "tags", "type": {"type": "array", "items": "string"}, "default": []})
    schema["fields"].reverse()


NEWER = changed("lead_event", newer)


@given(data_of(parse(NEWER)))
def test_a_newer_writers_data_are_read(datum: dict[str, Any]) -> None:
    """Its new fields are dropped, its order does not matter, its new symbol is OTHER: the enum's default."""
    expected = {name: value for name, value in datum.items() if name not in ("campaign", "tags")}
    if expected["event_type"] == "WEBINAR":
        expected["event_type"] = "OTHER"
    assert resolve(NEWER, LEAD_EVENT, written_by_fastavro(NEWER, datum)) == expected


@given(data_of(released.current("lead_event")))
def test_an_older_writers_data_are_read(datum: dict[str, Any]) -> None:
    """What it does not have takes its default."""
    expected = {**datum, "campaign": None, "tags": []}
    assert resolve(LEAD_EVENT, NEWER, written_by_fastavro(LEAD_EVENT, datum)) == expected


def test_a_default_is_made_anew_for_each_record() -> None:
    """A caller who appends to one record's list does not change the next record."""
    read = reader_of(parse(LEAD_EVENT), parse(NEWER))
    value = written_by_fastavro(LEAD_EVENT, EVENT)
    read(value, 0)[0]["tags"].append("x")
    assert read(value, 0)[0]["tags"] == []


def test_what_is_dropped_is_checked() -> None:
    """A bad byte in a field that nobody wants is a bad record all the same; the message names the field."""
    good = written_by_fastavro(NEWER, {**EVENT, "campaign": "spring", "tags": []})
    with pytest.raises(Malformed, match="campaign: text"):
        resolve(NEWER, LEAD_EVENT, good.replace(b"spring", b"sprin\xff"))


def test_names_count_without_their_namespace() -> None:
    """A team that keeps the schema in its own namespace is understood, as by Java's reader."""
    theirs = changed("lead_event", lambda schema: schema.update(namespace="com.example"))
    assert resolve(theirs, LEAD_EVENT, written_by_fastavro(theirs, EVENT)) == EVENT


def record_of(avro_type: Any) -> str:
    """A record with one field, x."""
    return json.dumps({"type": "record", "name": "R", "fields": [{"name": "x", "type": avro_type}]})


NODE = {"type": "record", "name": "Node", "fields": [{"name": "next", "type": ["null", "Node"]}]}
FLAT_TYPES: list[tuple[Any, Any]] = [
    ("null", None),
    ("boolean", True),
    ("int", -5),
    ("long", 2**40),
    ("float", 0.5),
    ("double", 1e300),
    ("bytes", b"\x00\xff"),
    ("string", "ü"),
    ({"type": "fixed", "name": "F", "size": 3}, b"abc"),
    ({"type": "enum", "name": "E", "symbols": ["A", "B"]}, "B"),
    ({"type": "array", "items": ["null", "float"]}, [None, 1.5]),
    ({"type": "map", "values": "long"}, {"k": -1, "ö": 2}),
]
EVERY_TYPE = [*FLAT_TYPES, (NODE, {"next": {"next": None}})]


@pytest.mark.parametrize(("avro_type", "sample"), EVERY_TYPE, ids=str)
def test_a_field_of_any_type_can_be_dropped(avro_type: Any, sample: Any) -> None:
    """Producers may have fields of which this code knows nothing, also of a type that holds itself."""
    theirs = changed("lead_event", lambda s: s["fields"].insert(3, {"name": "extra", "type": avro_type}))
    assert resolve(theirs, LEAD_EVENT, written_by_fastavro(theirs, {**EVENT, "extra": sample})) == EVENT


@pytest.mark.parametrize(("avro_type", "sample"), FLAT_TYPES, ids=str)
def test_every_type_is_read_as_fastavro_reads_it(avro_type: Any, sample: Any) -> None:
    """Two implementations agree on each type of the specification."""
    schema = record_of(avro_type)
    datum = written_by_fastavro(schema, {"x": sample})
    assert resolve(schema, schema, datum) == read_by_fastavro(schema, datum) == {"x": sample}


PROMOTIONS: list[tuple[str, Any, str, Any]] = [
    ("int", 3, "long", 3),
    ("int", 3, "double", 3.0),
    ("long", 2**40, "double", 2.0**40),
    ("float", 0.5, "double", 0.5),
    ("string", "ü", "bytes", b"\xc3\xbc"),
    ("bytes", b"\xc3\xbc", "string", "ü"),
]


@pytest.mark.parametrize(("writer", "sample", "reader", "expected"), PROMOTIONS)
def test_a_narrower_type_is_widened(writer: str, sample: Any, reader: str, expected: Any) -> None:
    """The specification's promotions."""
    theirs, ours = record_of(writer), record_of(reader)
    found = resolve(theirs, ours, written_by_fastavro(theirs, {"x": sample}))["x"]
    assert (found, type(found)) == (expected, type(expected))


def test_bytes_that_are_no_text_do_not_become_text() -> None:
    """Promotion checks what it makes."""
    theirs = changed("lead_event", lambda schema: field(schema, "source").update(type="bytes"))
    with pytest.raises(Malformed, match="source: text"):
        resolve(theirs, LEAD_EVENT, written_by_fastavro(theirs, {**EVENT, "source": b"\xff"}))


REFUSED = {
    "a field is missing": (lambda s: s["fields"].pop(0), "event_id: the writer does not have it"),
    "a type is another": (lambda s: field(s, "source").update(type="long"), "source: a long"),
    "a wider type": (lambda s: field(s, "company_headcount").update(type="long"), "company_headcount: no branch"),
    "an enum is a string": (lambda s: field(s, "event_type").update(type="string"), "event_type: a string"),
    "the record has another name": (lambda s: s.update(name="Lead"), "Lead is not LeadEvent"),
    "the enum has another name": (
        lambda s: field(s, "event_type")["type"].update(name="Kind"),
        "Kind is not EventType",
    ),
    "times in microseconds": (
        lambda s: field(s, "occurred_at")["type"].update(logicalType="timestamp-micros"),
        "occurred_at: timestamp-micros is not",
    ),
}


@pytest.mark.parametrize(("change", "reason"), REFUSED.values(), ids=REFUSED)
def test_a_schema_that_does_not_go_together_is_refused_with_its_reason(change: Any, reason: str) -> None:
    """Once per schema, not once per record; the message says which field."""
    with pytest.raises(UnresolvableError, match=reason):
        reader_of(parse_foreign(changed("lead_event", change)), parse(LEAD_EVENT))


def test_a_branch_that_the_reader_lacks_is_refused_where_it_comes() -> None:
    """A union goes together branch by branch: other records of the same schema are read."""
    theirs = changed("lead_event", lambda s: field(s, "page_url").update(type=["null", "long", "string"], default=None))
    assert resolve(theirs, LEAD_EVENT, written_by_fastavro(theirs, EVENT)) == EVENT
    with pytest.raises(Malformed, match="page_url: no branch"):
        resolve(theirs, LEAD_EVENT, written_by_fastavro(theirs, {**EVENT, "page_url": 3}))


def test_a_plain_value_is_read_where_null_is_allowed_too() -> None:
    """A writer may be stricter than the reader."""
    theirs = changed("lead_event", lambda s: field(s, "page_url").update(type="string", default=""))
    assert resolve(theirs, LEAD_EVENT, written_by_fastavro(theirs, EVENT)) == EVENT


def test_null_need_not_be_the_first_branch() -> None:
    """Other teams write ["string", "null"]."""
    theirs = changed("lead_event", lambda s: field(s, "page_url").update(type=["string", "null"], default=""))
    for event in (EVENT, {**EVENT, "page_url": None}):
        assert resolve(theirs, LEAD_EVENT, written_by_fastavro(theirs, event)) == event


def test_the_branch_of_the_same_type_comes_first() -> None:
    """A long stays a long where a double would take it too."""
    ours = record_of(["null", "double", "long"])
    assert resolve(record_of("long"), ours, written_by_fastavro(record_of("long"), {"x": 2**60 + 1})) == {
        "x": 2**60 + 1
    }


def test_a_fixed_of_another_size_does_not_go_together() -> None:
    """Neither can be had from the other."""
    ours, theirs = (record_of({"type": "fixed", "name": "F", "size": size}) for size in (2, 3))
    with pytest.raises(UnresolvableError, match="x: a fixed of another size"):
        reader_of(parse(theirs), parse(ours))


def test_a_symbol_without_a_default_is_refused_where_it_comes() -> None:
    """Confidence has no default to fall back to."""
    ours, theirs = (record_of({"type": "enum", "name": "E", "symbols": list(symbols)}) for symbols in ("AB", "BC"))
    assert resolve(theirs, ours, b"\x00") == {"x": "B"}
    with pytest.raises(Malformed, match="x: a symbol"):
        resolve(theirs, ours, b"\x02")


TAGS = changed(
    "lead_event", lambda s: s["fields"].append({"name": "tags", "type": {"type": "array", "items": "string"}})
)
PLAIN = written_by_fastavro(LEAD_EVENT, EVENT)


@pytest.mark.parametrize(
    "array",
    [b"\x04\x02a\x02b\x00", b"\x02\x02a\x02\x02b\x00", b"\x03\x08\x02a\x02b\x00", b"\x02\x02a\x01\x04\x02b\x00"],
)
def test_an_array_may_come_in_blocks(array: bytes) -> None:
    """Counted, or counted with their size in bytes, as some implementations write them by default."""
    assert resolve(TAGS, TAGS, PLAIN + array)["tags"] == ["a", "b"]


@pytest.mark.parametrize(
    ("array", "reason"),
    [
        (b"\x03\x06\x02a\x02b\x00", "a block that is not of its size"),
        (b"\x03\x01\x02a\x02b\x00", "a block that is not of its size"),
        (b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01", "ends too early"),
        (b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x02\x02a", "ends too early"),
        (b"\x04\x02a", "ends too early"),
    ],
)
def test_blocks_that_cannot_be_are_refused(array: bytes, reason: str) -> None:
    """Also a count of 2**62, at once."""
    with pytest.raises(Malformed, match=reason):
        resolve(TAGS, TAGS, PLAIN + array)


def test_items_that_take_no_bytes_are_refused() -> None:
    """Else ten bytes could ask for 2**60 of them."""
    theirs = changed(
        "lead_event", lambda s: s["fields"].insert(0, {"name": "x", "type": {"type": "array", "items": "null"}})
    )
    with pytest.raises(Malformed, match="x: items without bytes"):
        resolve(theirs, LEAD_EVENT, b"\x04\x00" + PLAIN)


ALL_TYPES = {
    "type": "record",
    "name": "All",
    "fields": [{"name": f"f{number}", "type": avro_type} for number, (avro_type, _) in enumerate(EVERY_TYPE)],
}
ALL = reader_of(
    parse(changed("lead_event", lambda s: s["fields"].insert(0, {"name": "all", "type": ALL_TYPES}))), parse(LEAD_EVENT)
)


@given(st.binary(max_size=30))
def test_any_bytes_are_refused_or_read_to_a_position(datum: bytes) -> None:
    """A reader raises only what the codec expects of it, whatever the types."""
    with suppress(Malformed):
        assert ALL(datum, 0)[1] > 0

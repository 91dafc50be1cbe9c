import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.ndjson import EventError, event_from_row, format_event, parse_event
from schemas.times import MAX_MS, MIN_MS

EVENT: dict[str, Any] = {
    "event_id": "e1",
    "lead_id": "42",
    "event_type": "PROFILE_UPDATE",
    "occurred_at": 1735689600000,
    "source": "crm",
    "page_url": None,
    "email": "jo@example.com",
    "company_headcount": 120,
    "created_at": 1735600000000,
}

texts = st.text(st.characters(exclude_categories=["Cs"]))
times = st.integers(MIN_MS, MAX_MS)
events = st.fixed_dictionaries(
    {
        "event_id": texts,
        "lead_id": texts,
        "event_type": st.sampled_from(["PAGE_VISIT", "EMAIL_OPEN", "DEMO_REQUEST", "PROFILE_UPDATE", "OTHER"]),
        "occurred_at": times,
        "source": texts,
        "page_url": st.none() | texts,
        "email": st.none() | texts,
        "company_headcount": st.none() | st.integers(-(2**31), 2**31 - 1),
        "created_at": st.none() | times,
    }
)


def changed(**fields: Any) -> str:
    return json.dumps({**EVENT, **fields})


def refusal(line: str | bytes) -> EventError:
    with pytest.raises(EventError) as caught:
        parse_event(line)
    return caught.value


@given(events)
def test_any_event_comes_back_from_its_line(event: dict[str, Any]) -> None:
    """What is written as a line is read back equal, fields in the order of the schema."""
    line = format_event(event)
    assert "\n" not in line
    read = parse_event(line.encode())
    assert read == event
    assert list(read) == list(EVENT)


def test_times_are_text_or_milliseconds() -> None:
    """Both forms of a time give integer milliseconds."""
    assert parse_event(changed(occurred_at="2025-01-01T00:00:00Z")) == parse_event(changed())


def test_nullable_fields_may_be_left_out() -> None:
    """A page visit need not write down the attributes that it does not have."""
    row = {name: EVENT[name] for name in ("event_id", "lead_id", "event_type", "occurred_at", "source")}
    assert event_from_row(row)["company_headcount"] is None


def test_a_default_fills_a_missing_field_only() -> None:
    """What the line says wins over the default."""
    row = {name: value for name, value in EVENT.items() if name != "source"}
    assert event_from_row(row, {"source": "file", "lead_id": "other"})["source"] == "file"
    assert event_from_row(row, {"source": "file", "lead_id": "other"})["lead_id"] == "42"


def test_a_byte_order_mark_is_no_part_of_the_line() -> None:
    """Windows tools begin UTF-8 files with one."""
    assert parse_event(b"\xef\xbb\xbf" + changed().encode())["lead_id"] == "42"


def test_a_missing_required_field_is_named() -> None:
    """The reader of the report sees which column is not there."""
    error = refusal(json.dumps({name: value for name, value in EVENT.items() if name != "lead_id"}))
    assert (error.code, str(error)) == ("missing_field", "lead_id: is missing")


def test_an_unknown_field_is_refused_by_name() -> None:
    """A misspelt field would otherwise be lost without a word."""
    error = refusal(changed(headcount=3))
    assert error.code == "unknown_field"
    assert "unknown field: headcount;" in str(error)


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"lead_id": 42}, "wrong_type"),
        ({"lead_id": None}, "wrong_type"),
        ({"lead_id": "\ud800"}, "out_of_range"),
        ({"event_type": "view"}, "out_of_range"),
        ({"event_type": 1}, "wrong_type"),
        ({"occurred_at": True}, "wrong_type"),
        ({"occurred_at": 1.5}, "wrong_type"),
        ({"occurred_at": MAX_MS + 1}, "out_of_range"),
        ({"occurred_at": "2025-01-01"}, "out_of_range"),
        ({"company_headcount": 2**31}, "out_of_range"),
        ({"company_headcount": 120.0}, "wrong_type"),
        ({"company_headcount": float("nan")}, "wrong_type"),
        ({"company_headcount": "120"}, "wrong_type"),
        ({"page_url": ["/"]}, "wrong_type"),
    ],
)
def test_what_the_schema_cannot_hold_is_refused_with_its_field(fields: dict[str, Any], code: str) -> None:
    """Type and range are those of the Avro schema, and the message begins with the field."""
    error = refusal(changed(**fields))
    assert error.code == code
    assert str(error).startswith(next(iter(fields)) + ":")


def test_a_gate_on_the_meaning_is_not_ours() -> None:
    """A negative headcount is a value of the type: the scorer's gate names it."""
    assert parse_event(changed(company_headcount=-1))["company_headcount"] == -1


def test_an_unknown_event_type_is_shown() -> None:
    """The word tells which translation is missing."""
    assert "is view, allowed: PAGE_VISIT" in str(refusal(changed(event_type="view")))


@pytest.mark.parametrize("field", ["event_type", "email", "occurred_at", "company_headcount"])
def test_no_message_quotes_an_address(field: str) -> None:
    """Columns may be shifted: an address in any field stays out of the report."""
    assert "jo@" not in str(
        refusal(changed(**{field: {"jo@example.com": 1} if field == "email" else "jo@example.com"}))
    )


def test_an_address_as_a_field_name_is_not_quoted() -> None:
    """Nor does it get there as an unknown field."""
    assert "jo@" not in str(refusal(changed(**{"jo@example.com": 1})))


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b"\xff{}", "not_utf8"),
        (b"", "not_json"),
        (b'{"event_id": "e1", "lead', "not_json"),
        (b"[" * 200_000, "not_json"),
        (b'{"occurred_at": ' + b"9" * 5000 + b"}", "not_json"),
        (b"[]", "not_an_object"),
        (b"7", "not_an_object"),
        (b"null", "not_an_object"),
    ],
)
def test_what_is_no_object_has_a_code(line: bytes, code: str) -> None:
    """Nothing in a line makes the reader fail in another way."""
    assert refusal(line).code == code

"""The check that keeps every version readable, and that it bites."""

from __future__ import annotations

import json
from typing import Any

import pytest

from schemas import released
from schemas.evolution import refusals
from tests.unit.schemas.data import changed, field

RELEASED = [
    pytest.param(name, text, id=f"{name}.v{version}")
    for name in released.NAMES
    for version, text in released.history(name).items()
]


@pytest.mark.parametrize(("name", "text"), RELEASED)
def test_the_current_schema_goes_with_every_released_one(name: str, text: str) -> None:
    """THE check: a schema was changed in a way that breaks a released version; docs/schemas.md has what is allowed."""
    assert refusals(text, released.text(name)) == []


@pytest.mark.parametrize("name", released.NAMES)
def test_each_version_goes_with_all_before_it(name: str) -> None:
    """Releasing is no way round the check: the history itself holds."""
    texts = list(released.history(name).values())
    for at, text in enumerate(texts):
        assert [refusals(older, text) for older in texts[:at]] == [[]] * at


@pytest.mark.parametrize("name", released.NAMES)
def test_the_last_version_is_the_current_schema(name: str) -> None:
    """A change that is not in the history would be written by one release and known to no other."""
    last = list(released.history(name).values())[-1]
    assert released.parse(last).fingerprint == released.current(name).fingerprint


def move(schema: dict[str, Any]) -> None:
    """Puts the fields in another order."""
    schema["fields"].reverse()


def add_with_default(schema: dict[str, Any]) -> None:
    schema["fields"].append({"name": "campaign", "type": ["null", "string"], "default": None})


def add_symbol(schema: dict[str, Any]) -> None:
    field(schema, "event_type")["type"]["symbols"].append("WEBINAR")


def turn_union(schema: dict[str, Any]) -> None:
    field(schema, "created_at")["type"].reverse()


def describe(schema: dict[str, Any]) -> None:
    schema["doc"] = "Other words."


@pytest.mark.parametrize("change", [move, add_with_default, add_symbol, turn_union, describe])
def test_what_the_contract_allows_passes(change: Any) -> None:
    """A field with a default, a symbol where there is a default; order and words do not matter."""
    assert refusals(released.text("lead_event"), changed("lead_event", change)) == []


PLANTED = {
    "a field without a default": (
        "lead_event",
        lambda s: s["fields"].append({"name": "campaign", "type": "string"}),
        "lead.LeadEvent.campaign: the field was added without a default",
    ),
    "a field is gone": (
        "lead_event",
        lambda s: s["fields"].remove(field(s, "source")),
        "lead.LeadEvent.source: the field was removed",
    ),
    "another type": (
        "lead_event",
        lambda s: field(s, "source").update(type="bytes"),
        "lead.LeadEvent.source: string became bytes",
    ),
    "a wider type": (
        "decision",
        lambda s: field(s, "source_partition").update(type="long"),
        "lead.Decision.source_partition: int became long",
    ),
    "no longer null": (
        "lead_profile",
        lambda s: field(s, "last_action").update(type="string", default=""),
        "lead.LeadProfile.last_action: union of null, string became string",
    ),
    "null, too": (
        "lead_event",
        lambda s: field(s, "source").update(type=["string", "null"]),
        "lead.LeadEvent.source: string became union of null, string",
    ),
    "another unit": (
        "lead_event",
        lambda s: field(s, "occurred_at")["type"].update(logicalType="timestamp-micros"),
        "lead.LeadEvent.occurred_at: long timestamp-millis became long timestamp-micros",
    ),
    "another unit inside a union": (
        "lead_event",
        lambda s: field(s, "created_at").update(type=["null", "long"]),
        "lead.LeadEvent.created_at: union of long timestamp-millis, null became union of long, null",
    ),
    "a symbol is gone": (
        "lead_event",
        lambda s: field(s, "event_type")["type"]["symbols"].remove("EMAIL_OPEN"),
        "lead.LeadEvent.event_type: the symbol EMAIL_OPEN was removed",
    ),
    "a symbol where there is no default": (
        "decision",
        lambda s: field(s, "confidence")["type"]["symbols"].append("NONE"),
        "lead.Decision.confidence: the symbol NONE was added to an enum without a default",
    ),
    "the default is gone": (
        "lead_event",
        lambda s: field(s, "event_type")["type"].pop("default"),
        "lead.LeadEvent.event_type: the default OTHER became None",
    ),
    "the record has another name": (
        "lead_event",
        lambda s: s.update(name="Event"),
        "lead.LeadEvent: record lead.LeadEvent became record lead.Event",
    ),
    "a record inside": (
        "decision",
        lambda s: field(s, "features")["type"]["fields"].append({"name": "age", "type": "double"}),
        "lead.Decision.features.age: the field was added without a default",
    ),
    "the items of an array": (
        "lead_profile",
        lambda s: field(s, "recent_event_ids")["type"].update(items="string"),
        "lead.LeadProfile.recent_event_ids.items: long became string",
    ),
    "a record inside an array": (
        "decision",
        lambda s: field(s, "reasons")["type"]["items"]["fields"].pop(),
        "lead.Decision.reasons.items.contribution: the field was removed",
    ),
}


@pytest.mark.parametrize(("name", "change", "refusal"), PLANTED.values(), ids=PLANTED)
def test_a_planted_incompatible_change_is_refused(name: str, change: Any, refusal: str) -> None:
    """Each with the place and what it was, so that the one who broke it sees it in the report."""
    assert refusals(released.text(name), changed(name, change)) == [refusal]


def test_all_faults_are_reported_together() -> None:
    """One run of the suite is enough to see what is to be undone."""

    def change(schema: dict[str, Any]) -> None:
        schema["fields"].pop(0)
        field(schema, "source")["type"] = "long"

    assert len(refusals(released.text("lead_event"), changed("lead_event", change))) == 2


def test_a_type_that_moves_with_its_field_is_the_same() -> None:
    """The definition of a named type stands where the first field uses it, wherever that is."""
    kind = {"type": "enum", "name": "K", "symbols": ["A"]}
    one, other = {"name": "a", "type": kind}, {"name": "b", "type": "K"}
    moved = [{"name": "b", "type": kind}, {"name": "a", "type": "K"}]
    before, after = (json.dumps({"type": "record", "name": "R", "fields": f}) for f in ([one, other], moved))
    assert refusals(before, after) == []

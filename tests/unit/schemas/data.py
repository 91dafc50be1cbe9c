"""Data of any schema, for hypothesis, and the schemas of tomorrow that the tests write with."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from typing import Any

import fastavro
from fastavro.schema import to_parsing_canonical_form
from hypothesis import strategies as st

from schemas import released
from schemas.released import Schema
from schemas.times import MAX_MS, MIN_MS

EVENT = {
    "event_id": "0191d3c8-7a3e-7bbf-8f0b-2d9c1f8a0001",
    "lead_id": "lead-0001234",
    "event_type": "DEMO_REQUEST",
    "occurred_at": 1_735_689_600_123,
    "source": "web",
    "page_url": "https://example.com/preise?für=alle",
    "email": None,
    "company_headcount": 350,
    "created_at": -1,
}

SCALARS: dict[str, st.SearchStrategy[Any]] = {
    "timestamp-millis": st.integers(MIN_MS, MAX_MS),
    "int": st.integers(-(2**31), 2**31 - 1),
    "long": st.integers(-(2**63), 2**63 - 1),
    "string": st.text(max_size=80),
    "double": st.floats(),
    "boolean": st.booleans(),
    "null": st.none(),
}


def data_of(schema: Schema) -> st.SearchStrategy[dict[str, Any]]:
    """Every datum of a schema of ours."""
    return _data(schema.root)


def _data(avro_type: Any) -> st.SearchStrategy[Any]:
    match avro_type:
        case list():
            return st.one_of([_data(branch) for branch in avro_type])
        case {"type": "record", "fields": fields}:
            return st.fixed_dictionaries({field["name"]: _data(field["type"]) for field in fields})
        case {"type": "enum", "symbols": symbols}:
            return st.sampled_from(symbols)
        case {"type": "array", "items": items}:
            return st.lists(_data(items), max_size=5)
        case {"type": kind}:
            return SCALARS[avro_type.get("logicalType", kind)]
        case _:
            return SCALARS[avro_type]


def changed(name: str, change: Callable[[dict[str, Any]], object]) -> str:
    """The text of a current schema after a change."""
    schema = json.loads(released.text(name))
    change(schema)
    return json.dumps(schema)


def field(schema: dict[str, Any], name: str) -> dict[str, Any]:
    """A field of a record schema, to change it."""
    return next(field for field in schema["fields"] if field["name"] == name)


def written_by_fastavro(avsc: str, datum: dict[str, Any]) -> bytes:
    """The encoding of a datum by another implementation, without a frame; times are integers."""
    out = io.BytesIO()
    fastavro.schemaless_writer(out, _plain(avsc), datum)
    return out.getvalue()


def read_by_fastavro(avsc: str, datum: bytes) -> Any:
    """What another implementation reads; times are integers."""
    return fastavro.schemaless_reader(io.BytesIO(datum), _plain(avsc), None)


def _plain(avsc: str) -> Any:
    return json.loads(to_parsing_canonical_form(json.loads(avsc)))  # leaves out logical types

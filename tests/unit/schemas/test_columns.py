"""Records written from columns are those that are written one by one."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import released
from schemas.codec import Codec, UnwritableError
from schemas.columns import Column, ColumnWriter, Few, PackedLongs, Same, Shared
from schemas.compiled_writing import UNSURE
from tests.unit.schemas.data import EVENT, data_of
from tests.unit.schemas.test_compiled_writing import LONGS, PROFILE

FEATURES = [field["name"] for field in released.current("decision").named["lead.Features"]["fields"]]
NAMES = st.sampled_from([None, "nurture", "contact_now", "ä" * 70])


def columns_of(rows: list[dict[str, Any]]) -> dict[str, Column]:
    """Lists, one for each field."""
    return {name: [row[name] for row in rows] for name in rows[0]}


def profiles(n_rows: int) -> dict[str, Column]:
    """Columns of equal profiles."""
    return columns_of([{**PROFILE, "recent_event_ids": []}] * n_rows)


@pytest.mark.parametrize("name", released.NAMES)
@given(data=st.data())
def test_lists_are_written_as_records(name: str, data: st.DataObject) -> None:
    """For any records of our schemas the bytes are the same."""
    codec = Codec(name)
    rows = data.draw(st.lists(data_of(released.current(name)), min_size=1, max_size=5))
    assert codec.encode_columns(columns_of(rows)) == [codec.encode(row) for row in rows]


@given(rows=st.lists(data_of(released.current("decision")), min_size=1, max_size=5))
def test_arrays_are_written_as_their_numbers(rows: list[dict[str, Any]]) -> None:
    """Doubles may come as an array, a record of doubles as a matrix; also every second row of one."""
    codec = Codec("decision")
    features = np.array([[row["features"][name] for name in FEATURES] for row in rows])
    columns = columns_of(rows) | {
        "score": np.array([row["score"] for row in rows]),
        "latency_ms": np.repeat([row["latency_ms"] for row in rows], 2)[::2],
        "features": np.asfortranarray(features),
    }
    assert codec.encode_columns(columns) == [codec.encode(row) for row in rows]


@given(names=st.lists(NAMES, min_size=1, max_size=9), group=st.text(max_size=9), ids=LONGS)
def test_what_is_the_same_is_written_in_every_row(names: list[str | None], group: str, ids: list[int]) -> None:
    """One value for all rows, texts of which there are few, numbers packed: as if each row had its own."""
    codec = Codec("lead_profile")
    packed = struct.pack(f">{len(ids)}q", *ids)
    shared: dict[str, Column] = {
        "group_id": Same(group),
        "last_action": Few(names),
        "last_action_band": Same(None),
        "recent_event_ids": PackedLongs([packed] * len(names)),
    }
    rows = [{**PROFILE, "group_id": group, "last_action": name, "recent_event_ids": ids} for name in names]
    assert codec.encode_columns(profiles(len(names)) | shared) == [codec.encode(row) for row in rows]


@given(rows=st.lists(data_of(released.current("decision")), min_size=1, max_size=3), order=st.lists(st.integers(0, 2)))
def test_lists_that_rows_share_are_written_for_each(rows: list[dict[str, Any]], order: list[int]) -> None:
    """The very same list in several rows, and equal ones that are not the same."""
    codec = Codec("decision")
    several = [rows[at % len(rows)] for at in [0, *order]]
    shared = Shared([row["reasons"] if at % 2 else list(row["reasons"]) for at, row in enumerate(several)])
    assert codec.encode_columns(columns_of(several) | {"reasons": shared}) == [codec.encode(row) for row in several]


@given(rows=st.lists(LONGS, min_size=1, max_size=9))
def test_packed_numbers_are_those_of_avro(rows: list[list[int]]) -> None:
    """Rows of any number of numbers, none too: each comes out as it went in."""
    codec = Codec("lead_profile")
    packed = PackedLongs([struct.pack(f">{len(row)}q", *row) for row in rows])
    written = codec.encode_columns(profiles(len(rows)) | {"recent_event_ids": packed})
    assert written == [codec.encode({**PROFILE, "recent_event_ids": row}) for row in rows]


BAD: list[tuple[str, Any]] = [
    ("source", [1]),
    ("source", Same(1)),
    ("source", Few(["half \ud800"])),
    ("occurred_at", Same(None)),
    ("occurred_at", np.array([1.5])),
    ("company_headcount", [True]),
    ("event_type", Few(["PAGE"])),
]


@pytest.mark.parametrize(("name", "column"), BAD)
def test_what_is_not_of_the_schema_is_refused_by_its_field(name: str, column: Any) -> None:
    """Whatever kind of column it comes in."""
    with pytest.raises(UnwritableError, match=f"^{name}: "):
        Codec("lead_event").encode_columns(columns_of([EVENT]) | {name: column})


@pytest.mark.parametrize("matrix", [np.zeros((1, 4)), np.zeros((1, 5), np.float32), np.zeros(1)])
def test_an_array_of_another_form_is_not_written_blindly(matrix: Any) -> None:
    """Eight bytes for each number, as many as there are fields: or its bytes would be read as something else."""
    decision = {field["name"]: [None] for field in released.current("decision").root["fields"]}
    with pytest.raises(UNSURE):
        ColumnWriter(released.current("decision")).write(b"", {**decision, "features": matrix})


def test_a_field_too_many_or_too_few_is_refused() -> None:
    """As in a record."""
    columns = columns_of([EVENT])
    with pytest.raises(UnwritableError, match="e_mail: no such field"):
        Codec("lead_event").encode_columns({**columns, "e_mail": ["x"]})
    del columns["email"]
    with pytest.raises(UnwritableError, match="email: is missing"):
        Codec("lead_event").encode_columns(columns)


def test_columns_of_different_lengths_are_a_mistake() -> None:
    """No row is invented or left out."""
    with pytest.raises(ValueError, match="shorter"):
        Codec("lead_event").encode_columns({**columns_of([EVENT, EVENT]), "email": [None]})


def test_what_is_unusual_is_written_all_the_same() -> None:
    """A text that there is no table for, a whole number for a double."""
    codec = Codec("lead_event")
    rows = [EVENT, {**EVENT, "source": "x" * 9000}]
    assert codec.encode_columns(columns_of(rows)) == [codec.encode(row) for row in rows]


def test_the_code_can_be_looked_at() -> None:
    """What runs is plain Python."""
    source = ColumnWriter(released.current("lead_event")).source({**columns_of([EVENT]), "source": Same("web")})
    assert source.startswith("def write(head, columns):\n    once_v1 = columns['source'].value\n")

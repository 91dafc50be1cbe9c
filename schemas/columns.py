"""Many records of a schema at once, given as columns: what all rows share is encoded once, and no row is ever a dict.

The function that does it is generated, as `schemas.compiled_writing` does it for one record, for each combination of
kinds of columns. It judges as little: what it is not sure of is written row by row, by the definition.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from schemas.compiled_writing import SHORT, Body, array_writer, packed, parts_of
from schemas.released import Schema

LONG_BYTES: Final = 8
_GROUPS: Final = np.arange(10, dtype=np.uint64)  # of 7 bits: 64 bits take up to ten
_SHIFTS: Final = _GROUPS * np.uint64(7)
_EDGES: Final = np.uint64(1) << _SHIFTS[1:]  # from here on a number takes a byte more


class Same(NamedTuple):
    """A column with one value in all rows."""

    value: Any


class Few(NamedTuple):
    """A column of texts, or None, with few different ones."""

    values: Sequence[str | None]


class Shared(NamedTuple):
    """A column of arrays of records, where rows often have the very same list."""

    values: Sequence[list[dict[str, Any]]]


class PackedLongs(NamedTuple):
    """A column of arrays of longs, each as bytes: 8 for a number, signed, big-endian."""

    values: Sequence[bytes]


Column = list[Any] | NDArray[np.float64] | Same | Few | Shared | PackedLongs
"""A field's values by row: a list; for doubles `(n,)`, for a record of k doubles `(n, k)`, float64; or one of those."""

Columns = Mapping[str, Column]
WriteColumns = Callable[[bytes, Columns], list[bytes]]


class ColumnWriter:
    """Writes columns of one schema.

    Args:
        schema: Of a record.
    """

    def __init__(self, schema: Schema) -> None:
        self._schema = schema
        self._fields: dict[str, Any] = {field["name"]: field["type"] for field in schema.root["fields"]}
        self._by_kinds: dict[tuple[type, ...], WriteColumns] = {}

    def write(self, head: bytes, columns: Columns) -> list[bytes]:
        """The encoded rows, each after `head`.

        Raises:
            Exception: One of `compiled_writing.UNSURE`; `rows` and the definition decide then.
        """
        kinds = tuple(type(columns[name]) for name in self._fields)
        if len(columns) != len(kinds):
            raise LookupError("columns that are no fields")
        write = self._by_kinds.get(kinds)
        if write is None:
            write = self._by_kinds[kinds] = self._compile(kinds)
        return write(head, columns)

    def rows(self, columns: Columns) -> Iterable[dict[str, Any]]:
        """The same data row by row, as a datum each."""
        named = [self._values(name, column) for name, column in columns.items() if not isinstance(column, Same)]
        same = {name: column.value for name, column in columns.items() if isinstance(column, Same)}
        names = [name for name, column in columns.items() if not isinstance(column, Same)]
        for row in zip(*named, strict=True):
            yield {**same, **dict(zip(names, row, strict=True))}

    def source(self, columns: Columns) -> str:
        """The code for columns of these kinds."""
        return self._function(tuple(type(columns[name]) for name in self._fields))[0]

    def _values(self, name: str, column: Any) -> Iterable[Any]:
        if isinstance(column, PackedLongs):
            return [list(struct.unpack(f">{len(value) // LONG_BYTES}q", value)) for value in column.values]
        if isinstance(column, Few | Shared):
            return column.values
        if isinstance(column, np.ndarray) and column.ndim == 2:
            names = _fields_of(self._fields[name], self._schema)
            return [dict(zip(names, row, strict=True)) for row in column.tolist()]
        values: Iterable[Any] = column.tolist() if isinstance(column, np.ndarray) else column
        return values

    def _compile(self, kinds: tuple[type, ...]) -> WriteColumns:
        code, names = self._function(kinds)
        exec(compile(code, f"<columns of {self._schema.root['name']}>", "exec"), names)  # noqa: S102 - made here
        write: WriteColumns = names["write"]
        return write

    def _function(self, kinds: tuple[type, ...]) -> tuple[str, dict[str, Any]]:
        once, each = Body(self._schema, "once_"), Body(self._schema)
        each.names = once.names
        function = _Function(once, each)
        for (name, avro_type), kind in zip(self._fields.items(), kinds, strict=True):
            function.add(name, avro_type, kind)
        return function.code(), once.names


class _Part(NamedTuple):
    """An expression of bytes, and whether it is the same in all rows."""

    text: str
    same: bool


class _Function:
    """A function under construction: what it does once, and what for each row."""

    def __init__(self, once: Body, each: Body) -> None:
        self._once, self._each = once, each
        self._loop: list[tuple[str, str]] = []  # variables and the columns that they walk through
        self._parts = [_Part("head", same=True)]

    def add(self, name: str, avro_type: Any, kind: type) -> None:
        """A field."""
        column = f"columns[{name!r}]"
        if kind is Same:
            value = self._once.variable()
            self._once.lines.append(f"{value} = {column}.value")
            self._parts += [
                _Part(text, same=True) for text in packed(self._once, parts_of(self._once, avro_type, value))
            ]
        elif kind is Few:
            self._few(column, avro_type)
        elif kind is Shared:
            write = self._once.constant(array_writer(avro_type["items"], self._once.schema))
            self._walk(f"{self._once.constant(_each_list_once)}({column}.values, {write})")
        elif kind is PackedLongs:
            self._walk(f"{self._once.constant(packed_longs)}({column}.values)")
        elif kind is np.ndarray:
            self._walk(f"{self._once.constant(_doubles)}({column}, {_width(avro_type, self._once.schema)})")
        else:
            value = self._each.variable()
            self._loop.append((value, column))
            self._parts += [_Part(text, same=False) for text in parts_of(self._each, avro_type, value)]

    def code(self) -> str:
        """All of it."""
        parts: list[str] = []
        for same, group in groupby(self._parts, lambda part: part.same):
            texts = [part.text for part in group]
            parts += [self._shared(texts)] if same else packed(self._each, texts)
        variables, columns = zip(*self._loop, strict=True) if self._loop else ((), ())
        return "\n".join(
            [
                "def write(head, columns):",
                *(f"    {line}" for line in self._once.lines),
                "    rows = []",
                "    add = rows.append",
                f"    for {''.join(f'{name}, ' for name in variables)} in zip({', '.join(columns)}, strict=True):",
                *(f"        {line}" for line in self._each.lines),
                f"        add(join(({', '.join(parts)},)))",
                "    return rows",
                "",
            ]
        )

    def _walk(self, column: str) -> None:
        """A column that is bytes already."""
        value = self._each.variable()
        self._loop.append((value, column))
        self._parts.append(_Part(value, same=False))

    def _few(self, column: str, avro_type: Any) -> None:
        outer, self._once.lines = self._once.lines, []
        known, value = self._once.variable(), self._once.variable()
        parts = packed(self._once, parts_of(self._once, avro_type, value))
        key = self._once.variable()
        inner = [f"{value} = {key}", *self._once.lines, f"{known}[{key}] = join(({', '.join(parts)},))"]
        self._once.lines = [
            *outer,
            f"{known} = {{}}",
            f"for {key} in set({column}.values):",
            *(f"    {line}" for line in inner),
        ]
        self._walk(f"[{known}[text] for text in {column}.values]")

    def _shared(self, texts: list[str]) -> str:
        value = self._once.variable()
        self._once.lines.append(f"{value} = join(({', '.join(texts)},))")
        return value


def _each_list_once(values: Sequence[list[Any]], write: Callable[[list[Any]], bytes]) -> list[bytes]:
    """The bytes of each row; lists are told apart by what they are, not by what is in them."""
    known: dict[int, bytes] = {}
    rows = []
    for value in values:
        row = known.get(id(value))
        if row is None:
            row = known[id(value)] = write(value)
        rows.append(row)
    return rows


def _width(avro_type: Any, schema: Schema) -> int:
    """How many doubles a field has: 0 for a double, else those of a record."""
    if avro_type == "double":
        return 0
    return len(_fields_of(avro_type, schema))


def _fields_of(avro_type: Any, schema: Schema) -> list[str]:
    """The names of a record's doubles."""
    record = schema.named[avro_type] if isinstance(avro_type, str) else avro_type
    if any(field["type"] != "double" for field in record["fields"]):
        raise NotImplementedError("an array for a record of other than doubles")
    return [field["name"] for field in record["fields"]]


def _doubles(column: NDArray[np.float64], width: int) -> list[bytes]:
    """The bytes of each row."""
    if column.dtype != np.float64 or column.shape[1:] != ((width,) if width else ()):
        raise TypeError(f"an array of {column.dtype} {column.shape}")
    rows: list[bytes] = np.ascontiguousarray(column, dtype="<f8").view(f"V{8 * max(width, 1)}").ravel().tolist()
    return rows


def packed_longs(values: Sequence[bytes]) -> list[bytes]:
    """Arrays of longs, encoded: all numbers of all rows at once.

    >>> [row.hex() for row in packed_longs([b"", (1).to_bytes(8), (300).to_bytes(8)])]
    ['00', '020200', '02d80400']
    """
    numbers = np.frombuffer(b"".join(values), dtype=">i8").astype(np.int64)
    raw = ((numbers << 1) ^ (numbers >> 63)).view(np.uint64)
    n_bytes = np.searchsorted(_EDGES, raw, side="right").astype(np.uint64) + np.uint64(1)
    digits = ((raw[:, np.newaxis] >> _SHIFTS) & np.uint64(0x7F)).astype(np.uint8)
    digits |= (n_bytes[:, np.newaxis] - np.uint64(1) > _GROUPS).astype(np.uint8) << 7
    data = digits[n_bytes[:, np.newaxis] > _GROUPS].tobytes()
    counts = [len(value) // LONG_BYTES for value in values]
    ends = np.concatenate([[0], np.cumsum(n_bytes, dtype=np.int64)])[np.cumsum([0, *counts])].tolist()
    return [
        SHORT[count << 1] + data[start:end] + b"\0" if count else b"\0"
        for count, start, end in zip(counts, ends, ends[1:], strict=False)
    ]

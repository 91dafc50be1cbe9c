"""The writer of `schemas.writing` as straight-line code: one function a schema, without a call or a loop per field.

It writes what is valid and judges nothing: at the first thing that is not as it should be it raises `Unsure`, and
`schemas.writing`, which it agrees with byte for byte, decides and says what is wrong. The code is made from the schema
when a codec is, as `dataclasses` makes its methods; `source` shows it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from io import BytesIO
from itertools import groupby
from struct import Struct, error, pack
from typing import Any, Final

from fastavro import parse_schema, schemaless_writer

from schemas.released import Schema
from schemas.times import MAX_MS, MIN_MS

Compiled = Callable[[bytes, Mapping[str, Any]], bytes]
"""Takes what the bytes begin with and a datum; raises one of `UNSURE`."""


class Unsure(Exception):  # noqa: N818 - not an error: somebody else decides
    """Not what is written most: perhaps wrong, perhaps only unusual."""


UNSURE: Final = (Unsure, LookupError, TypeError, ValueError, error)
"""All that a compiled writer raises."""

_LOW: Final = (1 << 14) - 1
SHORT: Final = tuple(bytes([raw]) if raw < 0x80 else bytes([raw & 0x7F | 0x80, raw >> 7]) for raw in range(_LOW + 1))
"""Variable-length numbers below 2^14, to be followed by nothing."""
_SMALL_END: Final = (_LOW + 1) // 2
_MIDDLE_END: Final = 1 << 27
"""Below, a number takes two to four bytes: offsets."""
_LARGE_END: Final = 1 << 41
"""From there to here five or six: times until 2039."""
_MORE: Final = tuple(bytes([raw & 0x7F | 0x80, raw >> 7 | 0x80]) for raw in range(_LOW + 1))
"""14 bits of a longer number, to be followed by the rest."""

_RANGES: Final = {"int": (-(2**31), 2**31 - 1), "long": (-(2**63), 2**63 - 1), "timestamp-millis": (MIN_MS, MAX_MS)}
_FEW: Final = 8
"""Fewer than so many long numbers are written faster here than by fastavro."""
_HASH_MIN: Final = 1 << 56
_LONG_END: Final = 1 << 64
_LONGS: Final = parse_schema({"type": "array", "items": "long"}, _write_hint=False)


def compiled_writer(schema: Schema) -> Compiled:
    """The function that writes a record of a schema."""
    code, names = _function(schema.root, schema)
    exec(compile(code, f"<writer of {schema.root['name']}>", "exec"), names)  # noqa: S102 - the schemas are ours
    written: Compiled = names["write"]
    return written


def source(schema: Schema) -> str:
    """The code that `compiled_writer` runs."""
    return _function(schema.root, schema)[0]


class _Double(str):
    """An expression of a float: neighbours are packed together."""

    __slots__ = ()


class Body:
    """Statements of a function under construction, and the names that they use.

    Args:
        schema: Whose types are looked up.
        label: Keeps the names of one part of a function from those of another.
    """

    def __init__(self, schema: Schema, label: str = "") -> None:
        self.schema, self._label = schema, label
        self.lines: list[str] = []
        self.names: dict[str, Any] = {
            "SHORT": SHORT, "MORE": _MORE, "Unsure": Unsure, "join": b"".join, "number": _number, "utf8": str.encode,
        }  # fmt: skip
        self._count = 0

    def variable(self) -> str:
        """A new one."""
        self._count += 1
        return f"{self._label}v{self._count}"

    def constant(self, value: Any) -> str:
        """A name for a value."""
        self._count += 1
        name = f"{self._label}C{self._count}"
        self.names[name] = value
        return name

    def refuse_unless(self, condition: str) -> None:
        """A check."""
        self.lines.append(f"if not ({condition}): raise Unsure")


def _function(record: Any, schema: Schema) -> tuple[str, dict[str, Any]]:
    body = Body(schema)
    parts = _record(body, record, "datum")
    lines = [*body.lines, f"return join((head, {', '.join(packed(body, parts))},))"]
    return "def write(head, datum):\n" + "".join(f"    {line}\n" for line in lines), body.names


def _record(body: Body, record: Any, datum: str) -> list[str]:
    """Statements for the fields of a record; gives the expressions of its bytes in order."""
    parts: list[str] = []
    for field in record["fields"]:
        value = body.variable()
        body.lines.append(f"{value} = {datum}[{field['name']!r}]")
        parts += parts_of(body, field["type"], value)
    body.refuse_unless(f"len({datum}) == {len(record['fields'])}")
    return parts


def parts_of(body: Body, avro_type: Any, value: str) -> list[str]:
    """Adds what checks and converts the variable `value`; gives the expressions of its bytes in order."""
    match avro_type:
        case str() if avro_type in body.schema.named:
            return parts_of(body, body.schema.named[avro_type], value)
        case ["null", inner]:
            return _optional(body, inner, value)
        case {"type": "record"}:
            return _record(body, avro_type, value)
        case {"type": "enum", "symbols": symbols}:
            return [f"{body.constant({symbol: SHORT[2 * at] for at, symbol in enumerate(symbols)})}[{value}]"]
        case {"type": "array", "items": "long"}:
            return [f"{body.constant(_longs)}({value})"]
        case {"type": "array", "items": items}:
            return [f"{body.constant(array_writer(items, body.schema))}({value})"]
        case {"type": kind}:
            return _scalar(body, avro_type.get("logicalType", kind), value)
        case _:
            return _scalar(body, avro_type, value)


def _optional(body: Body, inner: Any, value: str) -> list[str]:
    outer, body.lines = body.lines, []
    given = body.variable()
    parts = packed(body, parts_of(body, inner, value))
    then = [*body.lines, f"{given} = {' + '.join([repr(SHORT[2]), *parts])}"]
    body.lines = [
        *outer,
        f"if {value} is None: {given} = {SHORT[0]!r}",
        "else:",
        *(f"    {line}" for line in then),
    ]
    return [given]


def _scalar(body: Body, kind: str, value: str) -> list[str]:
    match kind:
        case "string":
            body.lines.append(f"{value} = utf8({value})")
            return [f"SHORT[len({value}) << 1]", value]
        case "double":
            body.refuse_unless(f"{value}.__class__ is float")
            return [_Double(value)]
        case "boolean":
            body.refuse_unless(f"{value} is True or {value} is False")
            return [f"SHORT[{value}]"]
    low, high = _RANGES[kind]
    body.refuse_unless(f"{value}.__class__ is int and {low} <= {value} <= {high}")
    if kind == "timestamp-millis":
        usual = f"MORE[(raw := {value} << 1) & {_LOW}] + MORE[raw >> 14 & {_LOW}] + SHORT[raw >> 28]"
        return [f"({usual} if {_MIDDLE_END} <= {value} < {_LARGE_END} else number({value}))"]
    middle = f"MORE[{value} << 1 & {_LOW}] + SHORT[{value} >> 13]"
    return [
        f"(SHORT[{value} << 1] if 0 <= {value} < {_SMALL_END} else "
        f"{middle} if 0 < {value} < {_MIDDLE_END} else number({value}))"
    ]


def packed(body: Body, parts: Iterable[str]) -> list[str]:
    """The expressions with neighbouring floats in one."""
    found: list[str] = []
    for doubles, group in groupby(parts, lambda part: isinstance(part, _Double)):
        run = list(group)
        found += [f"{body.constant(Struct(f'<{len(run)}d').pack)}({', '.join(run)})"] if doubles else run
    return found


def _number(value: int) -> bytes:
    raw = value << 1 if value >= 0 else ~(value << 1)
    if raw <= _LOW:
        return SHORT[raw]
    out = _MORE[raw & _LOW]
    raw >>= 14
    while raw > _LOW:
        out += _MORE[raw & _LOW]
        raw >>= 14
    return out + SHORT[raw]


def array_writer(items: Any, schema: Schema) -> Callable[[Any], bytes]:
    """The function that writes an array of records."""
    if not isinstance(items, dict) or items["type"] != "record":
        raise NotImplementedError(f"compiling an array of {items}")
    item = compiled_writer(Schema(items, schema.named, b""))

    def write(value: Any) -> bytes:
        if value.__class__ is not list:
            raise Unsure
        if not value:
            return b"\0"
        return b"".join([SHORT[len(value) << 1], *[item(b"", part) for part in value], b"\0"])

    return write


def _longs(value: Any) -> bytes:
    if value.__class__ is not list:
        raise Unsure
    if not value:
        return b"\0"
    return _few_longs(value) if len(value) < _FEW else _many_longs(value)


def _few_longs(numbers: list[Any]) -> bytes:
    parts = [SHORT[len(numbers) << 1]]
    for number in numbers:
        if number.__class__ is not int:
            raise Unsure
        raw = number << 1 if number >= 0 else ~(number << 1)
        if _HASH_MIN <= raw < _LONG_END:  # as nearly every hash: the loop of _number, unrolled
            parts += _MORE[raw & _LOW], _MORE[raw >> 14 & _LOW], _MORE[raw >> 28 & _LOW], _MORE[raw >> 42 & _LOW]
            parts.append(SHORT[raw >> 56])
        elif raw >= _LONG_END:
            raise Unsure
        else:
            parts.append(_number(number))
    parts.append(b"\0")
    return b"".join(parts)


def _many_longs(numbers: list[Any]) -> bytes:
    """Here C wins. What it would convert is told by its class, and what overflows by `pack`."""
    if {number.__class__ for number in numbers} != {int}:
        raise Unsure
    pack(f"{len(numbers)}q", *numbers)
    out = BytesIO()
    schemaless_writer(out, _LONGS, numbers)
    return out.getvalue()

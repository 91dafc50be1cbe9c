"""The reader of a record of the current schema as straight-line code: no call and no loop for each field.

It reads what is written most, and leaves the rest to the readers of `schemas.reading`: a field that is unusual (long
text, a date after 2039) to that field's, and a value with which something is wrong to the whole record's, which says
what. So it accepts what they accept, and gives what they give.
"""

from __future__ import annotations

from itertools import count
from typing import Any, Final

from schemas import reading
from schemas.reading import FAULTS, Malformed, Read
from schemas.released import Schema
from schemas.resolution import reader_of

_TIME_BYTES: Final = 6  # 2^35 to 2^42 - 1 under the zig-zag: 1970-07 to 2039-09
_CONTINUED: Final = sum(0x80 << 7 * at for at in range(_TIME_BYTES - 1))  # the top bits of all bytes but the last
_FAULTS: Final = (*FAULTS, LookupError, ValueError)
"""And of the code here: an index that names no symbol, fewer bytes than were to be unpacked."""


def compiled_reader(schema: Schema, exact: Read) -> Read:
    """The function that reads what is written with a schema.

    Args:
        schema: Of a record.
        exact: Reads the same, and is asked where something is wrong.
    """
    code, names = _function(schema)
    exec(compile(code, f"<reader of {schema.root['name']}>", "exec"), names)  # noqa: S102 - the schemas are ours
    names["exact"] = exact
    read: Read = names["read"]
    return read


def _function(schema: Schema) -> tuple[str, dict[str, Any]]:
    body = _Body(schema)
    fields = {field["name"]: body.read(field["type"]) for field in schema.root["fields"]}
    lines = [
        "def read(value, at):",
        "    start = at",
        "    try:",
        *(f"        {line}" for line in body.lines),
        "    except FAULTS:",
        "        return exact(value, start)",
        f"    return {{{', '.join(f'{name!r}: {variable}' for name, variable in fields.items())}}}, at",
        "",
    ]
    return "\n".join(lines), body.names


class _Body:
    """Statements of a function under construction, and the names that they use."""

    def __init__(self, schema: Schema) -> None:
        self._schema, self._count = schema, count(1)
        self.lines: list[str] = []
        self.names: dict[str, Any] = {
            "FAULTS": _FAULTS,
            "Malformed": Malformed,
            "read_string": reading.read_string,
            "read_time": reading.read_time,
            "read_int": reading.read_int,
            "read_long": reading.read_long,
        }

    def read(self, avro_type: Any) -> str:
        """Adds what reads a type; gives the variable that it is in."""
        value = f"v{next(self._count)}"
        self.lines += self._statements(avro_type, value)
        return value

    def _statements(self, avro_type: Any, value: str) -> list[str]:
        match avro_type:
            case str() if avro_type in self._schema.named:
                return self._statements(self._schema.named[avro_type], value)
            case ["null", inner]:
                return _optional(value, self._statements(inner, value))
            case {"type": "enum", "symbols": symbols}:
                by_raw = {2 * index: symbol for index, symbol in enumerate(symbols)}
                return [f"{value} = {self._constant(by_raw)}[value[at]]", "at += 1"]
            case "string":
                return _short_or("read_string", value, "str(value[at + 1:(at := at + 1 + (raw >> 1))], 'utf-8')")
            case {"type": "long", "logicalType": "timestamp-millis"}:
                return _time(value)
            case "int" | "long":
                return [*_short_or(f"read_{avro_type}", value, "raw >> 1"), "    at += 1"]
            case _:
                same = Schema(avro_type, self._schema.named, b"")
                return [f"{value}, at = {self._constant(reader_of(same, same))}(value, at)"]

    def _constant(self, value: Any) -> str:
        name = f"C{next(self._count)}"
        self.names[name] = value
        return name


def _short_or(otherwise: str, value: str, short: str) -> list[str]:
    """Reads what begins with a number of one byte that is not negative; the last statement is of that branch."""
    return [
        "raw = value[at]",
        f"if raw & 0x81: {value}, at = {otherwise}(value, at)",
        "else:",
        f"    {value} = {short}",
    ]


def _time(value: str) -> list[str]:
    names = [f"b{at}" for at in range(_TIME_BYTES)]
    first, *middle, last = names
    total = " + ".join([first, *(f"({name} << {7 * at})" for at, name in enumerate(names) if at)])
    return [
        f"{', '.join(names)} = value[at:at + {_TIME_BYTES}]",
        f"if {' & '.join([first, *middle])} & 0x80 and 0 < {last} < 0x80 and not {first} & 1:",
        f"    {value} = {total} - {_CONTINUED} >> 1",
        f"    at += {_TIME_BYTES}",
        f"else: {value}, at = read_time(value, at)",
    ]


def _optional(value: str, inner: list[str]) -> list[str]:
    return [
        "raw = value[at]",
        "at += 1",
        f"if not raw: {value} = None",
        "elif raw == 2:",
        *(f"    {line}" for line in inner),
        "else: raise Malformed",
    ]

"""Avro's binary encoding, written strictly: what a field's type does not admit is refused, never converted.

Why not fastavro's writer: it takes 1.5 for a long, True for an int, 2**40 for an int and anything for a boolean or a
double, and costs more (docs/schemas.md has the figures). This is the definition; `schemas.compiled_writing` makes it
fast.
"""

from collections.abc import Callable
from struct import Struct
from typing import Any, Final

from schemas.errors import UnwritableError
from schemas.released import Schema
from schemas.times import MAX_MS, MIN_MS

Write = Callable[[bytearray, Any], object]

_DOUBLE: Final = Struct("<d").pack
_utf8: Final = str.encode  # as a plain function it refuses what is not a string


def writer_of(schema: Schema) -> Write:
    """The function that appends a datum of a schema to a bytearray.

    It raises UnwritableError, which names the field, and then has appended a part.

    Raises:
        NotImplementedError: The schema uses a type that none of ours does.
    """
    return _writer(schema.root, schema)


def _writer(avro_type: Any, schema: Schema) -> Write:
    match avro_type:
        case str() if avro_type in schema.named:
            return _writer(schema.named[avro_type], schema)
        case ["null", inner]:
            return _optional(_writer(inner, schema))
        case {"type": "record", "fields": fields}:
            return _record([(field["name"], _writer(field["type"], schema)) for field in fields])
        case {"type": "enum", "symbols": symbols}:
            return _enum(symbols)
        case {"type": "array", "items": items}:
            return _array(_writer(items, schema))
        case {"type": kind}:
            return _scalar(avro_type.get("logicalType", kind))
        case _:
            return _scalar(avro_type)


def _scalar(kind: Any) -> Write:
    match kind:
        case "timestamp-millis":
            return _integer(MIN_MS, MAX_MS, "a time in integer ms from year 1 to 9999")
        case "int":
            return _integer(-(2**31), 2**31 - 1, "an int of 32 bits")
        case "long":
            return _integer(-(2**63), 2**63 - 1, "an int of 64 bits")
        case "string":
            return _string
        case "double":
            return _double
        case "boolean":
            return _boolean
    raise NotImplementedError(f"writing {kind}")


def _refuse(value: object, allowed: str) -> UnwritableError:
    return UnwritableError(f"a value of type {type(value).__name__} that is not allowed here: {allowed}")


def _append_raw(out: bytearray, raw: int) -> None:
    while raw > 0x7F:
        out.append(raw & 0x7F | 0x80)
        raw >>= 7
    out.append(raw)


def _integer(low: int, high: int, allowed: str) -> Write:
    def write(out: bytearray, value: Any) -> None:
        if value.__class__ is not int or not low <= value <= high:
            raise _refuse(value, allowed)
        raw = value << 1 if value >= 0 else ~(value << 1)
        while raw > 0x7F:  # as _append_raw, without its call
            out.append(raw & 0x7F | 0x80)
            raw >>= 7
        out.append(raw)

    return write


def _string(out: bytearray, value: Any) -> None:
    try:
        data = _utf8(value)
    except TypeError:
        raise _refuse(value, "a string") from None
    except UnicodeEncodeError:
        raise _refuse(value, "text without half of a surrogate pair") from None
    raw = len(data) << 1
    if raw <= 0x7F:
        out.append(raw)
    else:
        _append_raw(out, raw)
    out += data


def _double(out: bytearray, value: Any) -> None:
    if value.__class__ is not float:
        value = _as_float(value)
    out += _DOUBLE(value)


def _as_float(value: Any) -> float:
    if isinstance(value, float):  # numpy's float64, say
        return value
    if value.__class__ is not int:
        raise _refuse(value, "a float")
    try:
        return float(value)
    except OverflowError:
        raise _refuse(value, "a float of 64 bits") from None


def _boolean(out: bytearray, value: Any) -> None:
    if value is True:
        out.append(1)
    elif value is False:
        out.append(0)
    else:
        raise _refuse(value, "True or False")


def _enum(symbols: list[str]) -> Write:
    by_symbol = {symbol: bytes([2 * index]) for index, symbol in enumerate(symbols)}
    allowed = ", ".join(symbols)

    def write(out: bytearray, value: Any) -> None:
        try:
            out += by_symbol[value]
        except (KeyError, TypeError):
            raise _refuse(value, allowed) from None

    return write


def _optional(inner: Write) -> Write:
    def write(out: bytearray, value: Any) -> None:
        if value is None:
            out.append(0)
        else:
            out.append(2)
            inner(out, value)

    return write


def _array(item: Write) -> Write:
    def write(out: bytearray, value: Any) -> None:
        if value.__class__ is not list:
            raise _refuse(value, "a list")
        if value:
            _append_raw(out, len(value) << 1)
            for part in value:
                item(out, part)
        out.append(0)

    return write


def _record(fields: list[tuple[str, Write]]) -> Write:
    count, names = len(fields), {name for name, _ in fields}

    def write(out: bytearray, value: Any) -> None:
        name = ""
        try:
            for name, field in fields:
                field(out, value[name])
        except UnwritableError as error:
            raise UnwritableError(f"{name}: {error}") from None
        except KeyError:
            raise UnwritableError(f"{name}: is missing") from None
        except TypeError:
            raise _refuse(value, "a mapping") from None
        if len(value) != count:
            raise UnwritableError(f"{', '.join(sorted(set(value) - names))}: no such field")

    return write

"""Avro's binary encoding, read exactly: whatever is not the encoding of a value is refused.

Every reader takes the bytes and a position, and gives the value and the position after it. None checks that the bytes
suffice: a slice past the end is short, but its end position is not, so that the next index fails or the last position
is not the length of the bytes. Whoever calls the outermost reader compares the two.

Why not fastavro's reader: it takes enum -1, union -2, an int of 2**40, numbers that overflow 64 bits and bytes left
over, and the checks around it cost more than reading here does (docs/schemas.md has the figures).
"""

import struct
from collections.abc import Callable, Collection
from copy import deepcopy
from typing import Any, Final

from schemas.times import MAX_MS, MIN_MS

Read = Callable[[bytes, int], tuple[Any, int]]

_FLOAT: Final = struct.Struct("<f")
_DOUBLE: Final = struct.Struct("<d")
_MESSAGE_MAX: Final = 200  # characters: the names of a thousand records, one in the other, help nobody


class Malformed(Exception):  # noqa: N818 - internal: the codec names it UndecodableError
    """The bytes are not the encoding of a value of this type."""


FAULTS: Final = (Malformed, IndexError, UnicodeDecodeError, struct.error, OverflowError, RecursionError)
"""All that a reader raises."""


def describe(fault: BaseException) -> str:
    """What a fault says about the bytes, without quoting them."""
    match fault:
        case Malformed():
            return str(fault)[:_MESSAGE_MAX]
        case UnicodeDecodeError():
            return "text that is not UTF-8"
        case RecursionError():
            return "nested too deep"
        case _:
            return "ends too early"


def read_raw(value: bytes, at: int) -> tuple[int, int]:
    """The unsigned number under a zig-zag, at most 64 bits, in its shortest form only."""
    byte = value[at]
    at += 1
    if byte < 0x80:
        return byte, at
    raw = byte & 0x7F
    shift = 7
    while True:
        byte = value[at]
        at += 1
        raw |= (byte & 0x7F) << shift
        if byte < 0x80:
            break
        shift += 7
        if shift > 63:
            raise Malformed("a number over 64 bits")
    if not byte:
        raise Malformed("a number that is padded with zeros")
    if raw >> 64:
        raise Malformed("a number over 64 bits")
    return raw, at


def read_long(value: bytes, at: int) -> tuple[int, int]:
    """A signed number of 64 bits."""
    raw, at = read_raw(value, at)
    return (raw >> 1) ^ -(raw & 1), at


def read_int(value: bytes, at: int) -> tuple[int, int]:
    """A signed number of 32 bits."""
    raw, at = read_raw(value, at)
    if raw >> 32:
        raise Malformed("an int over 32 bits")
    return (raw >> 1) ^ -(raw & 1), at


def read_time(value: bytes, at: int) -> tuple[int, int]:
    """A timestamp-millis as integer milliseconds since 1970, from year 1 to 9999."""
    raw, at = read_raw(value, at)
    ms = (raw >> 1) ^ -(raw & 1)
    if MIN_MS <= ms <= MAX_MS:
        return ms, at
    raise Malformed("a time before year 1 or after 9999")


def read_bytes(value: bytes, at: int) -> tuple[bytes, int]:
    """Bytes behind their number."""
    size, at = read_raw(value, at)
    if size & 1:
        raise Malformed("a negative length")
    end = at + (size >> 1)
    return value[at:end], end


def read_string(value: bytes, at: int) -> tuple[str, int]:
    """Text in UTF-8 behind the number of its bytes."""
    size = value[at]
    if size < 0x80:
        at += 1
    else:
        size, at = read_raw(value, at)
    if size & 1:
        raise Malformed("a negative length")
    end = at + (size >> 1)
    return str(value[at:end], "utf-8"), end


def read_null(_value: bytes, at: int) -> tuple[None, int]:
    """Nothing: null takes no bytes."""
    return None, at


def read_boolean(value: bytes, at: int) -> tuple[bool, int]:
    """One byte, 0 or 1."""
    byte = value[at]
    if byte > 1:
        raise Malformed("a boolean that is neither 0 nor 1")
    return byte == 1, at + 1


def read_float(value: bytes, at: int) -> tuple[float, int]:
    """Four bytes, little-endian."""
    return _FLOAT.unpack_from(value, at)[0], at + 4


def read_double(value: bytes, at: int) -> tuple[float, int]:
    """Eight bytes, little-endian."""
    return _DOUBLE.unpack_from(value, at)[0], at + 8


def fixed_reader(size: int) -> Read:
    """Reads so many bytes."""

    def read(value: bytes, at: int) -> tuple[bytes, int]:
        return value[at : at + size], at + size

    return read


def enum_reader(symbols: list[str]) -> Read:
    """Reads an index and gives the symbol that stands there."""
    by_raw = {2 * index: symbol for index, symbol in enumerate(symbols)}  # as on the wire: zig-zag doubles it

    def read(value: bytes, at: int) -> tuple[str, int]:
        raw = value[at]
        if raw < 0x80:
            at += 1
        else:
            raw, at = read_raw(value, at)
        symbol = by_raw.get(raw)
        if symbol is None:
            raise Malformed("an enum index that names no symbol")
        return symbol, at

    return read


def union_reader(branches: list[Read]) -> Read:
    """Reads an index, then what stands there."""
    by_raw = {2 * index: branch for index, branch in enumerate(branches)}
    nulls = [raw for raw, branch in by_raw.items() if branch is read_null]
    null = nulls[0] if nulls else -1

    def read(value: bytes, at: int) -> tuple[Any, int]:
        raw = value[at]
        if raw == null:  # the usual case, worth a tenth of a LeadEvent's time
            return None, at + 1
        raw, at = read_raw(value, at)
        if raw not in by_raw:
            raise Malformed("a union index that names no branch")
        return by_raw[raw](value, at)

    return read


def refusal(reason: str) -> Read:
    """Stands for a type that cannot be read."""

    def read(_value: bytes, _at: int) -> tuple[Any, int]:
        raise Malformed(reason)

    return read


def record_reader(fields: list[tuple[str, Read]], dropped: Collection[str], defaults: dict[str, Any]) -> Read:
    """Reads a record's fields.

    Args:
        fields: Name and reader, in the writer's order.
        dropped: Names of fields that only the writer has.
        defaults: Fields that only the reader has.
    """
    flat = not any(isinstance(default, list | dict) for default in defaults.values())
    fresh: Callable[[dict[str, Any]], dict[str, Any]] = dict if flat else deepcopy

    def read(value: bytes, at: int) -> tuple[dict[str, Any], int]:
        datum = fresh(defaults)
        name = ""
        try:
            for name, field in fields:
                datum[name], at = field(value, at)
        except FAULTS as fault:
            raise Malformed(f"{name}: {describe(fault)}") from None
        for name in dropped:
            del datum[name]
        return datum, at

    return read


def blocks_reader(read_item: Read, gather: Callable[[list[Any]], Any]) -> Read:
    """Reads the items of an array or map, which come in counted blocks up to an empty one.

    Items that take no bytes are refused: so the work is bound by the bytes that are there, and no value of a hundred
    bytes can ask for 2**60 nulls.
    """

    def read(value: bytes, at: int) -> tuple[Any, int]:
        items: list[Any] = []
        while True:
            count, at = read_long(value, at)
            if count == 0:
                return gather(items), at
            end = None
            if count < 0:  # then the size of the block in bytes follows
                size, at = read_long(value, at)
                count, end = -count, at + size
            for _ in range(count):
                start = at
                item, at = read_item(value, at)
                if at == start:
                    raise Malformed("items without bytes")
                items.append(item)
            if end not in (None, at):
                raise Malformed("a block that is not of its size")

    return read

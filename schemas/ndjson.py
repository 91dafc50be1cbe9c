"""Lead events as lines of JSON: the form in which files carry them to `produce file` and to training.

What a field may hold is read from `lead_event.avsc`, so that a line which is accepted here can be written as Avro.
Gates on the meaning (an empty id, an account created after its event) belong to whoever takes the event in.
"""

import json
import re
from collections.abc import Callable, Mapping
from functools import cache
from importlib import resources
from typing import Any, Final, NamedTuple, NoReturn

from schemas.times import MAX_MS, MIN_MS, format_rfc3339, parse_rfc3339

Check = Callable[[Any], Any]

_INTEGER_RANGES: Final = {"int": (-(2**31), 2**31 - 1), "long": (-(2**63), 2**63 - 1)}
_KINDS: Final = {
    dict: "an object",
    list: "an array",
    str: "a string",
    bool: "a boolean",
    float: "a number with a point",
}
_HARMLESS_WORD: Final = re.compile(r"[A-Za-z_]{1,32}")  # cannot be an address, a name with a space or an id
_REQUIRED: Final = object()
_NO_DEFAULTS: Final[Mapping[str, Any]] = {}


class EventError(ValueError):
    """A line or row that is no lead event. The message names field, kind and what is allowed, and quotes no value.

    Attributes:
        code: What is wrong, of a closed set, to count by: `not_utf8`, `not_json`, `not_an_object`, `missing_field`,
            `unknown_field`, `wrong_type`, `out_of_range`.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def parse_event(line: str | bytes, defaults: Mapping[str, Any] = _NO_DEFAULTS) -> dict[str, Any]:
    """The lead event that a line of JSON holds: every field of the schema in its order, times as integer ms.

    Args:
        line: One JSON object. Times are RFC 3339 text or integer milliseconds; a nullable field may be left out.
        defaults: Values of fields that the line may leave out.

    Raises:
        EventError: It is no lead event; report it and go on with the next line.

    >>> parse_event('{"event_id": "e1", "lead_id": "42", "event_type": "EMAIL_OPEN",'
    ...             ' "occurred_at": "2025-01-01T00:00:00Z"}', {"source": "crm"})["occurred_at"]
    1735689600000
    """
    try:
        row = json.loads(line if isinstance(line, str) else line.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise EventError("not_utf8", f"not UTF-8 (byte {error.start} of the line)") from None
    except json.JSONDecodeError as error:
        raise EventError("not_json", f"not JSON: {error.msg} at column {error.colno}") from None
    except (ValueError, RecursionError):  # a number of thousands of digits; brackets nested thousands deep
        raise EventError("not_json", "JSON beyond what is read: nested too deep, or a number too long") from None
    return event_from_row(row, defaults)


def event_from_row(row: object, defaults: Mapping[str, Any] = _NO_DEFAULTS) -> dict[str, Any]:
    """The lead event that a decoded JSON object holds; as `parse_event` otherwise.

    Raises:
        EventError: The object is no lead event.
    """
    if not isinstance(row, dict):
        raise EventError("not_an_object", f"is {kind(row)}, allowed: an object with the fields of LeadEvent")
    fields = _fields()
    event: dict[str, Any] = {}
    known = 0
    for name, check, missing in fields:
        value = row.get(name, _REQUIRED)
        if value is _REQUIRED:
            event[name] = _default(name, missing, defaults)
            continue
        known += 1
        try:
            event[name] = check(value)
        except EventError as error:
            raise EventError(error.code, f"{name}: {error}") from None
    if known != len(row):
        _refuse_unknown(row, fields)
    return event


def format_event(event: Mapping[str, Any]) -> str:
    """The line of JSON, without its line end, from which `parse_event` gives the same event.

    Args:
        event: A lead event with times as integer ms.
    """
    row = dict(event)
    row["occurred_at"] = format_rfc3339(row["occurred_at"])
    if row.get("created_at") is not None:
        row["created_at"] = format_rfc3339(row["created_at"])
    return _encode(row)


def field_names() -> tuple[str, ...]:
    """The fields of LeadEvent, in the schema's order."""
    return tuple(field.name for field in _fields())


def kind(value: object) -> str:
    """What sort of JSON value this is, for messages that must not quote it."""
    return "null" if value is None else _KINDS.get(type(value), "an integer")


class _Field(NamedTuple):
    name: str
    check: Check
    missing: Any


@cache
def _fields() -> tuple[_Field, ...]:
    schema = json.loads(resources.files("schemas").joinpath("lead_event.avsc").read_text("utf-8"))
    return tuple(_Field(f["name"], _check(f["type"]), _missing(f)) for f in schema["fields"])


def _missing(field: Mapping[str, Any]) -> Any:
    nullable = isinstance(field["type"], list) and "null" in field["type"]
    return field.get("default", None if nullable else _REQUIRED)


def _check(avro_type: Any) -> Check:
    if isinstance(avro_type, list):
        (inner,) = (part for part in avro_type if part != "null")
        return _nullable(_check(inner))
    if isinstance(avro_type, str):
        return _text if avro_type == "string" else _integer(*_INTEGER_RANGES[avro_type])
    if avro_type["type"] == "enum":
        return _symbol(frozenset(avro_type["symbols"]), ", ".join(avro_type["symbols"]))
    if avro_type.get("logicalType") == "timestamp-millis":
        return _time
    return _check(avro_type["type"])


def _nullable(check: Check) -> Check:
    return lambda value: None if value is None else check(value)


def _text(value: Any) -> str:
    if type(value) is not str:
        _refuse(value, "a string")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:  # JSON can write half of a surrogate pair, UTF-8 cannot
            raise EventError("out_of_range", "holds half of a surrogate pair, allowed: any Unicode text") from None
    return value


def _integer(low: int, high: int) -> Check:
    allowed = f"an integer from {low} to {high}"

    def check(value: Any) -> int:
        if type(value) is not int:
            _refuse(value, allowed)
        if not low <= value <= high:
            raise EventError("out_of_range", f"is out of range, allowed: {allowed}")
        return value

    return check


def _symbol(symbols: frozenset[str], allowed: str) -> Check:
    def check(value: Any) -> str:
        if type(value) is not str:
            _refuse(value, allowed)
        if value not in symbols:
            shown = value if _HARMLESS_WORD.fullmatch(value) else "another text"
            raise EventError("out_of_range", f"is {shown}, allowed: {allowed}")
        return value

    return check


def _time(value: Any) -> int:
    if type(value) is int:
        if not MIN_MS <= value <= MAX_MS:
            raise EventError("out_of_range", "is a time before year 1 or after 9999")
        return value
    if type(value) is not str:
        _refuse(value, "an RFC 3339 time or an integer of milliseconds since 1970")
    try:
        return parse_rfc3339(value)
    except ValueError as error:
        raise EventError("out_of_range", f"is {error}") from None


def _refuse(value: object, allowed: str) -> NoReturn:
    raise EventError("wrong_type", f"is {kind(value)}, allowed: {allowed}")


def _default(name: str, missing: Any, defaults: Mapping[str, Any]) -> Any:
    value = defaults.get(name, missing)
    if value is _REQUIRED:
        raise EventError("missing_field", f"{name}: is missing")
    return value


def _refuse_unknown(row: Mapping[str, Any], fields: tuple[_Field, ...]) -> NoReturn:
    names = [field.name for field in fields]
    unknown = sorted(name for name in row if name not in names)
    shown = ", ".join(name if _HARMLESS_WORD.fullmatch(name) else "(not shown)" for name in unknown[:3])
    raise EventError("unknown_field", f"unknown field: {shown}; the fields of LeadEvent are {', '.join(names)}")


_encode: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode

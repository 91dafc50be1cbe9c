"""From the text of a cell to the value of a field."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Final
from zoneinfo import ZoneInfo

from producer.importing.mapping import Times
from producer.importing.rejection import RowError
from schemas.times import parse_rfc3339

Convert = Callable[[Any], Any]

_WHOLE: Final = re.compile(r"[+-]?[0-9]{1,18}(\.0*)?")  # tables with gaps write their integers as 120.0
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)


def whole_number(value: Any) -> Any:
    """An integer from text; what is no text stays as it is, for the schema to judge.

    >>> whole_number("120.0")
    120
    """
    if not isinstance(value, str):
        return value
    if not _WHOLE.fullmatch(value.strip()):
        raise RowError("wrong_type", "is not a whole number")
    return int(value.strip().partition(".")[0])


def time_reader(times: Times) -> Convert:
    """Reads times as a mapping describes them, to integer ms.

    >>> time_reader(Times(format="%d.%m.%Y %H:%M", zone="Europe/Berlin"))("01.01.2025 01:00")
    1735689600000
    """
    match times.format:
        case "rfc3339":
            read: Callable[[str], int] = parse_rfc3339
        case "epoch_ms":
            read = int
        case "epoch_s":
            return _epoch_seconds
        case pattern:
            read = _by_pattern(pattern, ZoneInfo(times.zone) if times.zone else None)
    remembered = lru_cache(maxsize=4096)(read)  # logs repeat their seconds, and strptime is slow

    def convert(value: Any) -> Any:
        if not isinstance(value, str):
            return value
        try:
            return remembered(value)
        except (ValueError, OverflowError):
            raise RowError("bad_time", f"is not a time in the format {times.format}") from None

    return convert


def _by_pattern(pattern: str, zone: ZoneInfo | None) -> Callable[[str], int]:
    def read(text: str) -> int:
        moment = datetime.strptime(text, pattern)  # noqa: DTZ007 - the zone is the mapping's
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=zone)
        return (moment - _EPOCH) // _MILLISECOND

    return read


def _epoch_seconds(value: Any) -> Any:
    """Seconds, with a fraction or not; the schema's range is checked later."""
    try:
        return round(float(value) * 1000)
    except (TypeError, ValueError, OverflowError):
        raise RowError("bad_time", "is not a number of seconds since 1970") from None

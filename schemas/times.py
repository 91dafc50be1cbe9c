"""RFC 3339 text to integer milliseconds since 1970 and back: the one time format of files that people exchange."""

from datetime import UTC, datetime, timedelta

MIN_MS = -62_135_596_800_000  # 0001-01-01T00:00:00Z: what a timestamp-millis may hold here (contract 3)
MAX_MS = 253_402_300_799_999  # 9999-12-31T23:59:59.999Z

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


def parse_rfc3339(text: str) -> int:
    """Milliseconds since 1970 of an RFC 3339 time; finer digits are cut off, not rounded.

    Args:
        text: A date, a time and an offset from UTC.

    Raises:
        ValueError: It is no such time, has no offset (a local time means nothing to another machine), or lies
            before year 1 or after 9999.

    >>> parse_rfc3339("2025-01-01T00:00:00.0019Z"), parse_rfc3339("2025-01-01T02:00:00+02:00")
    (1735689600001, 1735689600000)
    """
    try:
        moment = datetime.fromisoformat(text.upper())
    except ValueError:
        raise ValueError("not an RFC 3339 time such as 2025-01-01T00:00:00Z") from None
    if moment.tzinfo is None:
        raise ValueError("a time without its offset from UTC (write Z for UTC)")
    ms = (moment - _EPOCH) // _MILLISECOND
    if not MIN_MS <= ms <= MAX_MS:
        raise ValueError("a time before year 1 or after 9999")
    return ms


def format_rfc3339(ms: int) -> str:
    """RFC 3339 text in UTC, to the millisecond.

    >>> format_rfc3339(1735689600001)
    '2025-01-01T00:00:00.001Z'
    """
    return (_EPOCH + timedelta(milliseconds=ms)).isoformat(timespec="milliseconds")[:-6] + "Z"

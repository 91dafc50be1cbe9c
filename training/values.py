"""Text of a CSV cell to a value. People's files are read more kindly than events: a time without offset is UTC."""

import math
import re
from datetime import UTC, datetime
from typing import Final

from schemas.times import parse_rfc3339

_TRUE: Final = frozenset({"true", "t", "yes", "y", "1", "1.0"})
_FALSE: Final = frozenset({"false", "f", "no", "n", "0", "0.0"})
_NOTHING: Final = frozenset({"", "null", "none", "na", "n/a"})  # not "nan": a computed NaN is a fault upstream
_EPOCH_MS: Final = re.compile(r"-?\d{12,14}")
_COUNT_MAX: Final = 2**31 - 1


def is_null(text: str) -> bool:
    """Whether the cell says that there is no value.

    >>> is_null(" "), is_null("NULL"), is_null("nan"), is_null("0")
    (True, True, False, False)
    """
    return text.strip().lower() in _NOTHING


def count(text: str) -> int:
    """A whole number of at least 0; `3.0`, as some tools write it, is 3.

    Raises:
        ValueError: Anything else, with the complaint; it does not quote the text.

    >>> count("12"), count("3.0")
    (12, 3)
    """
    try:
        number = float(text)
    except ValueError:
        raise ValueError("is not a number") from None
    if not math.isfinite(number):
        raise ValueError("is NaN or infinite")
    if number < 0:
        raise ValueError("is negative")
    if number != int(number) or number > _COUNT_MAX:
        raise ValueError("is not a whole number up to 2147483647")
    return int(number)


def moment(text: str) -> int:
    """Milliseconds since 1970: ISO 8601 date or time (UTC unless it says otherwise), or an integer of milliseconds.

    Raises:
        ValueError: Anything else.

    >>> moment("2019-10-01 00:00:01 UTC") == moment("2019-10-01T00:00:01Z") == 1569888001000
    True
    >>> moment("2019-10-01"), moment("1569888000000")
    (1569888000000, 1569888000000)
    """
    text = text.strip()
    if _EPOCH_MS.fullmatch(text):
        return int(text)
    text = text.removesuffix(" UTC")
    try:
        parsed = datetime.fromisoformat(text)
        return parse_rfc3339((parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).isoformat())
    except (ValueError, OverflowError):
        raise ValueError("is not an ISO 8601 time, or outside year 1 to 9999") from None


def yes_or_no(text: str) -> bool:
    """True or false as people and tools write it.

    Raises:
        ValueError: Anything else.

    >>> yes_or_no("TRUE"), yes_or_no("0")
    (True, False)
    """
    word = text.strip().lower()
    if word in _TRUE:
        return True
    if word in _FALSE:
        return False
    raise ValueError("is neither true nor false (nor yes/no, 1/0)")

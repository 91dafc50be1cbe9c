"""From a caller's arguments to a lead event that the scorer will accept."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from producer.errors import InvalidEventError
from schemas.ndjson import EventError, event_from_row

Moment = datetime | int
"""A time: an aware datetime, or integer milliseconds since 1970."""

ID_CODE_POINTS_MAX: Final = 256  # contract 5, `oversized`

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)


def valid_event(fields: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """The event of these fields, checked against the schema and the scorer's gates (contract 5).

    The gate on future events is not among them: it compares with the broker's clock.

    Args:
        fields: Fields of `LeadEvent`; times as aware datetimes, RFC 3339 text or integer milliseconds.
        defaults: Values of fields that may be left out.

    Raises:
        InvalidEventError: The scorer would not accept it.
    """
    row = {name: _ms(name, value) if isinstance(value, datetime) else value for name, value in fields.items()}
    try:
        event = event_from_row(row, defaults)
    except EventError as error:
        raise InvalidEventError(error.code, str(error)) from None
    check_gates(event)
    return event


def check_gates(event: Mapping[str, Any]) -> None:
    """Refuses what the scorer would put to its dead letters.

    Raises:
        InvalidEventError: With the dead letter's reason as its code.
    """
    for name in ("lead_id", "event_id"):
        if not event[name]:
            raise InvalidEventError(f"empty_{name}", f"{name}: is empty")
        if len(event[name]) > ID_CODE_POINTS_MAX:
            length = len(event[name])
            raise InvalidEventError("oversized", f"{name}: has {length} characters, allowed: {ID_CODE_POINTS_MAX}")
    created_at, headcount = event["created_at"], event["company_headcount"]
    if created_at is not None and created_at > event["occurred_at"]:
        raise InvalidEventError("negative_account_age", "created_at: is after occurred_at")
    if headcount is not None and headcount < 0:
        raise InvalidEventError("negative_headcount", "company_headcount: is negative, allowed: 0 (unknown) and above")


def _ms(name: str, moment: datetime) -> int:
    if moment.tzinfo is None:
        raise InvalidEventError("wrong_type", f"{name}: is a datetime without a time zone, allowed: an aware one")
    return (moment - _EPOCH) // _MILLISECOND

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producer.errors import InvalidEventError
from producer.events import valid_event
from scoring.gates import gate

FIELDS: dict[str, Any] = {"lead_id": "42", "event_type": "PAGE_VISIT", "occurred_at": 1000}
DEFAULTS = {"event_id": "e", "source": "s"}


def refusal(**fields: Any) -> InvalidEventError:
    with pytest.raises(InvalidEventError) as caught:
        valid_event({**FIELDS, **fields}, DEFAULTS)
    return caught.value


def test_fields_that_are_left_out_get_their_defaults() -> None:
    """Every field of the schema is there."""
    assert valid_event(FIELDS, DEFAULTS) == {
        "event_id": "e",
        "lead_id": "42",
        "event_type": "PAGE_VISIT",
        "occurred_at": 1000,
        "source": "s",
        "page_url": None,
        "email": None,
        "company_headcount": None,
        "created_at": None,
    }


def test_a_datetime_in_any_zone_is_its_moment() -> None:
    """Milliseconds since 1970, whatever the zone."""
    east = datetime(1970, 1, 1, 2, tzinfo=timezone(timedelta(hours=2)))
    assert valid_event({**FIELDS, "occurred_at": east}, DEFAULTS)["occurred_at"] == 0


def test_a_naive_datetime_is_refused() -> None:
    """Local time means another moment on every machine."""
    assert "without a time zone" in str(refusal(occurred_at=datetime(2025, 1, 1)))  # noqa: DTZ001


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"lead_id": ""}, "empty_lead_id"),
        ({"event_id": ""}, "empty_event_id"),
        ({"lead_id": "x" * 257}, "oversized"),
        ({"event_id": "x" * 257}, "oversized"),
        ({"created_at": 1001}, "negative_account_age"),
        ({"created_at": datetime(2025, 1, 1, tzinfo=UTC)}, "negative_account_age"),
        ({"company_headcount": -1}, "negative_headcount"),
        ({"event_type": "view"}, "out_of_range"),
        ({"lead_id": 42}, "wrong_type"),
        ({"lead_id": "\ud800"}, "out_of_range"),
        ({"colour": "red"}, "unknown_field"),
    ],
)
def test_what_the_scorer_would_not_accept_is_refused(fields: dict[str, Any], code: str) -> None:
    """Up front, with the reason that its dead letter would have had."""
    assert refusal(**fields).code == code


def test_256_characters_are_not_oversized() -> None:
    """The limit is the gate's: code points, not bytes."""
    assert valid_event({**FIELDS, "lead_id": "ü" * 256}, DEFAULTS)


@given(
    st.fixed_dictionaries(
        {
            "event_id": st.sampled_from(["", "e", "x" * 256, "x" * 257]),
            "lead_id": st.sampled_from(["", "42", "ü" * 256, "ü" * 257]),
            "company_headcount": st.none() | st.integers(-2, 2),
            "created_at": st.none() | st.integers(998, 1002),
        }
    )
)
def test_the_check_agrees_with_the_scorers_gate(fields: dict[str, Any]) -> None:
    """What passes here passes there, and what does not is refused with a reason of the gate's."""
    row: Any = {"page_url": None, "email": None, **FIELDS, **DEFAULTS, **fields}
    reason = gate(row, row["lead_id"].encode(), 1000)
    if reason is None:
        valid_event(row, {})
    else:
        assert refusal(**fields).code in {"empty_lead_id", "empty_event_id", "oversized", reason}

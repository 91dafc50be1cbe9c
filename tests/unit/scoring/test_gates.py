"""The record gates: each refuses what it is for, at its exact limit, in the contract's order."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given

from scoring.gates import REASONS, gate
from tests import oracle
from tests.unit.scoring.strategies import DAY_MS, NOON_MS, YEAR_1_MS, event_of, records

LONG = "ü" * 257


def test_a_good_event_passes() -> None:
    """An event without a fault has no reason."""
    assert gate(event_of(), b"l", NOON_MS) is None


@pytest.mark.parametrize(
    ("fields", "key", "reason"),
    [
        ({"lead_id": ""}, b"", "empty_lead_id"),
        ({"event_id": ""}, b"l", "empty_event_id"),
        ({"event_id": LONG}, b"l", "oversized"),
        ({"lead_id": LONG}, LONG.encode(), "oversized"),
        ({}, None, "key_mismatch"),
        ({}, b"L", "key_mismatch"),
        ({}, b"l ", "key_mismatch"),
        ({"lead_id": "ü"}, "ü".encode("latin-1"), "key_mismatch"),
        ({"occurred_at": NOON_MS + 300_001}, b"l", "occurred_in_future"),
        ({"created_at": NOON_MS + 1}, b"l", "negative_account_age"),
        ({"company_headcount": -1}, b"l", "negative_headcount"),
    ],
)
def test_each_fault_has_its_reason(fields: dict[str, Any], key: bytes | None, reason: str) -> None:
    """Each fault alone gives its own reason."""
    assert gate(event_of(**fields), key, NOON_MS) == reason


@pytest.mark.parametrize(
    ("fields", "key"),
    [
        ({"event_id": "ü" * 256}, b"l"),
        ({"lead_id": "😀" * 256}, ("😀" * 256).encode()),
        ({"occurred_at": NOON_MS + 300_000}, b"l"),
        ({"created_at": NOON_MS}, b"l"),
        ({"company_headcount": 0}, b"l"),
        ({"occurred_at": YEAR_1_MS}, b"l"),
        ({"created_at": YEAR_1_MS}, b"l"),
    ],
)
def test_the_limit_itself_passes(fields: dict[str, Any], key: bytes) -> None:
    """What stands exactly at a limit is good: 256 code points, five minutes, created as it occurred, headcount 0."""
    assert gate(event_of(**fields), key, NOON_MS) is None


@pytest.mark.parametrize("event_type", ["PAGE_VISIT", "EMAIL_OPEN", "DEMO_REQUEST", "PROFILE_UPDATE", "OTHER"])
def test_the_gates_hold_for_every_type(event_type: str) -> None:
    """An attribute that the fold would ignore is looked at all the same."""
    assert gate(event_of(event_type=event_type, company_headcount=-1), b"l", NOON_MS) == "negative_headcount"


def test_the_first_gate_names_the_reason() -> None:
    """Of several faults the first in the contract's order counts: mending them one by one shows the order."""
    event = event_of(
        lead_id="",
        event_id="",
        occurred_at=NOON_MS + DAY_MS,
        created_at=NOON_MS + 2 * DAY_MS,
        company_headcount=-1,
    )
    seen = [gate(event, None, NOON_MS)]
    event["lead_id"] = LONG
    seen.append(gate(event, None, NOON_MS))
    event["event_id"] = "e"
    seen.append(gate(event, None, NOON_MS))
    event["lead_id"] = "l"
    seen.append(gate(event, None, NOON_MS))
    seen.append(gate(event, b"l", NOON_MS))
    event["occurred_at"] = NOON_MS
    seen.append(gate(event, b"l", NOON_MS))
    event["created_at"] = None
    seen.append(gate(event, b"l", NOON_MS))
    assert tuple(seen) == REASONS


@given(records())
def test_the_gates_agree_with_the_oracle(drawn: list[oracle.Record]) -> None:
    """Whatever comes, both implementations name the same reason."""
    for record in drawn:
        if not isinstance(record.value, str):
            event = event_of(**record.value)
            assert gate(event, record.key, record.append_ms) == oracle.gate(record)

"""The ways in which records go wrong: each of the scorer's gates, and how the same looks in a file."""

import hashlib
import json
from typing import Any, Final

Event = dict[str, Any]
Record = tuple[bytes | None, bytes | None]

IN_THE_RECORD: Final = ("garbage", "truncated", "unknown_schema", "empty_value", "null_key", "key_mismatch")
IN_A_FIELD: Final = (
    "empty_lead_id",
    "empty_event_id",
    "oversized",
    "occurred_in_future",
    "negative_account_age",
    "negative_headcount",
)
FAULTS: Final = IN_THE_RECORD + IN_A_FIELD

_FAR_FUTURE_MS: Final = 32_472_144_000_000  # 2999-01-01: beyond any broker's clock
_OVERSIZED: Final = "x" * 257  # one code point more than the gate lets through
_AFTER_OCCURRED_MS: Final = 86_400_000


def in_a_field(fault: str, number: int, event: Event) -> Event:
    """The event with one field that a gate refuses; for the other faults the event as it is.

    Args:
        fault: One of `FAULTS`.
        number: Chooses between the forms of a fault.
        event: A good event.
    """
    match fault:
        case "empty_lead_id":
            return {**event, "lead_id": ""}
        case "empty_event_id":
            return {**event, "event_id": ""}
        case "oversized":
            return {**event, ("lead_id", "event_id")[number % 2]: _OVERSIZED}
        case "occurred_in_future":
            return {**event, "occurred_at": _FAR_FUTURE_MS}
        case "negative_account_age":
            created_at = event["occurred_at"] + _AFTER_OCCURRED_MS
            return {**event, "event_type": "PROFILE_UPDATE", "created_at": created_at}
        case "negative_headcount":
            return {**event, "event_type": "PROFILE_UPDATE", "company_headcount": -1 - number % 50}
        case _:
            return event


def in_the_record(fault: str, number: int, key: bytes, value: bytes) -> Record:
    """Key and value as they go wrong on the way to Kafka; for faults in a field as they are.

    Args:
        fault: One of `FAULTS`.
        number: Chooses between the forms of a fault.
        key: The lead id.
        value: The encoded event, in either framing.
    """
    match fault:
        case "garbage":
            return key, b"\xff" + hashlib.blake2b(value, digest_size=40).digest()
        case "truncated":
            return key, value[: len(value) * 2 // 3]
        case "unknown_schema":
            header = 10 if value[:2] == b"\xc3\x01" else 5
            return key, b"\xc3\x01" + b"unknown!" + value[header:]
        case "empty_value":
            return key, (None, b"")[number % 2]
        case "null_key":
            return None, value
        case "key_mismatch":
            return key + b"-other", value
        case _:
            return key, value


def in_the_line(fault: str, line: str) -> str:
    """The line of a file in which the same has gone wrong; for faults in a field as it is.

    Args:
        fault: One of `FAULTS`.
        line: The event as `schemas.ndjson` writes it.
    """
    match fault:
        case "garbage":
            return "\\x00 " + hashlib.blake2b(line.encode(), digest_size=20).hexdigest()
        case "truncated":
            return line[: len(line) * 2 // 3]
        case "unknown_schema":
            return json.dumps({**json.loads(line), "lead_score_hint": 1})
        case "empty_value":
            return "{}"
        case "null_key":
            return json.dumps({**json.loads(line), "lead_id": None})
        case "key_mismatch":
            return json.dumps({**json.loads(line), "lead_id": 7})
        case _:
            return line

from typing import Any

import pytest

from producer.simulation.faults import FAULTS, IN_A_FIELD, IN_THE_RECORD, in_a_field, in_the_line, in_the_record
from producer.sinks import KafkaSink
from producer.transport import Transport
from schemas.codec import UndecodableError, UnknownSchemaError, lead_event_codec
from schemas.ndjson import EventError, format_event, parse_event
from scoring.gates import REASONS, gate
from tests.unit.producer.fakes import FakeClient, FakeClock

EVENT: dict[str, Any] = {
    "event_id": "e1",
    "lead_id": "42",
    "event_type": "PAGE_VISIT",
    "occurred_at": 1735689600000,
    "source": "s",
    "page_url": None,
    "email": None,
    "company_headcount": None,
    "created_at": None,
}
NOW_MS = 1_800_000_000_000
CODEC = lead_event_codec()


def reason_of(fault: str, number: int) -> str | None:
    """What the scorer makes of the record that the sink writes."""
    clock = FakeClock()
    client = FakeClient(clock)
    sink = KafkaSink(Transport(lambda: client, "t", queue_timeout_s=1, clock=clock), CODEC, 1)
    sink.write_malformed(in_a_field(fault, number, EVENT), fault, number)
    record = client.sent[-1]
    try:
        event: Any = CODEC.decode(record.value)
    except UndecodableError:
        return "undecodable"
    except UnknownSchemaError:
        return "unknown_schema"
    return gate(event, record.key, NOW_MS)


@pytest.mark.parametrize("number", [0, 1])
@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("garbage", "undecodable"),
        ("truncated", "undecodable"),
        ("unknown_schema", "unknown_schema"),
        ("empty_value", "undecodable"),
        ("null_key", "key_mismatch"),
        ("key_mismatch", "key_mismatch"),
        *((fault, fault) for fault in IN_A_FIELD),
    ],
)
def test_each_fault_is_its_dead_letter(fault: str, reason: str, number: int) -> None:
    """In both of its forms the scorer would give it that reason."""
    assert reason_of(fault, number) == reason


def test_the_faults_cover_every_reason() -> None:
    """No gate goes without a record that it refuses."""
    assert {reason_of(fault, 0) for fault in FAULTS} == {*REASONS, "undecodable", "unknown_schema"}


@pytest.mark.parametrize("framed", [b"\x00\x00\x00\x00\x07", b"\xc3\x01........"])
def test_an_unknown_schema_replaces_either_framing(framed: bytes) -> None:
    """The datum stays, whatever stood before it."""
    _, value = in_the_record("unknown_schema", 0, b"k", framed + b"datum")
    assert value is not None
    assert value[:2] == b"\xc3\x01"
    assert value[10:] == b"datum"


@pytest.mark.parametrize("fault", IN_THE_RECORD)
def test_in_a_file_the_line_is_what_is_wrong(fault: str) -> None:
    """What goes wrong on the way to Kafka has a counterpart that no reader of the file accepts."""
    with pytest.raises(EventError):
        parse_event(in_the_line(fault, format_event(EVENT)))


@pytest.mark.parametrize("fault", IN_A_FIELD)
def test_in_a_file_a_fault_in_a_field_is_the_same(fault: str) -> None:
    """The line is read, and the gate refuses the event."""
    event: Any = parse_event(in_the_line(fault, format_event(in_a_field(fault, 0, EVENT))))
    assert gate(event, event["lead_id"].encode(), NOW_MS) == fault

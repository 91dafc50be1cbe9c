import uuid
from typing import Any

import pytest
from confluent_kafka import KafkaError

from producer import DeliveryError, InvalidEventError, LeadEventProducer, ProducerSettings
from schemas.codec import lead_event_codec
from tests.unit.producer.fakes import FakeClient, FakeClock

SETTINGS = ProducerSettings(source="website")


@pytest.fixture
def client() -> FakeClient:
    return FakeClient(FakeClock())


@pytest.fixture
def events(client: FakeClient) -> LeadEventProducer:
    return LeadEventProducer(SETTINGS, client=client, clock=client.clock)


def last(client: FakeClient) -> dict[str, Any]:
    return lead_event_codec().decode(client.sent[-1].value)


def test_a_page_visit_is_a_lead_event(events: LeadEventProducer, client: FakeClient) -> None:
    """Every field of the schema, the source from the settings, the time from the clock."""
    event_id = events.page_visit(lead_id="42", page_url="https://example.com/")
    assert last(client) == {
        "event_id": event_id,
        "lead_id": "42",
        "event_type": "PAGE_VISIT",
        "occurred_at": 1_000_000,
        "source": "website",
        "page_url": "https://example.com/",
        "email": None,
        "company_headcount": None,
        "created_at": None,
    }


def test_the_key_is_the_lead_id_in_utf_8(events: LeadEventProducer, client: FakeClient) -> None:
    """The scorer's gate compares it byte by byte."""
    events.email_open(lead_id="zoë")
    assert client.sent[-1].key == "zoë".encode()


def test_each_method_has_its_event_type(events: LeadEventProducer, client: FakeClient) -> None:
    """As the names say."""
    events.page_visit(lead_id="42")
    events.email_open(lead_id="42")
    events.demo_request(lead_id="42")
    events.profile_update(lead_id="42", company_headcount=0)
    types = [lead_event_codec().decode(sent.value)["event_type"] for sent in client.sent]
    assert types == ["PAGE_VISIT", "EMAIL_OPEN", "DEMO_REQUEST", "PROFILE_UPDATE"]


def test_a_profile_update_carries_what_is_given(events: LeadEventProducer, client: FakeClient) -> None:
    """None leaves an attribute as it was."""
    events.profile_update(lead_id="42", email="jo@example.com", created_at=5, occurred_at=7)
    event = last(client)
    assert (event["email"], event["company_headcount"], event["created_at"]) == ("jo@example.com", None, 5)


def test_generated_event_ids_are_uuids(events: LeadEventProducer) -> None:
    """Two events without an id get two."""
    first, second = events.email_open(lead_id="42"), events.email_open(lead_id="42")
    assert uuid.UUID(first).version == 4
    assert first != second


def test_a_given_event_id_is_kept(events: LeadEventProducer, client: FakeClient) -> None:
    """To send an event again means to send it under the same id."""
    assert events.send({"event_id": "e1", "lead_id": "42", "event_type": "OTHER", "source": "crm"}) == "e1"
    assert (last(client)["event_id"], last(client)["source"]) == ("e1", "crm")


def test_invalid_arguments_send_nothing(events: LeadEventProducer, client: FakeClient) -> None:
    """The fault is the caller's, and raised in its call."""
    with pytest.raises(InvalidEventError):
        events.page_visit(lead_id="")
    assert client.sent == []


def test_leaving_the_block_raises_what_was_not_delivered(client: FakeClient) -> None:
    """The last events have no next call that could raise it."""
    client.answers = False
    with pytest.raises(DeliveryError, match="not delivered in time"):  # noqa: SIM117
        with LeadEventProducer(SETTINGS, client=client, clock=client.clock) as events:
            events.page_visit(lead_id="42")


def test_an_error_in_the_block_is_not_hidden(client: FakeClient) -> None:
    """The delivery failure becomes a note of the error that ended the block."""
    client.answers = False
    with pytest.raises(KeyError) as caught:  # noqa: PT012, SIM117
        with LeadEventProducer(SETTINGS, client=client, clock=client.clock) as events:
            events.page_visit(lead_id="42", event_id="e1")
            raise KeyError("theirs")
    assert "event e1 was not delivered" in caught.value.__notes__[0]


def test_the_end_of_the_block_waits_for_acknowledgement(client: FakeClient) -> None:
    """Nothing is left in the queue."""
    with LeadEventProducer(SETTINGS, client=client, clock=client.clock) as events:
        events.page_visit(lead_id="42")
        client.queue.append(lambda *_: None)
    assert len(client) == 0


def test_the_callback_sees_the_failure_of_its_event(client: FakeClient) -> None:
    """For callers who want to know of each event."""
    told: list[tuple[str, bool]] = []
    client.fail_with = KafkaError(KafkaError._MSG_TIMED_OUT)
    events = LeadEventProducer(
        SETTINGS,
        client=client,
        clock=client.clock,
        on_delivery=lambda event_id, failure: told.append((event_id, failure is None)),
    )
    events.page_visit(lead_id="42", event_id="e1")
    assert told == [("e1", False)]

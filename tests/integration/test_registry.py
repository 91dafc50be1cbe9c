"""The codec and a real schema registry; Confluent's own serializers are the other party."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.serialization import MessageField, SerializationContext

from schemas import released
from schemas.codec import Codec, lead_event_codec
from schemas.errors import RegistryRefusedError, RegistryUnavailableError, UndecodableError, UnknownSchemaError
from schemas.registry import Registry
from tests.registry import LocalRegistry
from tests.unit.schemas.data import EVENT, changed, field, written_by_fastavro


class Clock:
    """Stands until it is moved."""

    now = 0.0

    def __call__(self) -> float:
        """Seconds."""
        return self.now


@pytest.fixture
def topic(request: pytest.FixtureRequest) -> str:
    """A topic, and so a subject, of the test's own."""
    return str(request.node.name)


@pytest.fixture
def client(registry: LocalRegistry) -> Iterator[Registry]:
    """A client of ours."""
    with Registry(registry.url) as client:
        yield client


@pytest.fixture
def confluent(registry: LocalRegistry) -> Iterator[SchemaRegistryClient]:
    """Confluent's client, for the other party."""
    with SchemaRegistryClient({"url": registry.url}) as client:
        yield client


def frame(schema_id: int, datum: bytes) -> bytes:
    """A value in Confluent's format."""
    return b"\x00" + schema_id.to_bytes(4, "big") + datum


def with_datetimes(event: dict[str, Any]) -> dict[str, Any]:
    """An event as Confluent's serializer has it."""
    times = {name: event[name] for name in ("occurred_at", "created_at")}
    return {**event, **{name: datetime.fromtimestamp(ms / 1000, UTC) for name, ms in times.items()}}


def test_confluents_deserializer_reads_what_the_codec_writes(
    client: Registry, confluent: SchemaRegistryClient, topic: str
) -> None:
    """Any consumer of the decisions finds their schema by the id in the value."""
    value = lead_event_codec(f"{topic}-value", client).encode(EVENT)
    read = AvroDeserializer(confluent)(value, SerializationContext(topic, MessageField.VALUE))
    assert read == with_datetimes(EVENT)


def test_the_codec_reads_what_confluents_serializer_writes(
    client: Registry, confluent: SchemaRegistryClient, topic: str
) -> None:
    """An upstream team may use the library that it knows."""
    write = AvroSerializer(confluent, released.text("lead_event"))
    value = write(with_datetimes(EVENT), SerializationContext(topic, MessageField.VALUE))
    assert lead_event_codec(registry=client).decode(value) == EVENT


@pytest.mark.parametrize("name", released.NAMES)
def test_a_schema_registered_twice_has_one_id(registry: LocalRegistry, name: str, topic: str) -> None:
    """A restart, or a second instance, adds no version."""
    with Registry(registry.url) as one, Registry(registry.url) as other:
        heads = {Codec(name, subject=f"{topic}-value", registry=client).register() for client in (one, other)}
    assert len(heads) == 1


def test_a_newer_writer_is_read(client: Registry, topic: str) -> None:
    """Producers may be ahead: the new field is dropped, the new symbol is OTHER."""

    def newer(schema: dict[str, Any]) -> None:
        field(schema, "event_type")["type"]["symbols"].append("WEBINAR")
        schema["fields"].append({"name": "campaign", "type": ["null", "string"], "default": None})

    client.register(f"{topic}-value", released.text("lead_event"))
    avsc = changed("lead_event", newer)
    schema_id = client.register(f"{topic}-value", avsc)
    value = frame(schema_id, written_by_fastavro(avsc, {**EVENT, "event_type": "WEBINAR", "campaign": "spring"}))
    assert lead_event_codec(registry=client).decode(value) == {**EVENT, "event_type": "OTHER"}


def test_a_schema_that_does_not_resolve_is_undecodable(client: Registry, topic: str) -> None:
    """The registry knows it, and it is no lead event."""
    avsc = json.dumps({"type": "record", "name": "Order", "fields": [{"name": "id", "type": "string"}]})
    schema_id = client.register(f"{topic}-value", avsc)
    with pytest.raises(UndecodableError, match="Order is not LeadEvent"):
        lead_event_codec(registry=client).decode(frame(schema_id, b"\x02x"))


def test_an_incompatible_schema_is_refused(client: Registry, topic: str) -> None:
    """The registry's own rule stands behind the check of the test suite."""
    client.register(f"{topic}-value", released.text("lead_event"))
    incompatible = changed("lead_event", lambda s: s["fields"].append({"name": "campaign", "type": "string"}))
    with pytest.raises(RegistryRefusedError, match=f"{topic}-value"):
        client.register(f"{topic}-value", incompatible)


def test_what_is_no_schema_is_refused(client: Registry, topic: str) -> None:
    """Not an outage: waiting would be in vain."""
    with pytest.raises(RegistryRefusedError):
        client.register(f"{topic}-value", '{"type": "no such type"}')


def test_an_unknown_id_becomes_known_when_it_is_registered(
    registry: LocalRegistry, client: Registry, topic: str
) -> None:
    """The first record of a new producer may be a dead letter, its later ones are not."""
    avsc = changed("lead_event", lambda s: s.update(namespace="elsewhere"))
    coming = 1 + client.register(f"{topic}-other", changed("decision", lambda s: s.update(namespace="elsewhere")))
    value = frame(coming, written_by_fastavro(avsc, EVENT))
    clock = Clock()
    with Registry(registry.url, monotonic=clock) as reading:
        codec = lead_event_codec(registry=reading)
        with pytest.raises(UnknownSchemaError):
            codec.decode(value)
        assert client.register(f"{topic}-value", avsc) == coming
        clock.now += 10
        assert codec.decode(value) == EVENT


def test_a_registry_that_is_down_is_never_a_records_fault(
    registry: LocalRegistry, client: Registry, topic: str
) -> None:
    """Schemas that were seen are read on; a new one waits until the registry is back, with the same id."""
    writer = lead_event_codec(f"{topic}-value", client)
    value = writer.encode(EVENT)
    with Registry(registry.url) as other:
        reader = lead_event_codec(f"{topic}-value", other)
        registry.kill()
        try:
            assert writer.encode(EVENT) == value
            with pytest.raises(RegistryUnavailableError):
                reader.decode(value)
            with pytest.raises(RegistryUnavailableError):
                reader.register()
        finally:
            registry.start()
        assert reader.decode(value) == EVENT

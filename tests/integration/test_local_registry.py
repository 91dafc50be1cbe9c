"""The local schema registry that the codec's tests rest on."""

from __future__ import annotations

from confluent_kafka.schema_registry import Schema, SchemaRegistryClient

from tests.registry import LocalRegistry

SCHEMA = '{"type": "record", "name": "R", "fields": [{"name": "a", "type": "long"}]}'


def test_schema_ids_survive_a_kill(registry: LocalRegistry) -> None:
    """A registry that is killed and started again knows its schemas by the same ids, at the same address."""
    with SchemaRegistryClient({"url": registry.url}) as client:
        schema_id = client.register_schema("kept-value", Schema(SCHEMA, "AVRO"))
    registry.kill()
    registry.start()
    with SchemaRegistryClient({"url": registry.url}) as fresh:
        assert '"R"' in (fresh.get_schema(schema_id).schema_str or "")

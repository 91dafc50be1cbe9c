"""The schema registry away: records wait for it, the lag says so, and none becomes a dead letter for that."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from confluent_kafka import Producer

from schemas import released
from schemas.registry import Registry
from tests.faults.scenario import Scenario
from tests.kafka import Namespace, eventually
from tests.registry import LocalRegistry
from tests.unit.schemas.data import EVENT, changed, written_by_fastavro

NEW_RECORDS = 20


def newer(schema: dict[str, Any]) -> None:
    """The schema of an upstream that is ahead."""
    schema["fields"].append({"name": "campaign", "type": ["null", "string"], "default": None})


def new_id(registry: LocalRegistry, scenario: Scenario) -> int:
    """Registers that schema, which the service has not seen."""
    subject = f"{scenario.settings.topics.events}-value"
    with Registry(registry.url) as known:
        known.register(subject, released.text("lead_event"))
        return known.register(subject, changed("lead_event", newer))


def send(scenario: Scenario, schema_id: int) -> None:
    """Events in the new schema, of leads of their own."""
    producer = Producer({"bootstrap.servers": scenario.settings.kafka.bootstrap_servers})
    for number in range(NEW_RECORDS):
        lead_id = f"new-{number}"
        event = {**EVENT, "event_id": lead_id, "lead_id": lead_id, "created_at": None, "campaign": "spring"}
        datum = written_by_fastavro(changed("lead_event", newer), event)
        producer.produce(scenario.settings.topics.events, b"\x00" + schema_id.to_bytes(4, "big") + datum, lead_id)
    assert producer.flush(30) == 0


def test_an_unknown_schema_waits_for_the_registry(
    namespace: Namespace, registry: LocalRegistry, tmp_path: Path, seed: int
) -> None:
    """Lag grows and the log says why, a restart meanwhile waits too; when it is back all is scored, no dead letter."""
    environ = {"LEAD_SCORER__SCHEMA_REGISTRY__URL": registry.url}
    with Scenario(namespace, tmp_path, seed, environ) as scenario:
        scorer = scenario.scorer("a").start()
        scenario.simulate(300)
        scenario.topics.wait_until_caught_up()
        schema_id = new_id(registry, scenario)
        registry.kill()
        try:
            send(scenario, schema_id)
            eventually(lambda: scorer.events("registry_unavailable"))
            eventually(lambda: scorer.metrics()['lead_scorer_errors_total{kind="registry"}'] >= 2)
            eventually(lambda: lag_seconds(scorer.metrics()) > 1.0)
            assert scorer.get("/healthz")[0] == 200
            assert not scenario.topics.caught_up()
            assert scorer.stop() == 0
            scorer.start(ready=False)
            eventually(lambda: scorer.events("registry_unavailable"))
            assert scorer.get("/readyz")[0] == 503
        finally:
            registry.start()
        eventually(scorer.ready, within_s=60)
        scenario.topics.wait_until_caught_up()
        assert scorer.stop() == 0
        scenario.prove()


def lag_seconds(samples: dict[str, float]) -> float:
    """Of the partition that is furthest behind."""
    name = "lead_scorer_consumer_lag_seconds"
    return max((value for sample, value in samples.items() if sample.startswith(name)), default=0.0)

"""Outputs that cannot be written: the service ends and says why; nothing is lost, and a restart goes on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._acl import AclBinding, AclOperation, AclPermissionType
from confluent_kafka.admin._resource import ResourcePatternType, ResourceType

from tests.faults.scenario import DECISIONS, Scenario, cli, client
from tests.faults.servers import PASSWORD, FaultKafka, scenario_on
from tests.kafka import eventually

EVENTS = 400
SCORER = client(
    security_protocol="SASL_PLAINTEXT", sasl_mechanism="PLAIN", sasl_username="scorer", sasl_password=PASSWORD
)


def delete(scenario: Scenario, topic: str) -> None:
    """Returns once the topic is gone."""
    admin = scenario.topics.admin
    admin.delete_topics([topic])[topic].result(30)
    eventually(lambda: topic not in admin.list_topics(timeout=30).topics)


def create(scenario: Scenario) -> None:
    """What the message tells the operator to do."""
    done = cli(scenario.environ, "topics", "create")
    assert done.returncode == 0, done.stderr


def grant(admin: AdminClient, kind: ResourceType, name: str, *operations: AclOperation) -> None:
    """Lets the scorer do something."""
    pattern: Any = ResourcePatternType.LITERAL
    for operation in operations:
        binding = AclBinding(kind, name, pattern, "User:scorer", "*", operation, AclPermissionType.ALLOW)
        admin.create_acls([binding])[binding].result(30)


@pytest.mark.long
def test_a_missing_dead_letter_topic_ends_the_service(fault_kafka: FaultKafka, tmp_path: Path, seed: int) -> None:
    """Exit 2, while running after some tries and at start at once; the reason names the command that mends it."""
    with scenario_on(fault_kafka, tmp_path, seed, "missing") as scenario:
        letters = scenario.settings.topics.dead_letters
        scorer = scenario.scorer("a", **client(transaction_timeout_ms=3000)).start()  # each try takes two thirds of it
        delete(scenario, letters)
        scenario.simulate(EVENTS)
        code, reason = scorer.ended()
        assert code == 2
        assert "lead-scorer topics create" in reason
        code, reason = scorer.start(ready=False).ended()
        assert code == 2
        assert f"{letters}: does not exist; `lead-scorer topics create`" in reason
        create(scenario)
        scenario.check(scorer.start())


def test_a_right_that_is_missing_ends_the_service(fault_kafka: FaultKafka, tmp_path: Path, seed: int) -> None:
    """Exit 3: at start, where only the state may not be read, where only the dead letters may not be written."""
    with scenario_on(fault_kafka, tmp_path, seed, "rights") as scenario:
        topics, admin = scenario.settings.topics, scenario.topics.admin
        free = scenario.scorer("a").start()
        scenario.simulate(EVENTS)
        scenario.topics.wait_until_caught_up()
        assert free.stop() == 0
        scorer = scenario.scorer("a", LEAD_SCORER__KAFKA__BOOTSTRAP_SERVERS=fault_kafka.guarded, **SCORER)
        assert scorer.start(ready=False).ended()[0] == 3

        operation = AclOperation
        grant(admin, ResourceType.TOPIC, topics.events, operation.READ)
        grant(admin, ResourceType.TOPIC, topics.profiles, operation.WRITE)
        for decision in DECISIONS:
            grant(admin, ResourceType.TOPIC, topics.action(decision), operation.WRITE)
        grant(admin, ResourceType.TOPIC, topics.decisions, operation.WRITE)
        grant(admin, ResourceType.TOPIC, topics.dead_letters, operation.DESCRIBE)
        grant(admin, ResourceType.GROUP, scenario.settings.kafka.group_id, operation.READ)
        identity = f"{scenario.settings.kafka.group_id}-a"
        grant(admin, ResourceType.TRANSACTIONAL_ID, identity, operation.WRITE, operation.DESCRIBE)
        code, reason = scorer.start(ready=False).ended()
        assert code == 3
        assert "not authorised to restore" in reason
        assert "Read on the events and profiles topics" in reason

        grant(admin, ResourceType.TOPIC, topics.profiles, operation.READ)
        scorer.start()
        scenario.simulate(EVENTS)
        code, reason = scorer.ended()
        assert code == 3
        assert "dead letter topics" in reason

        grant(admin, ResourceType.TOPIC, topics.dead_letters, operation.WRITE)
        scenario.check(scorer.start())

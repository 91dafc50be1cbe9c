"""Rebalance storms: three instances come and go under load, with both group protocols."""

from __future__ import annotations

import time
from functools import partial

from confluent_kafka import ConsumerGroupType

from tests.faults.conftest import Act, Beside
from tests.faults.instances import assigned, restored
from tests.faults.scenario import Scenario, client, here
from tests.kafka import eventually
from tests.scorer import Scorer

ENVIRON = {"LEAD_SCORER__TOPICS__PARTITIONS": "6"}
ROUNDS = 4
CLASSIC = client(session_timeout_ms=6000)
KIP_848 = client(group_protocol="consumer")


def storm(kind: ConsumerGroupType, scenario: Scenario) -> None:
    instances = [scenario.scorer(instance_id).start(ready=False) for instance_id in "abc"]
    with scenario.traffic():
        eventually(lambda: all(assigned(scorer) for scorer in instances), within_s=here(60))
        for _ in range(ROUNDS):
            scorer = scenario.chance.choice(instances)
            if scenario.chance.random() < 0.3:
                scorer.kill()
            else:
                stop(scorer)
            time.sleep(scenario.chance.uniform(0.0, 1.0))  # the others are anywhere in their rebalance
            scorer.start(ready=False)
        eventually(lambda: shared_out(scenario, instances), within_s=here(90))
    assert group_type(scenario) is kind
    scenario.check(*instances)
    assert set().union(*map(restored, instances)) == set(range(scenario.settings.topics.partitions))


def group_type(scenario: Scenario) -> ConsumerGroupType:
    """By which protocol the brokers say that the group rebalances."""
    group = scenario.settings.kafka.group_id
    listed = scenario.topics.admin.list_consumer_groups().result(30).valid
    found: ConsumerGroupType = next(one.type for one in listed if one.group_id == group)
    return found


def stop(scorer: Scorer) -> None:
    """A process that has hardly begun does not hear yet: the signal would just end it."""
    eventually(lambda: scorer.events("starting"))
    assert scorer.stop() == 0


def shared_out(scenario: Scenario, instances: list[Scorer]) -> bool:
    """Whether each serves some partitions, and each partition is served once."""
    shares = [assigned(scorer) for scorer in instances]
    served = sorted(number for share in shares for number in share)
    return all(shares) and served == list(range(scenario.settings.topics.partitions))


def test_a_storm_of_rebalances_loses_and_repeats_nothing(beside: Beside) -> None:
    """Instances stop, die and start again while others restore: the partitions end up shared, each served once.

    With the classic protocol, and with `group.protocol=consumer`, where the broker assigns.
    """
    beside(
        {
            "storm": Act(partial(storm, ConsumerGroupType.CLASSIC), ENVIRON | CLASSIC),
            "storm of KIP-848": Act(partial(storm, ConsumerGroupType.CONSUMER), ENVIRON | KIP_848),
        }
    )

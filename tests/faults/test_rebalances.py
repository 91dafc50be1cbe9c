"""Rebalance storms: three instances come and go under load, with both group protocols."""

from __future__ import annotations

import time

from tests.faults.conftest import Beside
from tests.faults.instances import assigned
from tests.faults.scenario import Scenario, client, here
from tests.kafka import eventually
from tests.scorer import Scorer

ENVIRON = {"LEAD_SCORER__TOPICS__PARTITIONS": "6"}
ROUNDS = 4
CLASSIC = client(session_timeout_ms=6000)
KIP_848 = client(group_protocol="consumer")


def storm(scenario: Scenario) -> None:
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
    assert all(scorer.metrics()['lead_scorer_rebalances_total{kind="assigned"}'] >= 1 for scorer in instances)
    scenario.check(*instances)


def stop(scorer: Scorer) -> None:
    """A process that has hardly begun does not hear yet: the signal would just end it."""
    eventually(lambda: scorer.events("starting"))
    assert scorer.stop() == 0


def shared_out(scenario: Scenario, instances: list[Scorer]) -> bool:
    """Whether each serves some partitions, and each partition is served once."""
    shares = [assigned(scorer) for scorer in instances]
    served = sorted(number for share in shares for number in share)
    return all(shares) and served == list(range(scenario.settings.topics.partitions))


def test_a_storm_of_rebalances_loses_and_repeats_nothing_with_the_classic_protocol(beside: Beside) -> None:
    """Instances stop, die and start again while others restore: the partitions end up shared, each served once."""
    beside({"storm": storm}, ENVIRON | CLASSIC)


def test_a_storm_of_rebalances_loses_and_repeats_nothing_with_kip_848(beside: Beside) -> None:
    """The same with `group.protocol=consumer`, where the broker assigns."""
    beside({"storm": storm}, ENVIRON | KIP_848)

"""kill -9 at random moments: nothing lost, nothing twice, state as if nothing had happened."""

from __future__ import annotations

import time

from tests.faults.scenario import Scenario, assigned
from tests.kafka import eventually

TAKEOVER_S = 30.0
KILLS = 3


def test_three_kills_of_one_of_two_instances_lose_and_repeat_nothing(scenario: Scenario) -> None:
    """Two instances work; one is killed with -9 three times and restarted: every offset has exactly one outcome."""
    first, second = scenario.scorer("a").start(), scenario.scorer("b").start()
    for _ in range(KILLS):
        scenario.simulate(4000)
        time.sleep(scenario.chance.uniform(0.0, 1.0))  # the moment of the kill is what is random here
        first.kill()
        first.start(ready=False)
    eventually(first.ready)
    scenario.check(first, second)


def test_another_instance_takes_over_within_30_seconds(scenario: Scenario) -> None:
    """One of two is killed and stays away: the other decides about the dead one's partitions within 30 s."""
    dead, other = scenario.scorer("a").start(), scenario.scorer("b").start()
    with scenario.traffic():
        eventually(lambda: assigned(dead) and assigned(other))
        dead.kill()
        eventually(lambda: len(assigned(other)) == scenario.settings.topics.partitions, within_s=TAKEOVER_S)
    scenario.check(other)

"""kill -9 at random moments: nothing lost, nothing twice, state as if nothing had happened."""

from __future__ import annotations

import time

from tests.faults.conftest import Act, Beside
from tests.faults.instances import assigned, restored
from tests.faults.scenario import RESUME_S, TAKEOVER_S, Scenario, client, here
from tests.kafka import eventually

START_S = 5.0
"""A process needs 1.5 s of a core until it joins the group, and longer where cores are shared; not the contract's."""
KILLS = 3
SHORT = client(session_timeout_ms=6000)
"""For the scenario that the contract gives no time for."""


def kill_one_of_two_again_and_again(scenario: Scenario) -> None:
    first, second = scenario.scorer("a", **SHORT).start(), scenario.scorer("b", **SHORT).start()
    for _ in range(KILLS):
        scenario.simulate(4000)
        time.sleep(scenario.chance.uniform(0.0, 1.0))  # the moment of the kill is what is random here
        first.kill()
        first.start(ready=False)
    eventually(first.ready, within_s=here(90))
    scenario.check(first, second)


def kill_a_lone_one(scenario: Scenario) -> None:
    scorer = scenario.scorer("a").start()
    with scenario.traffic():
        scenario.progress()
        scorer.kill()
        scorer.start(ready=False)
        scenario.progress(within_s=RESUME_S + START_S)
    scenario.check(scorer)
    assert restored(scorer) == set(range(scenario.settings.topics.partitions))


def kill_one_of_two_for_good(scenario: Scenario) -> None:
    dead, other = scenario.scorer("a").start(), scenario.scorer("b").start()
    with scenario.traffic():
        eventually(lambda: assigned(dead) and assigned(other))
        before = len(other.events("partitions_assigned"))
        dead.kill()
        eventually(lambda: len(assigned(other)) == scenario.settings.topics.partitions, within_s=here(TAKEOVER_S))
    assert len(other.events("partitions_assigned")) > before
    scenario.check(other)
    assert restored(other) == set(range(scenario.settings.topics.partitions))


def test_no_kill_loses_or_repeats_anything(beside: Beside) -> None:
    """One of two killed three times at random, a lone one that is back in 15 s, one whose partitions go in 30 s."""
    beside(
        {
            "one of two again and again": Act(kill_one_of_two_again_and_again),
            "a lone one": Act(kill_a_lone_one),
            "one of two for good": Act(kill_one_of_two_for_good),
        }
    )

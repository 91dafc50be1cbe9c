"""SIGTERM: what was begun is committed, the group is left, and the exit code is 0 within ten seconds."""

from __future__ import annotations

import signal
import time

from tests.faults.conftest import Act, Beside
from tests.faults.instances import frozen
from tests.faults.scenario import STOP_S, Scenario, client, here
from tests.kafka import eventually
from tests.scorer import Scorer

SESSION_MS = 60_000
ENVIRON = {"LEAD_SCORER__TOPICS__PARTITIONS": "4"} | client(session_timeout_ms=SESSION_MS)
AT_ONCE_S = 40.0
"""Well below the session: as the group was left, whoever starts then need not wait for its end."""


def under_load(scenario: Scenario) -> None:
    scorer = scenario.scorer("a").start()
    with scenario.traffic():
        scenario.progress()
        assert scorer.stop(here(STOP_S)) == 0
        all_committed(scorer)
        scorer.start(ready=False)
        scenario.progress(within_s=AT_ONCE_S)
    scenario.check(scorer)


def twice(scenario: Scenario) -> None:
    scorer = scenario.scorer("a").start()
    with scenario.traffic():
        scenario.progress()
        scorer.signal(signal.SIGTERM)
        time.sleep(scenario.chance.uniform(0.0, 0.05))  # impatient
        if scorer.running:
            scorer.signal(signal.SIGINT)
        assert scorer.wait(here(STOP_S)) == 0
        all_committed(scorer)
        scorer.start()
    scenario.check(scorer)


def in_restore(scenario: Scenario) -> None:
    scenario.simulate(1000)
    first = scenario.scorer("a").start()
    scenario.topics.wait_until_caught_up()
    assert first.stop(here(STOP_S)) == 0
    restoring = scenario.scorer("a", "--inject", "freeze:in_restore").start(ready=False)
    eventually(lambda: frozen(restoring))
    restoring.signal(signal.SIGTERM)
    restoring.signal(signal.SIGCONT)
    assert restoring.wait(here(STOP_S)) == 0
    scenario.check(scenario.scorer("a").start())


def all_committed(scorer: Scorer) -> None:
    """Its last line says that it stopped and left nothing behind."""
    last = scorer.log()[-1]
    assert (last["event"], last["exit_code"], last["uncommitted"]) == ("stopped", 0, False)


def test_an_instance_stops_cleanly_whenever_it_is_asked(beside: Beside) -> None:
    """Under load, asked twice, in the middle of a restore: exit code 0 in 10 s, nothing lost, nothing twice."""
    acts = {"under load": under_load, "twice": twice, "in restore": in_restore}
    beside({name: Act(play, ENVIRON) for name, play in acts.items()})

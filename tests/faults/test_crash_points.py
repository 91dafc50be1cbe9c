"""kill -9 between any two steps of a batch: the restarted instance finds what is committed, and nothing else."""

from __future__ import annotations

import signal
from functools import partial

from consumer.drills import POINTS
from tests.faults.conftest import Act, Beside
from tests.faults.instances import restored
from tests.faults.scenario import RESUME_S, Scenario, client, here

ENVIRON = {"LEAD_SCORER__TOPICS__PARTITIONS": "4"} | client(session_timeout_ms=6000)
RATE = 100.0
CROWD_S = 10.0
"""All the points' processes start at the same time here."""


def crash_and_restart(point: str, scenario: Scenario) -> None:
    passage = scenario.chance.randint(1, 10)
    if point == "in_restore":  # there is something to restore
        passage = scenario.chance.randint(1, scenario.settings.topics.partitions)
        scenario.simulate(500)
        before = scenario.scorer("a").start()
        scenario.topics.wait_until_caught_up()
        assert before.stop() == 0
    doomed = scenario.scorer("a", "--inject", f"crash:{point}:{passage}")
    scorer = scenario.scorer("a")
    with scenario.traffic(RATE):
        assert doomed.start(ready=False).wait(here(60)) == -signal.SIGKILL
        scorer.start(ready=False)
        scenario.progress(within_s=RESUME_S + CROWD_S)
    scenario.check(scorer)
    assert restored(scorer) == set(range(scenario.settings.topics.partitions))


def test_a_crash_at_any_point_loses_and_repeats_nothing(beside: Beside) -> None:
    """An instance kills itself at its n-th passage of each point in turn and resumes with the same id in 15 s."""
    beside({point: Act(partial(crash_and_restart, point), ENVIRON) for point in POINTS})

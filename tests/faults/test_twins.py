"""Two processes with one instance id, which a copied configuration brings about: exactly one stays."""

from __future__ import annotations

from tests.faults.conftest import Act, Beside
from tests.faults.scenario import Scenario, client, here
from tests.kafka import eventually
from tests.scorer import Scorer

FENCED = 6
SESSION_MS = 6000
FOUR, ONE = ({"LEAD_SCORER__TOPICS__PARTITIONS": count} | client(session_timeout_ms=SESSION_MS) for count in "41")


def twins_under_load(scenario: Scenario) -> None:
    pair = started(scenario)
    with scenario.traffic():
        stayed = the_one_that_stays(*pair)
        scenario.progress()
    scenario.check(stayed)


def twins_idle(scenario: Scenario) -> None:
    pair = started(scenario)
    stayed = the_one_that_stays(*pair)
    scenario.check(stayed)


def started(scenario: Scenario) -> tuple[Scorer, Scorer]:
    """Two instances with the id "a"; each has a log of its own."""
    scenario.simulate(500)
    (scenario.directory / "twin").mkdir()
    twin = Scorer(scenario.environ, "a", scenario.directory / "twin")
    scenario.own(twin)
    return scenario.scorer("a").start(), twin.start(ready=False)


def the_one_that_stays(first: Scorer, second: Scorer) -> Scorer:
    """Waits until one has ended, with the exit code and the words that the contract has for it."""
    eventually(lambda: not (first.running and second.running), within_s=here(60))
    fenced, stayed = (second, first) if first.running else (first, second)
    code, reason = fenced.ended()
    assert code == FENCED
    assert "instance_id" in reason
    eventually(stayed.ready, within_s=here(30))
    return stayed


def test_of_two_with_one_id_exactly_one_stays(beside: Beside) -> None:
    """Under load and idle alike: one ends with 6 and says what to do, the other goes on as if it were alone.

    Also where only one has partitions: the one without commits nothing by which it would learn of the other, and takes
    the id anew now and then.
    """
    beside(
        {
            "twins under load": Act(twins_under_load, FOUR),
            "twins idle": Act(twins_idle, FOUR),
            "twins without a partition": Act(twins_idle, ONE),
        }
    )

"""Processes that stand still and go on (SIGSTOP, a virtual machine that migrates, a long garbage collection)."""

from __future__ import annotations

import signal
import time

from tests.faults.conftest import Act, Beside
from tests.faults.instances import assigned, frozen
from tests.faults.scenario import Scenario, client, here
from tests.kafka import eventually
from tests.scorer import Scorer

SESSION_MS = 6000
TRANSACTION_MS = 3000
ENVIRON = {"LEAD_SCORER__TOPICS__PARTITIONS": "4"}
SHORT, LONG = (
    ENVIRON | client(session_timeout_ms=session_ms, transaction_timeout_ms=TRANSACTION_MS)
    for session_ms in (SESSION_MS, 20_000)
)
"""Sessions: that end while an instance sleeps, and that do not."""


def paused_past_its_session(scenario: Scenario) -> None:
    sleeper, other = scenario.scorer("a").start(), scenario.scorer("b").start()
    with scenario.traffic():
        eventually(lambda: assigned(sleeper) and assigned(other))
        time.sleep(scenario.chance.uniform(0.0, 0.5))  # any moment will do
        sleeper.signal(signal.SIGSTOP)
        comes_back_beside(scenario, sleeper, other)
    scenario.check(sleeper, other)


def frozen_in_a_transaction_past_its_session(scenario: Scenario) -> None:
    sleeper = scenario.scorer("a", "--inject", f"freeze:after_offsets:{scenario.chance.randint(20, 40)}").start()
    other = scenario.scorer("b").start(ready=False)
    with scenario.traffic():
        eventually(lambda: frozen(sleeper), within_s=here(30))
        comes_back_beside(scenario, sleeper, other)
    scenario.check(sleeper, other)


def comes_back_beside(scenario: Scenario, sleeper: Scorer, other: Scorer) -> None:
    """The other has all partitions, then the sleeper wakes up, learns it, and gets its share again."""
    everything = scenario.settings.topics.partitions
    eventually(lambda: len(assigned(other)) == everything, within_s=here(30))
    sleeper.signal(signal.SIGCONT)
    eventually(lambda: told_of_the_loss(sleeper), within_s=here(30))  # until then it believes what it had
    eventually(lambda: assigned(sleeper) and len(assigned(sleeper) | assigned(other)) == everything, within_s=here(30))


def told_of_the_loss(scorer: Scorer) -> bool:
    """It lost its partitions, which the log and the metrics tell."""
    lost = scorer.metrics()['lead_scorer_rebalances_total{kind="lost"}']
    return lost >= 1 and bool(scorer.events("partitions_lost"))


def frozen_in_a_transaction_past_its_timeout(scenario: Scenario) -> None:
    scorer = scenario.scorer("a", "--inject", f"freeze:after_offsets:{scenario.chance.randint(3, 20)}")
    scorer.start(ready=False)
    with scenario.traffic():
        eventually(lambda: frozen(scorer), within_s=here(30))
        time.sleep(TRANSACTION_MS / 1000 + 1)  # this is the fault
        scenario.topics.committed()  # answers once its offsets, which had reached the brokers, are aborted,
        eventually(lambda: scenario.hanging() == [])  # and what had of its records
        scorer.signal(signal.SIGCONT)
        scenario.progress()
    assert scorer.events("transaction_aborted")
    assert scorer.metrics()['lead_scorer_transactions_total{result="aborted"}'] >= 1
    scenario.check(scorer)


def paused_for_less_than_its_session(scenario: Scenario) -> None:
    scorer = scenario.scorer("a").start()
    with scenario.traffic():
        for _ in range(2):
            scenario.progress()
            time.sleep(scenario.chance.uniform(0.0, 0.3))  # any moment will do
            scorer.signal(signal.SIGSTOP)
            time.sleep(TRANSACTION_MS / 1000 + 1)  # this is the fault
            scorer.signal(signal.SIGCONT)
        scenario.progress()
    assert scorer.metrics()['lead_scorer_rebalances_total{kind="lost"}'] == 0
    scenario.check(scorer)


def test_an_instance_that_slept_comes_back_and_harms_nothing(beside: Beside) -> None:
    """Past its session another takes over; what the sleeper had begun, a transaction too, is never seen.

    A lone one past its transaction stays: that looks as if another had its id; it makes a new producer and goes on.
    """
    beside(
        {
            "paused past its session": Act(paused_past_its_session, SHORT),
            "frozen in a transaction": Act(frozen_in_a_transaction_past_its_session, SHORT),
            "frozen past its transaction": Act(frozen_in_a_transaction_past_its_timeout, LONG),
            "paused twice": Act(paused_for_less_than_its_session, LONG),
        }
    )

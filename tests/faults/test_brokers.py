"""One broker stopped, killed, frozen and started again under load: it is waited for without end, nothing is lost."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from consumer.drills import IN_COMMIT, POINTS
from runtime.local_process import LocalProcess
from tests.faults.instances import frozen
from tests.faults.scenario import client
from tests.faults.servers import FaultKafka, mend, scenario_on, wait_for_answers
from tests.kafka import eventually
from tests.scorer import Scorer

SHORT = client(session_timeout_ms=3000, heartbeat_interval_ms=500, transaction_timeout_ms=5000)
LONG = client(transaction_timeout_ms=40_000)
"""Longer than the broker is away: what it aborts while it comes back it may forget (KAFKA-20734)."""
BEFORE_COMMIT = POINTS[: POINTS.index(IN_COMMIT)]
"""Where something was polled that cannot be committed any more once the broker is gone."""
AWAY_S = 2.0
FROZEN_S = 7.0
"""Longer than the session and the transaction may be silent."""
BACK_S = 120.0
"""For a broker's start, a new session and a restore, on a machine that has other things to do."""


def says_its_lag(scorer: Scorer) -> bool:
    """Whether it has asked for the ends of the partitions once: without them it cannot tell how far behind it is."""
    return any(name.startswith("lead_scorer_consumer_lag_seconds") for name in scorer.metrics())


def oldest_s(scorer: Scorer) -> float:
    """The age of the oldest unprocessed event, as the instance says it."""
    samples = scorer.metrics()
    return max((v for name, v in samples.items() if name.startswith("lead_scorer_consumer_lag_seconds")), default=0.0)


@pytest.mark.parametrize(
    "harm",
    [
        pytest.param(LocalProcess.stop, id="stopped", marks=pytest.mark.long),
        pytest.param(LocalProcess.kill, id="killed"),
    ],
)
def test_a_broker_that_is_away_is_waited_for(
    fault_kafka: FaultKafka, tmp_path: Path, seed: int, harm: Callable[[LocalProcess], None]
) -> None:
    """The service stays healthy, says which broker is away, and catches up when that is back."""
    with scenario_on(fault_kafka, tmp_path, seed, "away") as scenario:
        scorer = scenario.scorer("a").start()
        with scenario.traffic():
            scenario.progress()
            eventually(lambda: says_its_lag(scorer))
            time.sleep(scenario.chance.uniform(0.0, 0.5))  # the moment is what is random here
            harm(fault_kafka.nodes[0])
            time.sleep(AWAY_S)  # the fault itself
            assert scorer.get("/healthz")[0] == 200
            mend(fault_kafka)
            wait_for_answers(scenario)
            scenario.progress(BACK_S)
        scenario.check(scorer)
        assert fault_kafka.bootstrap_servers in str(scorer.events("kafka_client_log"))


def test_a_broker_may_freeze_for_longer_than_its_patience(fault_kafka: FaultKafka, tmp_path: Path, seed: int) -> None:
    """Group and transaction have timed out when it goes on: the service joins again and repeats what was aborted."""
    with scenario_on(fault_kafka, tmp_path, seed, "frozen") as scenario:
        scorer = scenario.scorer("a", **SHORT).start()
        with scenario.traffic():
            scenario.progress()
            eventually(lambda: says_its_lag(scorer))
            time.sleep(scenario.chance.uniform(0.0, 0.5))
            fault_kafka.nodes[0].pause()
            time.sleep(FROZEN_S)  # the fault itself
            assert scorer.events("partitions_lost")
            assert scorer.get("/healthz")[0] == 200
            mend(fault_kafka)
            wait_for_answers(scenario)
            scenario.progress(BACK_S)
        samples = scorer.metrics()
        assert samples['lead_scorer_rebalances_total{kind="lost"}'] >= 1
        assert samples['lead_scorer_rebalances_total{kind="assigned"}'] >= 2
        scenario.check(scorer)


@pytest.mark.long
def test_a_request_to_stop_does_not_wait_for_the_broker(fault_kafka: FaultKafka, tmp_path: Path, seed: int) -> None:
    """With the broker gone in the midst of a batch the lag grows; SIGTERM ends with 0 within 10 s and says so."""
    with scenario_on(fault_kafka, tmp_path, seed, "stop") as scenario:
        moment = f"freeze:{scenario.chance.choice(BEFORE_COMMIT)}:{scenario.chance.randint(5, 40)}"
        scorer = scenario.scorer("a", "--inject", moment, **LONG).start()
        eventually(lambda: says_its_lag(scorer))
        with scenario.traffic():
            eventually(lambda: frozen(scorer))
            fault_kafka.nodes[0].kill()
            scorer.signal(signal.SIGCONT)
            eventually(lambda: oldest_s(scorer) > AWAY_S)
            assert scorer.get("/healthz")[0] == 200
            began_s = time.monotonic()
            assert scorer.stop() == 0
            assert time.monotonic() - began_s < 10
            mend(fault_kafka)
        last = scorer.log()[-1]
        assert (last["event"], last["uncommitted"]) == ("stopped", True)
        wait_for_answers(scenario)
        scenario.check(scenario.scorer("a").start())

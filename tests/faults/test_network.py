"""A network that is cut, silent, lossy and slow between the service and the broker, while those who look on see all."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.faults.scenario import Scenario, client
from tests.faults.servers import FaultKafka, scenario_on
from tests.kafka import eventually
from tests.proxy import Proxy
from tests.scorer import Scorer

SHORT = client(session_timeout_ms=3000, heartbeat_interval_ms=500, transaction_timeout_ms=5000)
SILENT_S = 7.0
"""Longer than the session and the transaction may be silent."""
RESETS = 15
DELAY_S = 0.2
BACK_S = 120.0


def proxied(scenario: Scenario, kafka: FaultKafka, **environ: str) -> Scorer:
    """An instance that reaches the broker through the proxy only."""
    return scenario.scorer("a", LEAD_SCORER__KAFKA__BOOTSTRAP_SERVERS=kafka.proxied, **environ).start()


@pytest.mark.long
def test_connections_may_break_at_any_moment(fault_kafka: FaultKafka, tmp_path: Path, seed: int) -> None:
    """Reset at random moments, mostly inside a transaction, and cut for a while: each result is there once."""
    with scenario_on(fault_kafka, tmp_path, seed, "resets") as scenario, fault_kafka.proxy() as proxy:
        scorer = proxied(scenario, fault_kafka)
        with scenario.traffic():
            scenario.progress()
            for _ in range(RESETS):
                time.sleep(scenario.chance.uniform(0.0, 0.3))  # the moment is what is random here
                proxy.reset()
            scenario.progress(BACK_S)
            proxy.cut()
            time.sleep(scenario.chance.uniform(0.5, 2.0))
            assert scorer.get("/healthz")[0] == 200
            proxy.heal()
            scenario.progress(BACK_S)
        scenario.check(scorer)
        assert fault_kafka.proxied in str(scorer.events("kafka_client_log"))


def test_silence_is_outlived(fault_kafka: FaultKafka, tmp_path: Path, seed: int) -> None:
    """Bytes that come late, when group and transaction have timed out, change nothing; nor do those that never come."""
    with scenario_on(fault_kafka, tmp_path, seed, "silence") as scenario, fault_kafka.proxy() as proxy:
        scorer = proxied(scenario, fault_kafka, **SHORT)
        faults = [Proxy.hold, Proxy.swallow]
        scenario.chance.shuffle(faults)
        with scenario.traffic():
            for number, fault in enumerate(faults, start=1):
                scenario.progress(BACK_S)
                time.sleep(scenario.chance.uniform(0.0, 0.5))
                fault(proxy)
                time.sleep(SILENT_S)  # the fault itself
                eventually(lambda number=number: len(scorer.events("partitions_lost")) >= number)  # type: ignore[misc]
                assert scorer.get("/healthz")[0] == 200
                proxy.heal()
            scenario.progress(BACK_S)
        assert scorer.metrics()['lead_scorer_rebalances_total{kind="lost"}'] >= len(faults)
        scenario.check(scorer)


def test_a_slow_network_only_delays(fault_kafka: FaultKafka, tmp_path: Path, seed: int) -> None:
    """With 200 ms each way no partition is lost and no transaction aborted."""
    with scenario_on(fault_kafka, tmp_path, seed, "slow") as scenario, fault_kafka.proxy() as proxy:
        scorer = proxied(scenario, fault_kafka)
        with scenario.traffic():
            proxy.delay(DELAY_S)
            for _ in range(2):
                scenario.progress(BACK_S)
            proxy.delay(0.0)
            scenario.progress(BACK_S)
        samples = scorer.metrics()
        assert samples['lead_scorer_rebalances_total{kind="lost"}'] == 0
        assert samples['lead_scorer_transactions_total{result="aborted"}'] == 0
        scenario.check(scorer)

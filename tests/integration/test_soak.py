"""The soak itself, a minute of it: what finds leaks in hours must not be found broken then."""

from __future__ import annotations

from pathlib import Path

from benchmarks.soak.report import as_json, text
from benchmarks.soak.run import Plan, place, soak
from runtime.local_kafka import LocalKafka

PLAN = Plan(
    hours=0.004,
    rate=200.0,
    seed=1,
    n_leads=200,
    n_backlog=2000,
    every_s=10.0,
    faults=("broker_restarted",),
)


def test_a_short_soak_is_well(local_kafka: LocalKafka, tmp_path: Path) -> None:
    """Traffic outlives a restart of the broker, all is as before after it, and every invariant is checked."""
    with place(local_kafka, tmp_path, PLAN.seed, n_partitions=4) as at:
        result = soak(at, PLAN, print)
    assert result.problems == [], text(result)
    assert [struck.name for struck in result.struck] == ["broker restarted"]
    assert result.checked is not None
    assert result.checked.n_decisions > PLAN.n_backlog
    assert as_json(PLAN, result)["well"]

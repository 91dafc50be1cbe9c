"""The service holds its promises under every seed."""

from __future__ import annotations

import os
from collections import Counter

import pytest

from tests.simulation.run import SimulationError, simulate

SEEDS = int(os.environ.get("SIMULATION_SEEDS", "300"))
FAILURES_SHOWN_MAX = 5


def test_every_seed_holds(pytestconfig: pytest.Config) -> None:
    """Whatever happens to instances, brokers and network: nothing is lost, nothing is there twice, all is right."""
    seed = pytestconfig.getoption("--seed", None)
    failures: list[str] = []
    for number in range(SEEDS) if seed is None else [int(seed)]:
        try:
            simulate(number, tracing=seed is not None)
        except SimulationError as error:
            failures += [*error.trace, str(error)]
            if len(failures) >= FAILURES_SHOWN_MAX:
                break
    assert not failures, "\n".join(failures)


def test_a_seed_is_a_run() -> None:
    """The same seed gives the same run to the last step: a failure can be replayed."""
    for seed in range(5):
        assert simulate(seed, tracing=True).notes == simulate(seed, tracing=True).notes


def test_the_seeds_go_where_it_hurts() -> None:
    """Some hundred seeds meet every situation that the service claims to survive, most of them often."""
    met: Counter[str] = Counter()
    for seed in range(200):
        met += simulate(seed).met
    missing = [situation for situation in SITUATIONS if met[situation] < 3]
    assert not missing, f"met too seldom: {missing}, of {met}"


SITUATIONS = (
    "transaction timed out",
    "lost without callback",
    "lost",
    "revoke",
    "assign",
    "an end is under way for long",
    "a late end is refused",
    "a late end is taken",
    "the end is not known",
    "fault strikes",
    "log transaction_failed",
    "log transaction_aborted",
    "log transaction_resolved",
    "log producer_rebuilt",
    "log registry_unavailable",
    "log restore_waits",
    "log restore_failed",
    "log seek_postponed",
    "out of the group",
    "left without a word",
    "an answer is lost",
    "upstream transaction had timed out",
)

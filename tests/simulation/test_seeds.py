"""The service holds its promises under every seed."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable

import pytest

from tests.simulation.run import SimulationError, simulate

SEEDS = int(os.environ.get("SIMULATION_SEEDS", "400"))
FAILURES_SHOWN_MAX = 5


@pytest.fixture(scope="module")
def met(pytestconfig: pytest.Config) -> Counter[str]:
    """What the seeds met; they all hold."""
    seed = pytestconfig.getoption("--seed", None)
    return run([int(seed)], tracing=True) if seed is not None else run(range(SEEDS), tracing=False)


def run(seeds: Iterable[int], *, tracing: bool) -> Counter[str]:
    met: Counter[str] = Counter()
    failures: list[str] = []
    for seed in seeds:
        try:
            met += simulate(seed, tracing=tracing).met
        except SimulationError as error:
            failures += [*error.trace, str(error)]
            if len(failures) >= FAILURES_SHOWN_MAX:
                break
    assert not failures, "\n".join(failures)
    return met


def test_every_seed_holds(met: Counter[str]) -> None:
    """Whatever happens to instances, brokers and network: nothing is lost, nothing is there twice, all is right."""
    assert met["offsets"] > 0


def test_the_seeds_go_where_it_hurts(met: Counter[str]) -> None:
    """Some hundred seeds meet every situation that the service claims to survive."""
    assert {situation: met[situation] for situation in SITUATIONS if met[situation] < 3} == {}


def test_a_seed_is_a_run() -> None:
    """The same seed gives the same run to the last step: a failure can be replayed."""
    for seed in range(5):
        assert simulate(seed, tracing=True).notes == simulate(seed, tracing=True).notes


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
    "log transaction_stuck",
    "log transaction_hangs",
    "log transaction_lost",
    "markers are skipped",
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

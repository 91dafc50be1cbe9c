"""The simulation finds bugs: each one that is planted is caught, and by a promise that is broken."""

from __future__ import annotations

import os

import pytest

from tests.simulation.checks import BrokenError
from tests.simulation.mutants import MUTANTS
from tests.simulation.run import SimulationError, simulate
from tests.simulation.scenario import scenario_of

SEEDS_MAX = int(os.environ.get("MUTANT_SEEDS", "10000"))


@pytest.mark.parametrize("name", MUTANTS)
def test_a_planted_bug_is_found(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One of the first seeds fails with it; without it they all hold, as `test_every_seed_holds` shows."""
    plant, kinds = MUTANTS[name]
    plant(monkeypatch)
    for seed in range(SEEDS_MAX):
        if all(scenario_of(seed).has(kind) for kind in kinds):
            try:
                simulate(seed)
            except SimulationError as error:
                if isinstance(error.__cause__, BrokenError):  # else the planted code itself is broken
                    return
    pytest.fail(f"not found in {SEEDS_MAX} seeds: {plant.__doc__}")

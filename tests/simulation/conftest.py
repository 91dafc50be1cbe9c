"""`pytest tests/simulation --seed N` replays one seed; `SIMULATION_SEEDS=10000` runs so many."""

from __future__ import annotations

import pytest

REPLAY = "test_every_seed_holds"


def pytest_addoption(parser: pytest.Parser) -> None:
    """The seed to replay."""
    parser.addoption("--seed", type=int, default=None, help="run this seed of the simulation alone, with its trace")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """With a seed nothing else is run."""
    if config.getoption("--seed", None) is not None:
        items[:] = [item for item in items if item.name == REPLAY]

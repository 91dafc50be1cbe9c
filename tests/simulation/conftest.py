"""`pytest tests/simulation --seed N` replays one seed; `SIMULATION_SEEDS=10000` runs so many."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """The seed to replay."""
    parser.addoption("--seed", type=int, default=None, help="run this seed of the simulation alone")

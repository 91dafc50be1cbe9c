"""Each scenario runs for so many seeds as FAULT_SEEDS says; `make faults SEEDS=20` sets it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.scenario import Scenario
from tests.kafka import Namespace

SEEDS = int(os.environ.get("FAULT_SEEDS", "1"))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test that takes `seed` runs once for each."""
    if "seed" in metafunc.fixturenames:
        metafunc.parametrize("seed", range(1, SEEDS + 1), ids="seed{}".format)


@pytest.fixture
def scenario(namespace: Namespace, tmp_path: Path, seed: int) -> Iterator[Scenario]:
    """A scenario on the shared broker, which nothing may harm: the instances are what breaks."""
    with Scenario(namespace, tmp_path, seed) as running:
        yield running

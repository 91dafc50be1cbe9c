"""Each scenario runs for so many seeds as FAULT_SEEDS says; `make faults SEEDS=20` sets it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import pytest

from runtime.broker import Broker
from tests.faults.scenario import Scenario, at_once
from tests.kafka import Namespace

SEEDS = int(os.environ.get("FAULT_SEEDS", "1"))


class Act(NamedTuple):
    """What is done in a scenario, and the configuration of its instances."""

    play: Callable[[Scenario], None]
    environ: Mapping[str, str] = {}


Beside = Callable[[Mapping[str, Act]], None]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test that takes `seed` runs once for each."""
    if "seed" in metafunc.fixturenames:
        metafunc.parametrize("seed", range(1, SEEDS + 1), ids="seed{}".format)


@pytest.fixture
def scenario(namespace: Namespace, tmp_path: Path, seed: int) -> Iterator[Scenario]:
    """A scenario on the shared broker, which nothing may harm: the instances are what breaks."""
    with Scenario(namespace, tmp_path, seed) as running:
        yield running


@pytest.fixture
def beside(kafka: Broker, tmp_path: Path, seed: int) -> Beside:
    """Runs scenarios of one kind beside each other, as all of them mostly wait: each has topics and a group of its own.

    It takes them by their names; a failure names its scenario.
    """

    def run(act: Act, name: str) -> None:
        space = Namespace(kafka.bootstrap_servers, name)
        directory = tmp_path / name.replace(" ", "-")
        directory.mkdir()
        try:
            with Scenario(space, directory, seed, act.environ) as scenario:
                act.play(scenario)
        except BaseException as error:
            error.add_note(f"in the scenario {name!r}, seed {seed}, logs in {directory}")
            raise
        finally:
            space.delete()

    def run_all(acts: Mapping[str, Act]) -> None:
        at_once(*(lambda act=act, name=name: run(act, name) for name, act in acts.items()))

    return run_all

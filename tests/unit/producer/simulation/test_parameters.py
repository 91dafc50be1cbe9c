from typing import Any

import pytest

from producer.simulation import Parameters


def test_all_faults_are_named() -> None:
    """Each with its value and its range."""
    wrong: dict[str, Any] = {"leads": 0, "events": -1, "seed": -1, "days": 0, "late": 2}
    with pytest.raises(ValueError) as caught:
        Parameters(**wrong)
    assert all(f"{name} is {value}" in str(caught.value) for name, value in wrong.items())


def test_shares_of_more_than_everything_are_refused() -> None:
    """A record is one sort or another."""
    with pytest.raises(ValueError, match="together"):
        Parameters(duplicates=0.5, malformed=0.4, late=0.2)


def test_a_time_line_beyond_the_malformed_events_is_refused() -> None:
    """What lies in the future by being malformed has to lie after everything else."""
    with pytest.raises(ValueError, match="1970 to 2899"):
        Parameters(start_ms=29_348_000_000_000)


def test_every_purpose_and_every_simulation_has_its_own_random_numbers() -> None:
    """Two simulations that share a seed do not share their leads' fates."""
    draws = {
        Parameters(seed=1).stream("a").random(),
        Parameters(seed=1).stream("b").random(),
        Parameters(seed=2).stream("a").random(),
        Parameters(seed=1, leads=7).stream("a").random(),
    }
    assert len(draws) == 4


def test_the_name_tells_simulations_apart() -> None:
    """Event ids begin with it: those of two simulations must differ, those of the same must not."""
    assert Parameters(late=0.1).name != Parameters(late=0.2).name
    assert Parameters(days=9).name == Parameters(days=9.0).name

"""What the soak calls a leak: sure, steep, large, and in a quiet moment of a long life."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.soak.trends import LIMITS, SAMPLES_MIN, WARM_UP_S, Life, problems

HOUR_S = 3600.0
Values = NDArray[np.float64]


def life(resident_mb: Values, at_s: Values | None = None, quiet: NDArray[np.bool_] | None = None) -> Life:
    """A process that is looked at each second, unless `at_s` says otherwise; only its memory does anything."""
    n = len(resident_mb)
    level = np.full(n, 40.0)
    return Life(
        "steady",
        1,
        np.arange(n, dtype=np.float64) if at_s is None else at_s,
        np.ones(n, dtype=np.bool_) if quiet is None else quiet,
        {"resident MB": resident_mb, "descriptors": level, "threads": level},
    )


def hours(n: float) -> Values:
    return np.arange(n * HOUR_S)


def noise(n: int) -> Values:
    return np.random.default_rng(7).normal(0, 4, n)


def test_steady_growth_is_a_leak() -> None:
    """30 MB an hour over two hours, under noise of 4 MB, are found and named."""
    at_s = hours(2)
    (problem,) = problems([life(150 + 30 * at_s / HOUR_S + noise(len(at_s)))])
    assert problem.startswith("resident MB of steady (pid 1) grows by 29.9 an hour")


def test_noise_is_none() -> None:
    """Two hours of noise on one level are no leak."""
    assert problems([life(150 + noise(len(hours(2))))]) == []


def test_steep_noise_of_a_short_life_is_none() -> None:
    """20 MB within ten minutes are 120 an hour, and still no leak: so much a heap may settle."""
    at_s = hours(0.17)
    assert problems([life(150 + 20 * at_s / len(at_s))]) == []


def test_faults_do_not_count() -> None:
    """Memory that is taken while a fault goes on, and given back, is none: only quiet samples are fitted."""
    at_s = hours(2)
    faulty = at_s % 30 < 15
    assert problems([life(150 + 2 * at_s * faulty, quiet=~faulty)]) == []


def test_growth_shows_between_faults() -> None:
    """A leak is found where only every second half minute is quiet, and a quarter of those samples are wild."""
    at_s = hours(2)
    wild = at_s % 4 == 0
    assert problems([life(150 + 40 * at_s / HOUR_S + 300 * wild, quiet=at_s % 30 >= 15)])


def test_warming_up_does_not_count() -> None:
    """What a process takes in the first quarter of its life, and keeps, is no leak."""
    at_s = hours(4)
    assert problems([life(150 + np.minimum(at_s / HOUR_S, 1.0) * 100)]) == []


@pytest.mark.parametrize(("more", "told"), [(-1, False), (0, True)])
def test_a_short_life_is_not_judged(more: int, told: bool) -> None:
    """With too few samples after the warm-up there is no trend."""
    n = int(WARM_UP_S) + SAMPLES_MIN + more
    assert bool(life(150 + noise(n)).trends()) is told


@pytest.mark.parametrize("name", LIMITS)
def test_each_quantity_has_its_limit(name: str) -> None:
    """Memory, descriptors and threads: ten hours just over the limit are a leak, just below it are none."""
    at_s = np.arange(0, 10 * HOUR_S, 60)

    def growing(per_hour: float) -> Life:
        shape = life(np.full(len(at_s), 150.0), at_s)
        return shape._replace(values={**shape.values, name: 100 + per_hour * at_s / HOUR_S})

    assert len(problems([growing(1.1 * LIMITS[name].per_hour)])) == 1
    assert problems([growing(0.9 * LIMITS[name].per_hour)]) == []

"""What a model call costs: µs per row, what the guard adds to a batch, µs per explained action.

    python -m benchmarks.model_call [--bundle DIRECTORY/VERSION]

Without a bundle one is made up: 200 trees of depth 4, the largest that training makes by default. The best of the
rounds is shown beside the median: what other programs take from the machine only adds.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.space import save
from scoring.breaker import BreakerSettings
from scoring.bundle import load_bundle
from scoring.deadline import AbandonedCalls, DeadlineRunner
from scoring.guarded import GuardedScorer
from scoring.model import Model
from tests import bundles

ROUNDS = 300
BATCHES = 30
"""Different ones; each comes ten times, and the quickest time of each is what the code costs."""
SIZES = (1, 16, 64, 256, 512, 1024, 2000)
ROW_US_MAX = 3.0  # in batches of 256 and more
GUARD_US_MAX = 60.0  # per batch
ACTION_US_MAX = 100.0
TREES = 200
Found = dict[str, list[float]]
"""Figures by size of the batch."""


class Timed(NamedTuple):
    """Microseconds of a call."""

    best_us: float
    median_us: float


def timed(call: Callable[[int], object], rounds: int = ROUNDS) -> Timed:
    """Times `call(round)`, so that each round can take other data."""
    elapsed = []
    for at in range(rounds):
        begun = time.perf_counter_ns()
        call(at)
        elapsed.append((time.perf_counter_ns() - begun) / 1000)
    return Timed(min(elapsed), median(elapsed))


def in_turns(ways: list[Callable[[int], object]]) -> NDArray[np.float64]:
    """Times all ways in each round, `(ROUNDS, n_ways)` µs.

    In turns and not always in the same order, so that what else the machine does falls on all alike.
    """
    found = np.empty((ROUNDS, len(ways)))
    for at in range(ROUNDS):
        for turn in range(len(ways)):
            way = (at + turn) % len(ways)
            begun = time.perf_counter_ns()
            ways[way](at)
            found[at, way] = (time.perf_counter_ns() - begun) / 1000
    return found


def rows_per_call(model: Model) -> Found:
    """The session alone, by batch size: µs a row."""
    figures = {}
    print("rows   µs/row best  median   (at most 3 from 256 rows on)")
    rows = model.arrange(bundles.made_up_rows(20_000, seed=7))
    for size in SIZES:
        found = timed(lambda at, n=size: model.predict(rows[at * 37 % 15_000 :][:n]))  # type: ignore[misc]
        figures[str(size)] = [found.best_us / size, found.median_us / size]
        verdict = "" if size < 256 else f"   {found.best_us / size / ROW_US_MAX:.2f} of the limit"
        print(f"{size:5d} {found.best_us / size:10.2f} {found.median_us / size:8.2f}{verdict}")
    return figures


def guard_per_batch(model: Model) -> Found:
    """The deadline's thread, and all of the guard, beside the same work done directly: what they add, µs a batch."""
    figures = {}
    print("\nrows   direct µs   +deadline best  median   +guard best  median   (the deadline adds at most 60)")
    runner = DeadlineRunner(model.predict, model.fresh_predict, AbandonedCalls())
    scorer = GuardedScorer(inference_ms=5000, breaker=BreakerSettings(slow_ms=5000), monotonic=time.monotonic)
    scorer.offer(model)
    features = bundles.made_up_rows(20_000, seed=7)
    rules = np.full(2000, 0.3)
    for size in (16, 256, 2000):
        batches = [features[at % BATCHES * 37 :][:size] for at in range(ROUNDS)]
        arranged = [model.arrange(batch) for batch in batches]
        ways: list[Callable[[int], object]] = [
            lambda at, a=arranged: model.predict(a[at]),  # type: ignore[misc]
            lambda at, a=arranged: runner.call(a[at], 5),  # type: ignore[misc]
            lambda at, b=batches, n=size: scorer.score(b[at], rules[:n]),  # type: ignore[misc]
        ]
        found = in_turns(ways)
        quickest = found.reshape(-1, BATCHES, len(ways)).min(axis=0)  # of each batch, by way
        added, whole = np.median(quickest[:, 1:] - quickest[:, :1], axis=0).tolist()
        busy, busy_whole = np.median(found[:, 1:] - found[:, :1], axis=0).tolist()
        figures[str(size)] = [added, busy, whole, busy_whole]
        print(
            f"{size:5d} {np.median(quickest[:, 0]):10.1f} {added:16.1f} {busy:7.1f} {whole:13.1f} {busy_whole:7.1f}"
            f"   {added / GUARD_US_MAX:.2f} of the limit"
        )
    runner.close()
    empty = DeadlineRunner(lambda rows: rows[:, 0].astype(np.float64), model.fresh_predict, AbandonedCalls())
    nothing = timed(lambda _: empty.call(arranged[0][:1], 5), 3000)
    print(f"a call that does nothing: {nothing.best_us:.1f} best, {nothing.median_us:.1f} median µs")
    empty.close()
    scorer.close()
    return figures


def per_action(model: Model) -> Found:
    """Attributions with all that makes `Decision.reasons` of them: µs an action whose like was not seen before."""
    figures = {}
    print("\nactions   µs/action best  median   (at most 100)")
    features = bundles.made_up_rows(20_000, seed=7)
    features[:, 1] += 1e-9 * np.arange(len(features))  # no two alike
    taken = 0
    for size in (1, 10, 100):
        found = timed(lambda at, n=size, first=taken: model.reasons(features[first + at * n :][:n]), 100)  # type: ignore[misc]
        taken += 100 * size
        best = found.best_us / size
        figures[str(size)] = [best, found.median_us / size]
        print(f"{size:7d} {best:12.1f} {found.median_us / size:10.1f}   {best / ACTION_US_MAX:.2f} of the limit")
    return figures


def main() -> None:
    """Prints the figures of one bundle."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, help="a bundle's directory; without it one is made up")
    chosen: Path | None = parser.parse_args().bundle
    with TemporaryDirectory() as temporary:
        path = chosen or bundles.write_bundle(Path(temporary), "v1", trees=TREES)
        begun = time.perf_counter()
        bundle = load_bundle(path.parent, path.name)
        model = Model(bundle)
        print(f"{len(bundle.model)} bytes, loaded and checked in {1000 * (time.perf_counter() - begun):.0f} ms\n")
    result = {
        "row_us_best_median": rows_per_call(model),
        "deadline_us_best_median_guard_us_best_median": guard_per_batch(model),
        "action_us_best_median": per_action(model),
    }
    print(save("model_call", {"trees": TREES if chosen is None else str(chosen), **result}))


if __name__ == "__main__":
    main()

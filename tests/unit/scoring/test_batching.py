"""Batches are sized so that a cycle stays under half the budget, whatever the costs turn out to be (simulated)."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scoring.batching import BATCH_MIN, BatchController, CallSizer, LinearCost

BUDGET_MS = 150.0
MAX_BATCH = 2000

Cost = Callable[[int, float], float]
"""Records and the time in ms -> what a cycle with them costs, in ms."""


@dataclass
class Loop:
    """A consumer in front of evenly arriving records: what waits is taken, up to the controller's limit."""

    rate_per_s: float
    cost: Cost
    controller: BatchController = field(default_factory=lambda: BatchController(BUDGET_MS, MAX_BATCH))
    now_ms: float = 0.0
    taken: int = 0
    sizes: list[int] = field(default_factory=list)
    cycles_ms: list[float] = field(default_factory=list)
    latencies_ms: list[float] = field(default_factory=list)

    def arrived_at(self, record: int) -> float:
        return record * 1000 / self.rate_per_s

    def run(self, for_ms: float) -> Loop:
        end = self.now_ms + for_ms
        while self.now_ms < end:
            self.now_ms = max(self.now_ms, self.arrived_at(self.taken))
            waiting = int(self.now_ms * self.rate_per_s / 1000) - self.taken + 1
            size = min(waiting, self.controller.limit())
            oldest_ms = self.now_ms - self.arrived_at(self.taken)
            cycle_ms = self.cost(size, self.now_ms)
            self.now_ms += cycle_ms
            self.latencies_ms.append(self.now_ms - self.arrived_at(self.taken))
            self.taken += size
            self.sizes.append(size)
            self.cycles_ms.append(cycle_ms)
            self.controller.observe(size, cycle_ms, oldest_ms)
        return self


def noisy(row_ms: float, fixed_ms: float, seed: int = 0) -> Cost:
    chance = np.random.default_rng(seed)
    return lambda n, _: (fixed_ms + row_ms * n) * float(chance.uniform(0.8, 1.2))


def test_budget_holds_at_a_steady_rate() -> None:
    """At 1,000 events/s and usual costs cycles stay under half the budget, and the oldest events under it."""
    loop = Loop(1000, noisy(0.02, 12)).run(60_000)
    assert np.quantile(loop.cycles_ms, 0.95) < BUDGET_MS / 2
    assert np.quantile(loop.latencies_ms, 0.95) < BUDGET_MS


def test_heavy_records_make_smaller_batches() -> None:
    """Where a record costs more than was guessed, the fitted cost caps the batch so that cycles fit."""
    controller = BatchController(BUDGET_MS, MAX_BATCH)
    chance = np.random.default_rng(0)
    for _ in range(300):
        n = min(int(chance.integers(1, 1000)), controller.limit())
        controller.observe(n, 5 + 0.2 * n, oldest_ms=0)
    assert 5 + 0.2 * controller.limit() <= BUDGET_MS / 2
    assert controller.limit() > 250


def test_late_cycle_backs_off_at_once() -> None:
    """One cycle past half the budget takes the limit to 0.7 of itself, before any fit could know why."""
    controller = BatchController(BUDGET_MS, MAX_BATCH)
    for n in range(100):
        controller.observe(10 * n, 8 + 0.01 * 10 * n, oldest_ms=0)
    assert controller.limit() == MAX_BATCH
    controller.observe(20, 80, oldest_ms=0)
    assert controller.limit() == 0.7 * MAX_BATCH


def test_limit_recovers_when_commits_are_fast_again() -> None:
    """A spell of slow commits does not keep batches small for ever."""
    slow_until = 20_000.0
    loop = Loop(5000, lambda n, now: (90 if now < slow_until else 8) + 0.01 * n).run(slow_until)
    small = loop.controller._cap.limit
    loop.run(60_000)
    assert small < 200
    assert loop.controller.limit() == MAX_BATCH


def test_backlog_takes_the_largest_batch() -> None:
    """Events that waited past the budget are taken in the largest batches, however slow commits are."""
    loop = Loop(2000, lambda n, _: 90 + 0.02 * n)
    loop.now_ms = 10_000  # ten seconds of events are waiting
    loop.run(1500)
    assert loop.sizes[1:5] == [MAX_BATCH] * 4


def test_backlog_is_worked_off() -> None:
    """After an outage the loop catches up and returns to the budget."""
    loop = Loop(2000, noisy(0.05, 15))
    loop.now_ms = 30_000
    loop.run(60_000)
    assert loop.latencies_ms[0] > 10_000
    assert np.quantile(loop.latencies_ms[-200:], 0.95) < BUDGET_MS
    assert not loop.controller.behind


@settings(max_examples=40, deadline=None)
@given(
    row_ms=st.floats(0.005, 0.3),
    fixed_ms=st.floats(1, 40),
    share=st.floats(0.05, 0.5),
    seed=st.integers(0, 100),
)
def test_budget_holds_whenever_it_can(row_ms: float, fixed_ms: float, share: float, seed: int) -> None:
    """At up to half of what batches within the budget could carry, p95 stays within it, for any linear cost."""
    at_half = (BUDGET_MS / 2 - 1.2 * fixed_ms) / (1.2 * row_ms)
    rate = share * 1000 * min(at_half, MAX_BATCH) / (BUDGET_MS / 2)
    loop = Loop(rate, noisy(row_ms, fixed_ms, seed)).run(20_000)
    assert np.quantile(loop.latencies_ms, 0.95) < BUDGET_MS


@given(st.lists(st.tuples(st.integers(0, 5000), st.floats(0, 1e5), st.floats(0, 1e6)), max_size=50))
def test_limit_is_always_a_usable_size(history: list[tuple[int, float, float]]) -> None:
    """Whatever was measured, the limit lies between the smallest and the largest batch."""
    controller = BatchController(BUDGET_MS, MAX_BATCH)
    for n, cycle_ms, oldest_ms in history:
        controller.observe(n, cycle_ms, oldest_ms)
        assert BATCH_MIN <= controller.limit() <= MAX_BATCH


def test_small_largest_batch_is_respected() -> None:
    """`max_batch` below the usual minimum holds."""
    assert BatchController(BUDGET_MS, 10).limit() == 10


def test_fit_finds_the_line() -> None:
    """Slope and fixed cost are recovered from noisy measurements of different sizes."""
    chance = np.random.default_rng(0)
    cost = LinearCost(prior_row_ms=0.1)
    for n in chance.integers(1, 2000, 500):
        cost.observe(int(n), 0.02 * n + 10 + chance.normal(0, 0.5))
    assert cost.row_ms == pytest.approx(0.02, rel=0.05)
    assert cost.fixed_ms == pytest.approx(10, rel=0.1)


def test_fit_follows_a_change() -> None:
    """The past is forgotten: after 200 measurements of another cost the fit is the new one."""
    cost = LinearCost(prior_row_ms=0.02)
    for fixed_ms in (5, 50):
        for n in range(200):
            cost.observe(10 * (n % 50), 0.02 * 10 * (n % 50) + fixed_ms)
    assert cost.fixed_ms == pytest.approx(50, rel=0.1)


def test_equal_sizes_do_not_blame_the_rows() -> None:
    """From batches of one size only, the fixed cost is not mistaken for the rows' cost."""
    cost = LinearCost(prior_row_ms=0.02)
    for _ in range(100):
        cost.observe(10, 12)
    assert cost.row_ms == pytest.approx(0.02)
    assert cost.rows_within(75) > 2000


def test_calls_are_split_to_keep_the_deadline() -> None:
    """Rows at 0.1 ms and a deadline of 50 ms: 400 rows are asked for at once."""
    sizer = CallSizer(deadline_ms=50)
    for n in range(100):
        sizer.observe(n, 0.05 + 0.1 * n)
    assert sizer.rows(2000) == pytest.approx(400, rel=0.02)
    assert sizer.rows(300) == 300


def test_costly_calls_are_not_multiplied() -> None:
    """A call that takes 40 of 50 ms whatever its size is not made twice."""
    sizer = CallSizer(deadline_ms=50)
    for n in range(100):
        sizer.observe(n, 40 + 0.003 * n)
    assert sizer.rows(2000) == 2000


@given(st.floats(0.01, 20), st.floats(0.0001, 1))
def test_splitting_at_most_doubles_the_time(fixed_ms: float, row_ms: float) -> None:
    """Whatever the cost, all calls of a batch together take at most twice what one would."""
    sizer = CallSizer(deadline_ms=50)
    for n in range(0, 2000, 20):
        sizer.observe(n, fixed_ms + row_ms * n)
    in_one = fixed_ms + row_ms * 2000
    assert math.ceil(2000 / sizer.rows(2000)) * fixed_ms + row_ms * 2000 <= max(2.1 * in_one, in_one + fixed_ms)


def test_missed_deadlines_teach_the_size() -> None:
    """Of a model at 0.2 ms a row only small calls are known to work: within a few misses calls fit the deadline."""
    sizer = CallSizer(deadline_ms=50)
    for _ in range(5):
        sizer.observe(16, 0.2 * 16)
    for _ in range(4):
        sizer.missed(sizer.rows(2000))
    assert 0.2 * sizer.rows(2000) < 50
    for _ in range(100):
        size = sizer.rows(2000)
        assert 0.2 * size < 50
        sizer.observe(size, 0.2 * size)


def test_sizes_recover_after_an_outage() -> None:
    """A model that hung and answers again is soon asked in one call."""
    sizer = CallSizer(deadline_ms=50)
    for _ in range(20):
        sizer.missed(sizer.rows(2000))
    assert sizer.rows(2000) == 64
    for _ in range(10):
        sizer.observe(64, 0.2)
    assert sizer.rows(2000) == 2000


def test_a_model_that_becomes_slow_as_a_whole_is_not_asked_in_more_calls() -> None:
    """Each would be as slow, and answered in time: no deadline and no breaker would end it."""
    sizer = CallSizer(deadline_ms=50)
    for turn in range(200):
        sizer.observe(1 + turn % 8, 0.3 + 0.003 * (turn % 8))
    sizer.observe(3, 45.0)
    assert sizer.rows(44) == 44
    sizer.observe(44, 45.0)
    assert sizer.rows(400) == 400


def test_what_is_aborted_again_and_again_is_tried_in_ever_smaller_batches() -> None:
    """Behind, too, where the largest would be best: a thin link may carry no more within the transaction's timeout."""
    controller = BatchController(150.0, 2000)
    controller.observe(2000, 100.0, 10_000.0)
    limits = []
    for _ in range(7):
        limits.append(controller.limit())
        controller.aborted(limits[-1])
    assert limits == [2000, 1000, 500, 250, 125, 62, 50]
    for _ in range(6):
        controller.observe(controller.limit(), 100.0, 10_000.0)
    assert controller.limit() == 2000


def test_an_abort_of_few_records_says_nothing_about_many() -> None:
    """A rebalance or a broker that is away aborted it."""
    controller = BatchController(150.0, 2000)
    controller.observe(2000, 100.0, 10_000.0)
    controller.aborted(BATCH_MIN)
    assert controller.limit() == 2000

"""How many records to take at once: as many as a fitted cost says will be done in time, fewer after being late.

There is no lingering: a batch is what is waiting, up to the limit, and while one is committed the next gathers.
"""

from __future__ import annotations

import math
from typing import Final

MEMORY: Final = 0.98
"""Weight of the past at each observation: the fit rests on about the last 50."""

BACK_OFF: Final = 0.7
RECOVER: Final = 1.1
PRIOR_SPREAD: Final = 10.0
"""In rows: how far sizes must have varied before the fitted slope counts as much as the prior one."""

BATCH_MIN: Final = 50
"""In records: what a transaction costs by itself (4 to 30 ms measured) does not shrink with the batch."""

RECORD_MS: Final = 0.03
"""A first guess at what a record costs, all in."""

DEADLINE_SHARE: Final = 0.8
"""A call is made as large as is expected to be done in this share of its deadline; the rest is for scatter."""

ROW_MS: Final = 0.003
"""A first guess at what a row costs in a model call (measured: 2 to 3 µs with 200 trees)."""

CALL_ROWS_MIN: Final = 64
"""Missed deadlines make calls no smaller than this: a model that cannot do so many is not slow but out of order."""


class LinearCost:
    """The cost of n rows as `a * n + b` in ms, by least squares with forgetting.

    While all batches have about the same size the data cannot tell `a` from `b`: the slope is drawn to a prior.

    Example:
        >>> cost = LinearCost(prior_row_ms=0.02)
        >>> for n in range(0, 2000, 50):
        ...     cost.observe(n, 0.01 * n + 8)
        >>> round(cost.row_ms, 3), round(cost.fixed_ms, 1), cost.rows_within(18)
        (0.01, 8.0, 1000)
    """

    def __init__(self, prior_row_ms: float) -> None:
        self._prior_row_ms = prior_row_ms
        self._weight = self._mean_n = self._mean_ms = 0.0
        self._square_n = self._product = 0.0  # weighted sums about the means

    def observe(self, n_rows: int, elapsed_ms: float) -> None:
        """Takes one measurement (West's update of weighted means and products, 1979)."""
        self._weight = self._weight * MEMORY + 1
        off_n, off_ms = n_rows - self._mean_n, elapsed_ms - self._mean_ms
        self._mean_n += off_n / self._weight
        self._mean_ms += off_ms / self._weight
        rest = 1 - 1 / self._weight
        self._square_n = self._square_n * MEMORY + rest * off_n * off_n
        self._product = self._product * MEMORY + rest * off_n * off_ms

    @property
    def row_ms(self) -> float:
        """The fitted `a`; at least a tenth of the prior, since no row is free."""
        fitted = (self._product + PRIOR_SPREAD**2 * self._prior_row_ms) / (self._square_n + PRIOR_SPREAD**2)
        return max(fitted, self._prior_row_ms / 10)

    @property
    def fixed_ms(self) -> float:
        """The fitted `b`, at least 0."""
        return max(self._mean_ms - self.row_ms * self._mean_n, 0.0)

    def rows_within(self, target_ms: float) -> int:
        """The most rows that the fit expects to take at most `target_ms`; may be 0 or less."""
        return math.floor((target_ms - self.fixed_ms) / self.row_ms + 1e-9)


class CostCap:
    """A limit on rows that keeps their cost at or under a target.

    The fit sets the limit; each measurement past the target takes it down to 0.7 of itself whatever the fit says, and
    each one under the target lets it rise again by a tenth.

    Args:
        target_ms: What a batch may cost.
        n_max: The limit when all is well.
        n_min: Not below it, since a fixed cost is not made better by smaller batches.
        prior_row_ms: The cost of a row as first guessed.
    """

    def __init__(self, *, target_ms: float, n_max: int, n_min: int, prior_row_ms: float) -> None:
        self._target_ms = target_ms
        self._n_max = n_max
        self._n_min = min(n_min, n_max)
        self._ceiling = float(n_max)
        self._cost = LinearCost(prior_row_ms)

    @property
    def limit(self) -> int:
        """The most rows to take now, from `n_min` to `n_max`."""
        return int(max(self._n_min, min(self._ceiling, self._cost.rows_within(self._target_ms))))

    def observe(self, n_rows: int, elapsed_ms: float) -> None:
        """Takes what `n_rows` cost."""
        self._cost.observe(n_rows, elapsed_ms)
        if elapsed_ms > self._target_ms:
            self._ceiling = max(BACK_OFF * self.limit, self._n_min)
        else:
            self._ceiling = min(RECOVER * self._ceiling, self._n_max)


class CallSizer:
    """Splits a batch into model calls that are expected to keep the deadline.

    Where the fixed cost of a call is most of the deadline, smaller calls would not be faster, only more: no split then.
    So splitting never more than doubles the time that the model takes for a batch.

    Args:
        deadline_ms: Of a call.
    """

    def __init__(self, deadline_ms: float) -> None:
        self._target_ms = DEADLINE_SHARE * deadline_ms
        self._cost = LinearCost(ROW_MS)
        self._ceiling = math.inf

    def rows(self, n_rows: int) -> int:
        """How many of `n_rows` to ask for in the next call."""
        if self._cost.fixed_ms > self._target_ms / 2:
            return n_rows
        return int(min(n_rows, max(self._cost.rows_within(self._target_ms), 1), self._ceiling))

    def observe(self, n_rows: int, elapsed_ms: float) -> None:
        """Takes what an answered call of `n_rows` cost.

        So few rows do not take so long: the model has become slow as a whole. The costs before would make rows of it,
        and many calls of a batch, each as slow.
        """
        expected_ms = self._cost.fixed_ms + self._cost.row_ms * n_rows
        if n_rows <= CALL_ROWS_MIN and elapsed_ms > max(self._target_ms / 2, 2 * expected_ms):
            self._cost = LinearCost(ROW_MS)
        self._cost.observe(n_rows, elapsed_ms)
        self._ceiling *= 1.5

    def missed(self, n_rows: int) -> None:
        """Takes a call that missed the deadline: its cost is not known, so the next ones are half as large."""
        self._ceiling = max(n_rows / 2, CALL_ROWS_MIN)


class BatchController:
    """Sizes the batches of a loop so that a cycle, from poll to commit, stays under half the budget.

    An event that arrives just after a poll waits one cycle and is served in the next: two cycles make the budget.
    Once an event has waited past the budget it is lost for this event, and getting the rest through is what counts: the
    largest batch, for it has the least cost per record.

    A transaction that was aborted may have been too large to be committed in time: each one halves the limit, each one
    that is committed doubles it again.

    Args:
        p95_ms: The budget.
        max_batch: The largest batch.
    """

    def __init__(self, p95_ms: float, max_batch: int) -> None:
        self._p95_ms = p95_ms
        self._max_batch = self._most = max_batch
        self._behind = False
        self._cap = CostCap(target_ms=p95_ms / 2, n_max=max_batch, n_min=BATCH_MIN, prior_row_ms=RECORD_MS)

    @property
    def behind(self) -> bool:
        """Whether the last batch began with a record that had already waited past the budget."""
        return self._behind

    def limit(self) -> int:
        """The most records to poll now."""
        return min(self._most, self._max_batch if self._behind else self._cap.limit)

    def observe(self, n_records: int, cycle_ms: float, oldest_ms: float) -> None:
        """Takes a committed cycle.

        Args:
            n_records: Records in the batch.
            cycle_ms: From the poll's return to the commit's.
            oldest_ms: The age of the batch's oldest record at the poll: poll time minus append time.
        """
        self._behind = oldest_ms > self._p95_ms
        self._most = min(2 * self._most, self._max_batch)
        self._cap.observe(n_records, cycle_ms)

    def aborted(self, n_records: int) -> None:
        """Takes a cycle that was not committed; one of few records was not too large, whatever it was."""
        if n_records > BATCH_MIN:
            self._most = min(self._most, max(n_records // 2, BATCH_MIN))

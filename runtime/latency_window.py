"""Percentiles of the last minute in a fixed amount of memory, however many events there are."""

import numpy as np
from numpy.typing import NDArray

SLOTS = 60  # one for each second of the minute
_LOWEST_S = 1e-4
_RATIO = 1.02  # of neighbouring bin edges: a percentile is off by 1 % at most
_BINS = 820  # up to 1,100 s


class LatencyWindow:
    """A ring of sixty one-second histograms with logarithmic bins."""

    def __init__(self) -> None:
        self._counts = np.zeros((SLOTS, _BINS), dtype=np.int64)
        self._second_of_slot = np.full(SLOTS, -SLOTS, dtype=np.int64)

    def add(self, latencies_s: NDArray[np.float64], now_s: float) -> None:
        """Adds a batch.

        Args:
            latencies_s: (n,) seconds.
            now_s: Seconds on the clock that `percentiles_ms` is asked with.
        """
        second = int(now_s)
        slot = second % SLOTS
        if self._second_of_slot[slot] != second:
            self._counts[slot] = 0
            self._second_of_slot[slot] = second
        position = np.log(np.maximum(latencies_s, _LOWEST_S) / _LOWEST_S) / np.log(_RATIO)
        self._counts[slot] += np.bincount(np.minimum(position.astype(np.intp), _BINS - 1), minlength=_BINS)

    def percentiles_ms(self, now_s: float, ranks: tuple[int, ...] = (50, 95, 99)) -> dict[str, float | None]:
        """The percentiles of the last minute in milliseconds; None without an event in it.

        >>> window = LatencyWindow()
        >>> window.add(np.array([0.010, 0.010, 0.200]), now_s=5.0)
        >>> window.percentiles_ms(now_s=6.0, ranks=(50,))
        {'p50': 9.99}
        >>> window.percentiles_ms(now_s=66.0, ranks=(50,))
        {'p50': None}
        """
        recent = self._second_of_slot > int(now_s) - SLOTS
        cumulative = self._counts[recent].sum(axis=0).cumsum()
        total = int(cumulative[-1])
        return {f"p{rank}": _middle_ms(cumulative, total * rank / 100) if total else None for rank in ranks}


def _middle_ms(cumulative: NDArray[np.int64], count: float) -> float:
    """The geometric middle of the bin that holds the count-th smallest latency, to three digits."""
    index = int(np.searchsorted(cumulative, count))
    return float(f"{_LOWEST_S * _RATIO ** (index + 0.5) * 1000:.3g}")

"""The straight line between a model's tree margin and the log-odds of the probability that it gives out."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from scoring.onnx_file import ModelFormatError

TOLERANCE: Final = 1e-5
"""In probability; float32 sums of 200 trees differ from double ones by about 1e-6."""


class LogOddsLine(NamedTuple):
    """log(p / (1 - p)) = `slope` * margin + `intercept`."""

    slope: float
    intercept: float


def fit_line(margins: NDArray[np.float64], probabilities: NDArray[np.float64]) -> LogOddsLine:
    """The line through `(n,)` margins and the probabilities that the model gives for them.

    Fitted rather than read off the graph, so that it holds for any calibration that is linear in the log-odds (a
    sigmoid, or none) however an exporter writes it; and checked, so that attributions are never those of other trees.

    Example:
        >>> margins = np.array([-1.0, 0.0, 2.0])
        >>> line = fit_line(margins, 1 / (1 + np.exp(-(0.5 * margins - 1))))
        >>> round(line.slope, 6), round(line.intercept, 6)
        (0.5, -1.0)

    Raises:
        ModelFormatError: They are not on one line: contributions in log-odds would not add up.
    """
    weights = probabilities * (1 - probabilities)  # float32 rounding is worth 1 / weight in log-odds
    inner = weights > 0
    x, w = margins[inner], weights[inner]
    if not inner.any():
        raise ModelFormatError("its probabilities are all exactly 0 or 1")
    z = np.log(probabilities[inner] / (1 - probabilities[inner]))
    mean_x, mean_z = np.average(x, weights=w**2), np.average(z, weights=w**2)
    spread = (w**2 * (x - mean_x) ** 2).sum()
    slope = float((w**2 * (x - mean_x) * (z - mean_z)).sum() / spread) if spread > 0 else 1.0
    line = LogOddsLine(slope, float(mean_z - slope * mean_x))
    with np.errstate(over="ignore"):
        fitted = 1 / (1 + np.exp(-(line.slope * margins + line.intercept)))
    gap = float(np.abs(fitted - probabilities).max())
    if not gap <= TOLERANCE:
        raise ModelFormatError(
            f"its probabilities are not a sigmoid of its trees' sum (off by {gap:.2g}; at most {TOLERANCE:g}): "
            "no calibration, or one by sigmoid, is served"
        )
    return line

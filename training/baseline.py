"""How features and score were distributed in training: what drift is later measured against."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from scoring.features import FEATURES
from scoring.manifest import Distribution

_DECILES = np.arange(1, 10) / 10


def baseline(features: NDArray[np.float64], scores: NDArray[np.float64]) -> dict[str, Distribution]:
    """Of each feature and of the score.

    Args:
        features: `(n, 5)`: the training rows.
        scores: `(n,)`: out-of-fold scores: those of rows that the model learnt from would be too sure of themselves.
    """
    columns = dict(zip(FEATURES, features.T, strict=True))
    return {name: distribution(values) for name, values in {**columns, "score": scores}.items()}


def distribution(values: NDArray[np.float64]) -> Distribution:
    """Mean, inner decile edges and the share of values in each bin; a bin holds its lower edge.

    An edge at the least value is left out, since nothing could be below it.

    >>> found = distribution(np.array([0.0, 0.0, 0.0, 1.0, 2.0]))
    >>> found.mean, found.edges, found.proportions
    (0.6, (1.0, 2.0), (0.6, 0.2, 0.2))
    """
    deciles = np.unique(np.quantile(values, _DECILES, method="higher"))
    edges = deciles[deciles > values.min()]
    bins = np.bincount(np.searchsorted(edges, values, side="right"), minlength=len(edges) + 1)
    return Distribution(
        mean=float(values.mean()), edges=tuple(edges.tolist()), proportions=tuple((bins / len(values)).tolist())
    )

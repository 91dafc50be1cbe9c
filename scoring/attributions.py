"""Exact attributions of a tree ensemble over five features, by table (contract 4, `Decision.reasons`).

Shapley values of the *interventional* game of Lundberg et al., "From local explanations to global understanding with
explainable AI for trees", Nature Machine Intelligence 2, 2020: for a set S of features, v(S) is the mean margin over a
background of training rows when the features in S are taken from the explained row and the others from the background
row. The path-dependent game of the same authors ("Consistent individualized feature attribution for tree ensembles",
2018) needs the number of training rows at each node, which an ONNX file does not carry; and its base depends on the
trees' shape, while the interventional base is the mean over the background: the "training baseline" of the contract.

A leaf pays its value if a row lies inside its box in all features. With background frequencies known, what a leaf adds
to each feature's Shapley value depends on the explained row only by *which* of the five intervals contain it: 32 cases,
worked out once per leaf at load. Explaining a row is then one look-up per leaf and a sum.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import factorial
from typing import Final

import numpy as np
from numpy.typing import NDArray

from scoring.trees import Leaves

_N: Final = 5
_SETS: Final = np.arange(1 << _N)  # a set of features as a bit mask
_HAS: Final = (_SETS[:, None] >> np.arange(_N)) & 1  # (32, 5)


class Attributions:
    """Explains margins of one ensemble against one background.

    Attributes:
        base: The mean margin over the background; a row's contributions add up to its margin minus `base`.
    """

    def __init__(self, leaves: Leaves, background: NDArray[np.float32]) -> None:
        """Works out the table: 1.3 kB a leaf, about 20 ms for 2,400 leaves and 256 rows.

        Args:
            leaves: The ensemble.
            background: `(n_rows, 5) float32`, in the model's order of features.
        """
        self._edges, self._inside = _membership(leaves)
        n_leaves = len(leaves.values)
        self._offsets = np.arange(n_leaves) * len(_SETS)
        seen = np.zeros(n_leaves * len(_SETS))
        for patterns in self._patterns(background):
            seen[self._offsets + patterns] += 1
        # share[leaf, S]: the background rows that are inside the leaf's box in every feature outside S.
        share = (seen.reshape(n_leaves, -1) / len(background)) @ _covers(_SETS[:, None], _SETS[-1] - _SETS)
        self.base = float(leaves.values @ share[:, 0])
        per_pattern = (share * leaves.values[:, None]) @ _shapley_of_patterns().reshape(len(_SETS), -1)
        # One row per feature: gathering eight neighbouring bytes and adding them up runs along the memory.
        self._table = np.ascontiguousarray(per_pattern.reshape(-1, _N).T)

    def contributions(self, rows: NDArray[np.float32]) -> NDArray[np.float64]:
        """What each feature adds to the margins of `rows`, both `(k, 5)`, in the units of the margin."""
        result = np.empty(rows.shape)
        for at, patterns in enumerate(self._patterns(rows)):
            cells = self._offsets + patterns
            for feature in range(_N):
                result[at, feature] = self._table[feature].take(cells).sum()
        return result

    def _patterns(self, rows: NDArray[np.float32]) -> Iterator[NDArray[np.uint8]]:
        """Per row and leaf the features whose interval contains the row's value, `(n_leaves,)` bit masks."""
        intervals = [np.searchsorted(edges, rows[:, at]).tolist() for at, edges in enumerate(self._edges)]
        for row in zip(*intervals, strict=True):
            pattern = self._inside[0][row[0]].copy()
            for inside, interval in zip(self._inside[1:], row[1:], strict=True):
                pattern |= inside[interval]
            yield pattern


def _membership(leaves: Leaves) -> tuple[list[NDArray[np.float32]], list[NDArray[np.uint8]]]:
    """Per feature the thresholds, and per interval between them and leaf the feature's bit if the leaf contains it.

    A tree asks `x <= threshold`, so an interval includes its upper edge: `searchsorted(edges, x, side="left")`.
    """
    all_edges: list[NDArray[np.float32]] = []
    all_inside: list[NDArray[np.uint8]] = []
    for feature in range(_N):
        low, high = leaves.low[:, feature], leaves.high[:, feature]
        edges = np.unique(np.concatenate([low, high]))
        edges = edges[np.isfinite(edges)]
        interval = np.arange(len(edges) + 1)[:, None]
        first = np.where(np.isfinite(low), np.searchsorted(edges, low) + 1, 0)
        inside = (interval >= first) & (interval <= np.searchsorted(edges, high))
        all_edges.append(edges)
        all_inside.append(inside * np.uint8(1 << feature))
    return all_edges, all_inside


def _covers(sets: NDArray[np.int64], subsets: NDArray[np.int64]) -> NDArray[np.float64]:
    covers: NDArray[np.float64] = ((subsets & ~sets) == 0).astype(np.float64)
    return covers


def _shapley_of_patterns() -> NDArray[np.float64]:
    """`[S, pattern, feature]`: the weight of a leaf's share for S in a feature's value, for a row with that pattern.

    v(S) is `share[S]` if the pattern covers S, else 0; a feature's Shapley value is the sum over all S without it of
    `|S|! (4 - |S|)! / 5! * (v(S + feature) - v(S))`.
    """
    size = _HAS.sum(axis=1)
    weights = np.empty((len(_SETS), _N))
    for s in _SETS:
        for feature in range(_N):
            has = bool(_HAS[s, feature])
            others = size[s] - has
            weight = factorial(others) * factorial(_N - 1 - others) / factorial(_N)
            weights[s, feature] = weight if has else -weight
    covered = _covers(_SETS[None, :], _SETS[:, None])  # [S, pattern]
    return covered[:, :, None] * weights[:, None, :]

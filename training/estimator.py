"""Gradient boosting with the number of trees chosen, and the probabilities calibrated, on leads it has not seen."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.calibration import CalibratedClassifierCV  # type: ignore[import-untyped]
from sklearn.ensemble import GradientBoostingClassifier  # type: ignore[import-untyped]

from training.splits import Split, grouped_splits

Matrix = NDArray[np.float64]

_STEP = 5
_PATIENCE = 30
"""Trees that the loss on unseen leads may fail to improve for; at a learning rate of 0.05 improvement comes slowly."""


@dataclass(frozen=True, slots=True)
class Hyperparameters:
    """What is set before training; the defaults are those of the scoring guide.

    Attributes:
        trees_max: Trees at most; how many there are is chosen by grouped validation.
        depth: Levels of a tree.
        learning_rate: What a tree's answer is multiplied with.
        subsample: Share of the rows that a tree sees.
        leaf_rows_min: Training rows in a leaf.
        folds: Outer folds, for the evaluation.
        inner_folds: Folds within a training set, for the number of trees and the calibration.
    """

    trees_max: int = 200
    depth: int = 4
    learning_rate: float = 0.05
    subsample: float = 0.8
    leaf_rows_min: int = 30
    folds: int = 5
    inner_folds: int = 3


@dataclass(frozen=True, slots=True)
class Trained:
    """A calibrated model.

    Attributes:
        estimator: scikit-learn's `CalibratedClassifierCV` with one gradient boosting inside.
        trees: How many trees it has.
        losses: Log-loss on unseen leads after each number of trees, before calibration.
    """

    estimator: Any
    trees: int
    losses: tuple[float, ...]

    def scores(self, features: Matrix) -> NDArray[np.float64]:
        """Calibrated probabilities of conversion, `(n,) float64`, of `(n, 5)` features."""
        probabilities: NDArray[np.float64] = self.estimator.predict_proba(features)
        return probabilities[:, 1]


def fit(
    features: Matrix, labels: NDArray[np.int8], leads: NDArray[np.int64], settings: Hyperparameters, seed: int
) -> Trained:
    """Chooses the number of trees, fits and calibrates; everything held out within is held out by lead.

    Args:
        features: `(n, 5)`.
        labels: `(n,)`, 0 or 1, both present.
        leads: `(n,)`: the lead of each row.
        settings: The hyperparameters.
        seed: Of all chance.

    Raises:
        DataRefusedError: Too few leads to split.
    """
    splits = grouped_splits(labels, leads, settings.inner_folds, seed)
    losses = list(_losses(features, labels, splits, settings, seed))
    trees = int(np.argmin(losses)) + 1
    # ensemble=False fits one model on all rows and one sigmoid on the folds' predictions: of the forms of calibration
    # this is the one that converts to ONNX exactly and keeps log-odds linear in the trees' sum.
    estimator = CalibratedClassifierCV(
        boosting(settings, seed, trees), method="sigmoid", ensemble=False, cv=splits, n_jobs=1
    )
    return Trained(estimator.fit(features, labels), trees, tuple(losses))


def boosting(settings: Hyperparameters, seed: int, trees: int) -> Any:
    """The uncalibrated model, not fitted."""
    return GradientBoostingClassifier(
        n_estimators=trees,
        max_depth=settings.depth,
        learning_rate=settings.learning_rate,
        subsample=settings.subsample,
        min_samples_leaf=settings.leaf_rows_min,
        random_state=seed,
    )


def _losses(
    features: Matrix, labels: NDArray[np.int8], splits: list[Split], settings: Hyperparameters, seed: int
) -> Iterator[float]:
    """Mean log-loss on the held-out folds after 1, 2, ... trees, until it has not improved for `_PATIENCE` trees.

    scikit-learn's own early stopping holds out rows, whose leads are then on both sides: it takes far too many trees.
    """
    growing = [_Growing(features, labels, split, boosting(settings, seed, 1)) for split in splits]
    best, best_at, done = np.inf, 0, 0
    while done < settings.trees_max and done - best_at < _PATIENCE:
        goal = min(done + _STEP, settings.trees_max)
        for losses in zip(*(fold.grow(goal) for fold in growing), strict=True):
            loss = float(np.concatenate(losses).mean())
            done += 1
            if loss < best:
                best, best_at = loss, done
            yield loss


class _Growing:
    """One fold's model, grown a few trees at a time; the random state goes on where it was."""

    def __init__(self, features: Matrix, labels: NDArray[np.int8], split: Split, model: Any) -> None:
        train, test = split
        self._model = model.set_params(warm_start=True)
        self._features, self._labels = features[train], labels[train]
        self._test = features[test].astype(np.float32)  # what the trees compare
        self._sign = np.where(labels[test] == 1, -1.0, 1.0)
        self._margins: NDArray[np.float64] | None = None

    def grow(self, goal: int) -> list[NDArray[np.float64]]:
        """Grows up to `goal` trees: the loss of each held-out row after each new tree."""
        first = 0 if self._margins is None else len(self._model.estimators_)
        self._model.set_params(n_estimators=goal).fit(self._features, self._labels)
        return [self._loss_with(tree) for tree in range(first, goal)]

    def _loss_with(self, tree: int) -> NDArray[np.float64]:
        if self._margins is None:
            self._margins = next(self._model.staged_decision_function(self._test)).ravel()
        else:
            added = self._model.estimators_[tree, 0].predict(self._test)
            self._margins = self._margins + self._model.learning_rate * added
        losses: NDArray[np.float64] = np.logaddexp(0, self._sign * self._margins)
        return losses

"""Cross-validation: every row is scored by a model that has seen nothing of its lead, calibration included."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.inspection import permutation_importance  # type: ignore[import-untyped]

from scoring.features import FEATURES
from training.dataset import Dataset
from training.errors import DataRefusedError
from training.estimator import Hyperparameters, Trained, fit
from training.figures import average_precision, roc_auc
from training.splits import Split, grouped_splits, time_split

Progress = Callable[[str], None]
"""Told what has been done, as it is done."""

STEPS_BESIDE_FOLDS = 2
"""Of `Progress`: the check in time and the model that is shipped."""

_SHUFFLES = 3


@dataclass(frozen=True, slots=True)
class Fold:
    """One fold: its model on its test leads and on the leads that it learnt from; the rules on the former."""

    train_rows: int
    test_rows: int
    trees: int
    roc_auc: float
    roc_auc_train: float
    average_precision: float
    average_precision_train: float
    rules_roc_auc: float
    rules_average_precision: float


@dataclass(frozen=True, slots=True)
class TimeCheck:
    """A model of the past on other leads' future."""

    cut_ms: int
    train_rows: int
    test_rows: int
    test_positives: int
    roc_auc: float
    average_precision: float
    rules_roc_auc: float
    rules_average_precision: float


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What held-out rows say.

    Attributes:
        folds: Figures fold by fold.
        scores: `(n,) float64`: each row's calibrated score by the model that did not see its lead.
        importance: By feature, how much ROC-AUC on test leads falls when its values are shuffled: mean, deviation.
        time_check: The check in time, or why there is none.
    """

    folds: tuple[Fold, ...]
    scores: NDArray[np.float64]
    importance: dict[str, tuple[float, float]]
    time_check: TimeCheck | str


def evaluate(dataset: Dataset, settings: Hyperparameters, seed: int, progress: Progress) -> Evaluation:
    """Cross-validates the whole procedure: number of trees, fit and calibration anew in each fold.

    Raises:
        DataRefusedError: Too few leads to split.
    """
    scores = np.full(len(dataset), np.nan)
    folds, drops = [], []
    for number, split in enumerate(grouped_splits(dataset.labels, dataset.leads, settings.folds, seed), start=1):
        trained = _fit(dataset, split, settings, seed)
        scores[split[1]] = trained.scores(dataset.features[split[1]])
        folds.append(_fold(dataset, split, trained, scores))
        drops.append(_importance(dataset, split, trained, seed))
        progress(f"fold {number} of {settings.folds}")
    time_check = _time_check(dataset, settings, seed)
    progress("check in time")
    every = np.concatenate(drops, axis=1)
    importance = {name: (float(drop.mean()), float(drop.std())) for name, drop in zip(FEATURES, every, strict=True)}
    return Evaluation(tuple(folds), scores, importance, time_check)


def _fit(dataset: Dataset, split: Split, settings: Hyperparameters, seed: int) -> Trained:
    train = split[0]
    return fit(dataset.features[train], dataset.labels[train], dataset.leads[train], settings, seed)


def _fold(dataset: Dataset, split: Split, trained: Trained, scores: NDArray[np.float64]) -> Fold:
    train, test = split
    train_labels, test_labels = dataset.labels[train], dataset.labels[test]
    train_scores, rules = trained.scores(dataset.features[train]), dataset.rule_scores[test]
    return Fold(
        train_rows=len(train),
        test_rows=len(test),
        trees=trained.trees,
        roc_auc=roc_auc(test_labels, scores[test]),
        roc_auc_train=roc_auc(train_labels, train_scores),
        average_precision=average_precision(test_labels, scores[test]),
        average_precision_train=average_precision(train_labels, train_scores),
        rules_roc_auc=roc_auc(test_labels, rules),
        rules_average_precision=average_precision(test_labels, rules),
    )


def _importance(dataset: Dataset, split: Split, trained: Trained, seed: int) -> NDArray[np.float64]:
    """`(5, shuffles)`: falls of ROC-AUC on the test leads."""
    test = split[1]
    drops: NDArray[np.float64] = permutation_importance(
        trained.estimator,
        dataset.features[test],
        dataset.labels[test],
        scoring="roc_auc",
        n_repeats=_SHUFFLES,
        random_state=seed,
        n_jobs=1,
    ).importances
    return drops


def _time_check(dataset: Dataset, settings: Hyperparameters, seed: int) -> TimeCheck | str:
    check = time_split(dataset, seed)
    if isinstance(check, str):
        return check
    try:
        trained = _fit(dataset, (check.train, check.test), settings, seed)
    except DataRefusedError:
        return "too few leads convert before the cut to train on them"
    labels, rules = dataset.labels[check.test], dataset.rule_scores[check.test]
    scores = trained.scores(dataset.features[check.test])
    return TimeCheck(
        cut_ms=check.cut_ms,
        train_rows=len(check.train),
        test_rows=len(check.test),
        test_positives=int(labels.sum()),
        roc_auc=roc_auc(labels, scores),
        average_precision=average_precision(labels, scores),
        rules_roc_auc=roc_auc(labels, rules),
        rules_average_precision=average_precision(labels, rules),
    )

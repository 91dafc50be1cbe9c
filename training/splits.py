"""Splits by lead: no lead has rows on both sides."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedGroupKFold  # type: ignore[import-untyped]

from scoring.features import DAY_MS
from training.dataset import Dataset
from training.errors import DataRefusedError

Rows = NDArray[np.intp]
Split = tuple[Rows, Rows]
"""Row numbers to train on and to test on."""

_EARLY_SHARE = 0.7
_TIME_FOLDS = 3
_TIME_POSITIVES_MIN = 10


def grouped_splits(labels: NDArray[np.int8], leads: NDArray[np.int64], n_splits: int, seed: int) -> list[Split]:
    """Stratified folds in which each lead is in one test fold.

    Raises:
        DataRefusedError: A fold would have one class only: too few leads convert, or one lead has most rows.
    """
    folds = StratifiedGroupKFold(n_splits, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # few of one class: judged below, with what to do
        try:
            splits = [(train, test) for train, test in folds.split(labels, labels, leads)]
        except ValueError as error:
            raise _too_few(labels, leads, n_splits) from error
    if any(len(np.unique(labels[side])) < 2 for split in splits for side in split):
        raise _too_few(labels, leads, n_splits)
    return splits


def _too_few(labels: NDArray[np.int8], leads: NDArray[np.int64], n_splits: int) -> DataRefusedError:
    n_positive = len(np.unique(leads[labels == 1]))
    return DataRefusedError(
        f"{n_splits} folds by lead cannot each have rows with and without a conversion: {n_positive} of "
        f"{len(np.unique(leads))} leads convert; more data, or another --horizon"
    )


@dataclass(frozen=True, slots=True)
class TimeSplit:
    """Leads and times both apart: train on some leads before the cut, test on the others after it.

    Attributes:
        cut_ms: The moment at which the model could have been trained.
        train: Rows of the training leads whose horizon had passed at the cut: their labels were known.
        test: Rows of the other leads from the cut on.
    """

    cut_ms: int
    train: Rows
    test: Rows


def time_split(dataset: Dataset, seed: int) -> TimeSplit | str:
    """A check that the past predicts the future; where the data do not allow one, why not."""
    known_at, horizon = dataset.known_at_ms, dataset.source.horizon_days
    if known_at is None or horizon is None:
        return "the data have no times"
    cut_ms = int(np.quantile(known_at, _EARLY_SHARE, method="lower"))
    try:
        train, test = grouped_splits(dataset.labels, dataset.leads, _TIME_FOLDS, seed)[0]
    except DataRefusedError:
        return "too few leads convert"
    train = train[known_at[train] + int(horizon * DAY_MS) <= cut_ms]
    test = test[known_at[test] >= cut_ms]
    for name, rows in (("before", train), ("after", test)):
        n_positive = len(np.unique(dataset.leads[rows][dataset.labels[rows] == 1]))
        if n_positive < _TIME_POSITIVES_MIN or (dataset.labels[rows] == 1).all():
            return f"{n_positive} leads convert {name} the cut, at least {_TIME_POSITIVES_MIN} are needed"
    return TimeSplit(cut_ms, train, test)

"""A small training run; the fixture `small` is one, made once for all tests that only look at it."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from training.dataset import Dataset
from training.estimator import Hyperparameters
from training.findings import Findings
from training.gates import Limits
from training.pipeline import Request, train
from training.report import Report

SETTINGS = Hyperparameters(trees_max=15)
NOW_MS = 1_750_000_000_000
SEED = 3


class Small(NamedTuple):
    """What a training run left."""

    dataset: Dataset
    report: Report
    path: Path


def train_small(data: Dataset, directory: Path, now_ms: int = NOW_MS) -> tuple[Report, Path]:
    request = Request(SEED, SETTINGS, Limits(), 30_000, [], {"exempt": []})
    return train(data, Findings(), request, directory=directory, now_ms=now_ms, progress=lambda _: None)

"""Small model bundles for tests: a calibrated gradient boosting on made-up leads, exported as training exports it."""

from __future__ import annotations

import functools
import hashlib
import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from skl2onnx import to_onnx  # type: ignore[import-untyped]
from skl2onnx.common.data_types import FloatTensorType  # type: ignore[import-untyped]
from sklearn.calibration import CalibratedClassifierCV  # type: ignore[import-untyped]
from sklearn.ensemble import GradientBoostingClassifier  # type: ignore[import-untyped]
from sklearn.model_selection import KFold  # type: ignore[import-untyped]

from scoring.features import FEATURES


class Trained(NamedTuple):
    """A classifier, its export, and `(n, 5) float64` rows like those that it was trained on."""

    classifier: CalibratedClassifierCV
    onnx: bytes
    rows: NDArray[np.float64]


def made_up_rows(n_rows: int, seed: int = 0) -> NDArray[np.float64]:
    """Features of leads as serving computes them, columns as in `FEATURES`."""
    chance = np.random.default_rng(seed)
    engagement = np.minimum(chance.integers(0, 400, n_rows), 1000) / 10.0
    days = chance.integers(0, 60, n_rows).astype(np.float64)
    days[chance.random(n_rows) < 0.1] = 999
    bucket = chance.integers(-1, 4, n_rows)
    weighted = engagement * np.array([1.0, 1.0, 2.0, 4.0, 3.0])[bucket + 1]
    return np.column_stack([engagement, np.exp(-days / 21), weighted, days, bucket.astype(np.float64)])


@functools.cache
def trained(seed: int = 0, trees: int = 20) -> Trained:
    """Trains and exports; 0.1 s with 20 trees, once per process."""
    rows = made_up_rows(1500, seed)
    chance = np.random.default_rng(seed + 1)
    odds = np.exp(0.05 * rows[:, 0] + 2 * rows[:, 1] + 0.3 * rows[:, 4] - 3)
    converted = (chance.random(len(rows)) < odds / (1 + odds)).astype(int)
    booster = GradientBoostingClassifier(
        n_estimators=trees, max_depth=4, learning_rate=0.1, subsample=0.8, min_samples_leaf=30, random_state=seed
    )
    classifier = CalibratedClassifierCV(booster, method="sigmoid", ensemble=False, cv=KFold(2))
    classifier.fit(rows.astype(np.float32), converted)
    return Trained(classifier, export(classifier), rows)


def export(classifier: Any) -> bytes:
    """A classifier on five features as ONNX."""
    model = to_onnx(
        classifier,
        initial_types=[("features", FloatTensorType([None, 5]))],
        options={id(classifier): {"zipmap": False}},
        name="lead",
    )
    return bytes(model.SerializeToString())


def manifest(version: str, onnx: bytes, rows: NDArray[np.float64], scores: NDArray[np.float64]) -> dict[str, Any]:
    """A manifest for these bytes; the figures are made up."""
    figure = {"mean": 0.8, "deviation": 0.01, "train_test_gap": 0.02}
    thresholds = [{"threshold": 0.5, "precision": 0.7, "recall": 0.6, "volume": 100}]
    flat = {"mean": 1.0, "edges": [0.5], "proportions": [0.5, 0.5]}
    return {
        "version": version,
        "created_at": "2025-01-01T00:00:00Z",
        "sha256": hashlib.sha256(onnx).hexdigest(),
        "features": list(FEATURES),
        "training": {"source": "made up", "fingerprint": "0", "rows": 1500, "leads": 1500, "positives": 500},
        "evaluation": {
            "roc_auc": figure,
            "average_precision": figure,
            "brier_score": 0.2,
            "thresholds": thresholds,
            "rules": {"roc_auc": 0.6, "average_precision": 0.5, "brier_score": 0.3, "thresholds": thresholds},
        },
        "baseline": dict.fromkeys((*FEATURES, "score"), flat),
        "sample": {"rows": rows.tolist(), "scores": scores.tolist()},
        "libraries": {"scikit-learn": "0"},
    }


def write_bundle(directory: Path, version: str, *, seed: int = 0, trees: int = 20, **changes: Any) -> Path:
    """Writes `<directory>/<version>`, good unless `changes` to the manifest make it bad, and returns its path."""
    made = trained(seed, trees)
    rows = made.rows[:64]
    scores = made.classifier.predict_proba(rows.astype(np.float32))[:, 1]
    return write_files(directory / version, made.onnx, manifest(version, made.onnx, rows, scores) | changes)


def write_files(path: Path, onnx: bytes, content: dict[str, Any]) -> Path:
    """Writes a bundle's two files as they are given."""
    path.mkdir(parents=True)
    (path / "model.onnx").write_bytes(onnx)
    (path / "manifest.json").write_text(json.dumps(content))
    return path


def promote(directory: Path, version: str, alias: str = "champion") -> None:
    """Points the alias to a version, atomically as `models promote` does."""
    directory.mkdir(parents=True, exist_ok=True)
    temporary = directory / f".{alias}"
    temporary.write_text(f"{version}\n")
    temporary.replace(directory / alias)

"""Writes a model bundle: proven first, then there in one step, or not there at all (contract 8)."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version as version_of
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scoring.bundle import MANIFEST_FILE, MODEL_FILE, Bundle, BundleError, load_bundle
from scoring.features import FEATURES
from scoring.manifest import Evaluation, Manifest, Sample, Training
from scoring.model import Model
from training.baseline import baseline
from training.durable import sync_directory, write_synced
from training.errors import BundleRefusedError
from training.estimator import Trained
from training.export import PARITY_MAX, edge_rows, to_onnx

SAMPLE_ROWS = 500
_LIBRARIES = ("numpy", "onnx", "onnxruntime", "scikit-learn", "skl2onnx")


@dataclass(frozen=True, slots=True)
class Exported:
    """A bundle in memory, proven.

    Attributes:
        manifest: Its manifest.
        model: The bytes of the model.
        parity: Greatest difference between a trained and an exported score.
        parity_rows: On how many rows that was looked for: the training rows and those at the trees' thresholds.
    """

    manifest: Manifest
    model: bytes
    parity: float
    parity_rows: int


def export(
    trained: Trained,
    features: NDArray[np.float64],
    held_out_scores: NDArray[np.float64],
    *,
    created_at: datetime,
    seed: int,
    training: Training,
    evaluation: Evaluation,
) -> Exported:
    """Converts the model and proves the result as serving will: by the service's own loader.

    Args:
        trained: The model that is shipped.
        features: `(n, 5)`: its training rows.
        held_out_scores: `(n,)`: their out-of-fold scores.
        created_at: The present, with its zone.
        seed: Of the sample and the rows at thresholds.
        training: For the manifest.
        evaluation: For the manifest.

    Raises:
        BundleRefusedError: The exported model is not the trained one, or serving would refuse it.
    """
    model = to_onnx(trained)
    sha256 = hashlib.sha256(model).hexdigest()
    drawn = np.random.default_rng(seed).permutation(len(features))[:SAMPLE_ROWS]
    rows = features[drawn]
    expected = trained.scores(rows.astype(np.float32))
    manifest = Manifest(
        version=version_name(created_at, sha256),
        created_at=created_at,
        sha256=sha256,
        features=FEATURES,
        training=training,
        evaluation=evaluation,
        baseline=baseline(features, held_out_scores),
        sample=_sample(rows, expected),
        libraries={name: version_of(name) for name in _LIBRARIES},
    )
    serving = _load(Bundle(manifest, model, Path(MODEL_FILE)))
    every = np.concatenate([features.astype(np.float32), edge_rows(trained, features, seed)])
    parity = float(np.abs(serving.predict(every) - trained.scores(every)).max())
    if not parity <= PARITY_MAX:
        raise BundleRefusedError(
            f"the exported model scores up to {parity:.2g} off the trained one, at most {PARITY_MAX:g}: not written"
        )
    manifest = manifest.model_copy(update={"sample": _sample(rows, serving.predict(rows.astype(np.float32)))})
    return Exported(manifest, model, parity, len(every))


def version_name(created_at: datetime, sha256: str) -> str:
    """When, to the second and sortable, and which bytes.

    >>> version_name(datetime(2025, 1, 1, tzinfo=UTC), "3fa9c1d2" + "0" * 56)
    '20250101T000000Z-3fa9c1d2'
    """
    return f"{created_at.astimezone(UTC):%Y%m%dT%H%M%SZ}-{sha256[:8]}"


def write(directory: Path, exported: Exported, reports: Mapping[str, str]) -> Path:
    """Writes the bundle and its reports to `<directory>/<version>`.

    They are written and synced under another name, loaded once more from there, and then renamed: a reader of the
    directory sees all of it or nothing.

    Args:
        directory: The model directory; it is made if it is not there.
        exported: The bundle.
        reports: File name to text.

    Raises:
        BundleRefusedError: The version exists already, the directory cannot be written, or what was written does not
            load.
    """
    version = exported.manifest.version
    target = directory / version
    if target.exists():
        raise BundleRefusedError(f"{target} exists already; versions are never overwritten")
    files: dict[str, bytes] = {
        MODEL_FILE: exported.model,
        MANIFEST_FILE: (exported.manifest.model_dump_json(indent=2) + "\n").encode(),
        **{name: text.encode() for name, text in reports.items()},
    }
    try:
        directory.mkdir(parents=True, exist_ok=True)
        # A leading dot: no version begins with one, so nobody takes it for a bundle.
        staging = Path(tempfile.mkdtemp(prefix=".new-", dir=directory))
        try:
            (staging / version).mkdir()
            for name, content in files.items():
                write_synced(staging / version / name, content)
            sync_directory(staging / version)
            _load(load_bundle(staging, version))
            (staging / version).rename(target)
            sync_directory(directory)
        finally:
            shutil.rmtree(staging, ignore_errors=True)
    except OSError as error:
        raise BundleRefusedError(f"{target} cannot be written: {error.strerror or error}") from error
    except BundleError as error:
        raise BundleRefusedError(f"the bundle would be refused by the service, not written: {error}") from error
    return target


def _load(bundle: Bundle) -> Model:
    try:
        return Model(bundle)
    except BundleError as error:
        raise BundleRefusedError(f"the exported model would be refused by the service, not written: {error}") from error


def _sample(rows: NDArray[np.float64], scores: NDArray[np.float64]) -> Sample:
    cells: Any = tuple(map(tuple, rows.tolist()))
    return Sample(rows=cells, scores=tuple(scores.tolist()))

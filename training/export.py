"""The trained model as ONNX, and rows that would show where the two part."""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray
from skl2onnx import convert_sklearn  # type: ignore[import-untyped]
from skl2onnx.common.data_types import FloatTensorType  # type: ignore[import-untyped]

from scoring.features import FEATURES
from training.estimator import Trained

# Fixed, so that the same model gives the same bytes: the default graph name is random, the default opset the library's.
_GRAPH_NAME = "lead_scorer"
_OPSETS = {"": 17, "ai.onnx.ml": 3}

PARITY_MAX = 1e-5
"""How far a score of the exported model may be from the trained one's; measured 1e-7, in float32."""


def to_onnx(trained: Trained) -> bytes:
    """The model: one input `features`, float32 `[n, 5]`; outputs `label` and `probabilities`, float32 `[n, 2]`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about numpy, within the libraries: nothing that a caller could act on
        model = convert_sklearn(
            trained.estimator,
            name=_GRAPH_NAME,
            initial_types=[("features", FloatTensorType([None, len(FEATURES)]))],
            options={id(trained.estimator): {"zipmap": False}},
            target_opset=_OPSETS,
        )
    content: bytes = model.SerializeToString(deterministic=True)
    return content


def edge_rows(trained: Trained, features: NDArray[np.float64], seed: int) -> NDArray[np.float32]:
    """Training rows moved onto every threshold of the trees, and one float32 to each side of it.

    Trees are trained with float64 thresholds and served with float32 ones: a threshold that were rounded to the
    wrong side would send exactly these rows into another leaf.

    Args:
        trained: The model.
        features: `(n, 5)`: rows to move.
        seed: Chooses which.
    """
    chance = np.random.default_rng(seed)
    boosting = trained.estimator.calibrated_classifiers_[0].estimator
    rows = []
    for feature in range(len(FEATURES)):
        splits = [tree.tree_.threshold[tree.tree_.feature == feature] for tree in boosting.estimators_.ravel().tolist()]
        edges = np.unique(np.concatenate(splits)).astype(np.float32)
        below, above = np.nextafter(edges, np.float32(-np.inf)), np.nextafter(edges, np.float32(np.inf))
        values = np.concatenate([below, edges, above])
        moved = features[chance.integers(0, len(features), len(values))].astype(np.float32)
        moved[:, feature] = values
        rows.append(moved)
    return np.concatenate(rows)

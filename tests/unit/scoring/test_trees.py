"""The leaves that are read are those of the trees that were trained; what is no tree is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from scoring import trees
from scoring.onnx_file import Graph, ModelFormatError, Node, read_graph
from scoring.trees import Leaves, read_leaves
from tests import bundles


def stump(**changes: Any) -> Graph:
    """One tree that asks whether feature 2 is at most 0.5: 10 if it is, else 20."""
    attributes = {
        "nodes_treeids": [0, 0, 0],
        "nodes_nodeids": [0, 1, 2],
        "nodes_featureids": [2, 0, 0],
        "nodes_values": [0.5, 0.0, 0.0],
        "nodes_modes": [b"BRANCH_LEQ", b"LEAF", b"LEAF"],
        "nodes_truenodeids": [1, 0, 0],
        "nodes_falsenodeids": [2, 0, 0],
        "target_treeids": [0, 0],
        "target_nodeids": [1, 2],
        "target_weights": [10.0, 20.0],
    }
    node = Node("TreeEnsembleRegressor", ("x",), ("y",), attributes | changes)
    return Graph((node,), ("x",))


def margins(leaves: Leaves, rows: np.ndarray[Any, Any]) -> list[float]:
    return [float(leaves.values[((row > leaves.low) & (row <= leaves.high)).all(axis=1)].sum()) for row in rows]


def test_a_threshold_belongs_to_the_lower_side() -> None:
    """`x <= threshold` goes left, and exactly the threshold does too."""
    rows = np.zeros((3, 5), dtype=np.float32)
    rows[:, 2] = [0.5, np.nextafter(np.float32(0.5), np.float32(1)), -1e30]
    assert margins(read_leaves(stump()), rows) == [10, 20, 10]


def test_margins_are_those_of_the_trained_model() -> None:
    """The sum of a row's leaves differs from scikit-learn's margin by the prior's constant only."""
    made = bundles.trained()
    rows = made.rows[:200].astype(np.float32)
    booster = made.classifier.calibrated_classifiers_[0].estimator
    gaps = np.array(margins(read_leaves(read_graph(made.onnx)), rows)) - booster.decision_function(rows)
    assert np.ptp(gaps) < 1e-5


def test_each_row_has_one_leaf_per_tree() -> None:
    """The boxes of a tree cover everything once."""
    made = bundles.trained()
    leaves = read_leaves(read_graph(made.onnx))
    rows = made.rows[:200].astype(np.float32)
    assert [int(((row > leaves.low) & (row <= leaves.high)).all(axis=1).sum()) for row in rows] == [20] * 200


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"nodes_truenodeids": [0, 0, 0]}, "not trees"),
        ({"nodes_truenodeids": [2, 0, 0]}, "not trees"),
        ({"nodes_truenodeids": [7, 0, 0]}, "does not exist"),
        ({"nodes_nodeids": [0, 1, 1]}, "twice"),
        ({"nodes_featureids": [5, 0, 0]}, "features 0 to 4"),
        ({"nodes_featureids": [-1, 0, 0]}, "features 0 to 4"),
        ({"nodes_values": [float("nan"), 0.0, 0.0]}, "finite thresholds"),
        ({"nodes_modes": [b"BRANCH_GT", b"LEAF", b"LEAF"]}, "BRANCH_LEQ only"),
        ({"nodes_values": [0.5]}, "1 entries; must be 3"),
        ({"nodes_values": 3}, "must be a list of float32"),
        ({"nodes_treeids": [b"a", b"b", b"c"]}, "must be a list of int64"),
        ({"nodes_treeids": []}, "entries; must be 0"),
        ({"target_nodeids": [1, 9]}, "weigh a node that does not exist"),
        ({"target_nodeids": [1, 1]}, "exactly one finite weight"),
        ({"target_nodeids": [1, 0]}, "exactly one finite weight"),
        ({"target_weights": [1.0, float("inf")]}, "exactly one finite weight"),
    ],
)
def test_unsound_trees_are_refused(changes: dict[str, Any], reason: str) -> None:
    """Cycles, loose ends and nonsense are found before the runtime could run into them."""
    with pytest.raises(ModelFormatError, match=reason):
        read_leaves(stump(**changes))


def test_a_model_must_hold_one_ensemble() -> None:
    """No trees, or two ensembles, cannot be explained."""
    with pytest.raises(ModelFormatError, match="0 tree ensembles"):
        read_leaves(Graph((), ("x",)))
    with pytest.raises(ModelFormatError, match="2 tree ensembles"):
        read_leaves(Graph(stump().nodes * 2, ("x",)))


def test_trees_must_read_the_input_itself() -> None:
    """Behind a scaler the thresholds would not be those of the features."""
    graph = stump()
    with pytest.raises(ModelFormatError, match="input itself"):
        read_leaves(replace(graph, inputs=("z",)))


def test_leaves_are_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    """A model beyond the limit is refused, one at it is not."""
    monkeypatch.setattr(trees, "LEAVES_MAX", 2)
    read_leaves(stump())
    monkeypatch.setattr(trees, "LEAVES_MAX", 1)
    with pytest.raises(ModelFormatError, match="2 leaves; at most 1"):
        read_leaves(stump())

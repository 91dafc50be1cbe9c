"""A model's tree ensemble as boxes: each leaf is an interval per feature and a value (ONNX `ai.onnx.ml` operators)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from scoring.features import FEATURES
from scoring.onnx_file import Graph, ModelFormatError, Node

LEAVES_MAX: Final = 8192
"""Over three times the default model (200 trees of at most 16 leaves); the tables of the attributions grow with it."""

_DEPTH_MAX: Final = 64
_WEIGHTS: Final = {"TreeEnsembleClassifier": "class", "TreeEnsembleRegressor": "target"}


@dataclass(frozen=True, slots=True)
class Leaves:
    """The leaves of all trees: row `x` falls into a leaf if `low < x <= high` in every feature.

    The margin of a row is the sum of the values of its leaves, one per tree, in float32 as ONNX Runtime compares.

    Attributes:
        low: `(n_leaves, 5) float32`, exclusive; minus infinity where there is no bound.
        high: `(n_leaves, 5) float32`, inclusive; infinity where there is no bound.
        values: `(n_leaves,) float64`.
    """

    low: NDArray[np.float32]
    high: NDArray[np.float32]
    values: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class _Nodes:
    """The nodes of all trees; children are row numbers, `leaf` says which have none."""

    feature: NDArray[np.int64]
    threshold: NDArray[np.float32]
    true_child: NDArray[np.int64]
    false_child: NDArray[np.int64]
    leaf: NDArray[np.bool_]
    roots: NDArray[np.int64]
    values: NDArray[np.float64]


def read_leaves(graph: Graph) -> Leaves:
    """The leaves of the one tree ensemble of a graph.

    Raises:
        ModelFormatError: Not exactly one ensemble over the graph's input, or its trees are not sound (a cycle would
            hold ONNX Runtime for ever).
    """
    ensembles = [node for node in graph.nodes if node.op_type in _WEIGHTS]
    if len(ensembles) != 1:
        raise ModelFormatError(f"it holds {len(ensembles)} tree ensembles; must be one")
    if ensembles[0].inputs != graph.inputs:
        raise ModelFormatError("its trees must read the model's input itself")
    return _boxes(_nodes(ensembles[0]))


def _column(node: Node, name: str, dtype: Any, length: int | None = None) -> NDArray[Any]:
    try:
        column: NDArray[Any] = np.array(list(node.attributes.get(name, ())), dtype=dtype)
    except (TypeError, ValueError) as error:
        raise ModelFormatError(f"its trees' {name} must be a list of {np.dtype(dtype).name}") from error
    if length is not None and len(column) != length:
        raise ModelFormatError(f"its trees' {name} has {len(column)} entries; must be {length}")
    return column


def _nodes(node: Node) -> _Nodes:
    trees = _column(node, "nodes_treeids", np.int64)
    n_nodes = len(trees)
    ids, features, if_true, if_false = (
        _column(node, f"nodes_{name}", np.int64, n_nodes)
        for name in ("nodeids", "featureids", "truenodeids", "falsenodeids")
    )
    thresholds = _column(node, "nodes_values", np.float32, n_nodes)
    modes = _column(node, "nodes_modes", "S16", n_nodes)
    if not n_nodes or not np.isin(modes, (b"LEAF", b"BRANCH_LEQ")).all():
        raise ModelFormatError("its trees must have nodes, and branch by BRANCH_LEQ only")
    leaf = modes == b"LEAF"
    if not ((features >= 0) & (features < len(FEATURES)) | leaf).all() or not np.isfinite(thresholds[~leaf]).all():
        raise ModelFormatError(f"its trees must ask for features 0 to {len(FEATURES) - 1} and finite thresholds")
    if leaf.sum() > LEAVES_MAX:
        raise ModelFormatError(f"its trees have {leaf.sum()} leaves; at most {LEAVES_MAX} are served")
    rows = {key: row for row, key in enumerate(zip(trees.tolist(), ids.tolist(), strict=True))}
    if len(rows) != n_nodes:
        raise ModelFormatError("its trees name a node twice")
    return _Nodes(
        feature=np.where(leaf, 0, features),
        threshold=thresholds,
        true_child=_children(rows, trees, if_true, leaf),
        false_child=_children(rows, trees, if_false, leaf),
        leaf=leaf,
        roots=np.unique(trees, return_index=True)[1],  # a tree's first node, as ONNX Runtime takes it
        values=_leaf_values(node, rows, leaf),
    )


def _children(
    rows: dict[tuple[int, int], int], trees: NDArray[np.int64], ids: NDArray[np.int64], leaf: NDArray[np.bool_]
) -> NDArray[np.int64]:
    keys = zip(trees.tolist(), ids.tolist(), leaf.tolist(), strict=True)
    try:
        return np.array([-1 if ends else rows[tree, child] for tree, child, ends in keys], dtype=np.int64)
    except KeyError as error:
        raise ModelFormatError("its trees point to a node that does not exist") from error


def _leaf_values(node: Node, rows: dict[tuple[int, int], int], leaf: NDArray[np.bool_]) -> NDArray[np.float64]:
    prefix = _WEIGHTS[node.op_type]
    trees = _column(node, f"{prefix}_treeids", np.int64)
    ids = _column(node, f"{prefix}_nodeids", np.int64, len(trees))
    weights = _column(node, f"{prefix}_weights", np.float64, len(trees))
    values = np.full(len(leaf), np.nan)
    try:
        at = [rows[key] for key in zip(trees.tolist(), ids.tolist(), strict=True)]
    except KeyError as error:
        raise ModelFormatError("its trees weigh a node that does not exist") from error
    values[at] = weights
    if len(set(at)) != len(at) or not np.isfinite(values[leaf]).all() or not np.isnan(values[~leaf]).all():
        raise ModelFormatError("its trees must have exactly one finite weight on each leaf")
    return values


def _boxes(nodes: _Nodes) -> Leaves:
    """Walks all trees at once, one level at a time; each level narrows the boxes of its nodes' children."""
    at = nodes.roots
    low = np.full((len(at), len(FEATURES)), -np.inf, dtype=np.float32)
    high = np.full((len(at), len(FEATURES)), np.inf, dtype=np.float32)
    visits = np.zeros(len(nodes.leaf), dtype=np.int64)
    found = []
    for _ in range(_DEPTH_MAX):
        np.add.at(visits, at, 1)
        if visits.max() > 1:
            break
        ends = nodes.leaf[at]
        found.append((low[ends], high[ends], nodes.values[at[ends]]))
        at, low, high = at[~ends], low[~ends], high[~ends]
        if not len(at):
            break
        row, feature, threshold = np.arange(len(at)), nodes.feature[at], nodes.threshold[at]
        true_high, false_low = high.copy(), low.copy()
        true_high[row, feature] = np.minimum(high[row, feature], threshold)
        false_low[row, feature] = np.maximum(low[row, feature], threshold)
        at = np.concatenate([nodes.true_child[at], nodes.false_child[at]])
        low, high = np.concatenate([low, false_low]), np.concatenate([true_high, high])
    if (visits != 1).any():
        raise ModelFormatError(f"its trees are not trees (cycles, shared or loose nodes, deeper than {_DEPTH_MAX})")
    return Leaves(*(np.concatenate(parts) for parts in zip(*found, strict=True)))

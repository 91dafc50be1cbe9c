"""Attributions are exact Shapley values of the interventional game, for the very trees that serve."""

from __future__ import annotations

from itertools import combinations
from math import factorial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from scoring.attributions import Attributions
from scoring.log_odds import fit_line
from scoring.onnx_file import ModelFormatError, read_graph
from scoring.trees import Leaves, read_leaves
from tests import bundles

N = 5


def margins(leaves: Leaves, rows: NDArray[np.float32]) -> NDArray[np.float64]:
    inside = ((rows[:, None, :] > leaves.low) & (rows[:, None, :] <= leaves.high)).all(axis=2)
    return np.asarray(inside @ leaves.values)


def brute_force(leaves: Leaves, background: NDArray[np.float32], row: NDArray[np.float32]) -> NDArray[np.float64]:
    """The definition, term by term."""

    def worth(known: tuple[int, ...]) -> float:
        mixed = background.copy()
        mixed[:, list(known)] = row[list(known)]
        return float(margins(leaves, mixed).mean())

    result = np.zeros(N)
    for feature in range(N):
        others = [other for other in range(N) if other != feature]
        for size in range(N):
            weight = factorial(size) * factorial(N - 1 - size) / factorial(N)
            for known in combinations(others, size):
                result[feature] += weight * (worth((*known, feature)) - worth(known))
    return result


@st.composite
def boxes(draw: st.DrawFn) -> Leaves:
    """Any boxes: the attributions do not need them to come from trees."""
    n_leaves = draw(st.integers(1, 6))
    side = st.tuples(st.sampled_from([-np.inf, -1.0, 0.0, 0.5]), st.sampled_from([0.0, 0.5, 1.0, 2.0, np.inf]))
    bounds = draw(st.lists(side, min_size=n_leaves * N, max_size=n_leaves * N))
    sides = np.array(bounds, dtype=np.float32).reshape(n_leaves, N, 2)
    values = draw(st.lists(st.floats(-10, 10), min_size=n_leaves, max_size=n_leaves))
    return Leaves(sides[:, :, 0], sides[:, :, 1], np.array(values))


VALUES = st.lists(st.sampled_from([-2.0, -1.0, -0.5, 0.0, 0.5, 0.7, 1.0, 2.0, 3.0]), min_size=N, max_size=N)


@settings(max_examples=30, deadline=None)
@given(leaves=boxes(), background=st.lists(VALUES, min_size=1, max_size=4), row=VALUES)
def test_contributions_are_the_definition(leaves: Leaves, background: list[list[float]], row: list[float]) -> None:
    """The table gives what the sum over all subsets of features gives, on edges too."""
    known, explained = np.array(background, dtype=np.float32), np.array([row], dtype=np.float32)
    found = Attributions(leaves, known).contributions(explained)
    np.testing.assert_allclose(found[0], brute_force(leaves, known, explained[0]), atol=1e-12)


def test_contributions_add_up_to_the_margin() -> None:
    """Base plus contributions is the row's margin: nothing is left unexplained."""
    made = bundles.trained()
    leaves = read_leaves(read_graph(made.onnx))
    rows = made.rows.astype(np.float32)
    attributions = Attributions(leaves, rows[:100])
    explained = attributions.base + attributions.contributions(rows[100:400]).sum(axis=1)
    np.testing.assert_allclose(explained, margins(leaves, rows[100:400]), atol=1e-12)


def test_base_is_the_mean_over_the_background() -> None:
    """The baseline that contributions are measured against is the mean margin of the training rows."""
    made = bundles.trained()
    leaves = read_leaves(read_graph(made.onnx))
    background = made.rows[:100].astype(np.float32)
    assert Attributions(leaves, background).base == pytest.approx(margins(leaves, background).mean(), abs=1e-12)


@pytest.mark.filterwarnings("ignore")  # of shap's own imports
def test_contributions_are_those_of_shap() -> None:
    """TreeExplainer on the uncalibrated model, against the same background, gives the same values."""
    shap = pytest.importorskip("shap")
    made = bundles.trained()
    # Off the thresholds: for rows exactly on one, shap 0.51 parts from scikit-learn's own predictions.
    rows = (made.rows + np.random.default_rng(0).normal(0, 1e-3, made.rows.shape)).astype(np.float32)
    booster = made.classifier.calibrated_classifiers_[0].estimator
    explainer = shap.TreeExplainer(booster, rows[:100], feature_perturbation="interventional")
    found = Attributions(read_leaves(read_graph(made.onnx)), rows[:100]).contributions(rows[100:200])
    np.testing.assert_allclose(found, explainer.shap_values(rows[100:200]), atol=1e-5)


def test_line_of_no_calibration_is_the_identity() -> None:
    """A model whose margin is the log-odds itself has slope 1 and intercept 0."""
    x = np.linspace(-3, 3, 50)
    assert fit_line(x, 1 / (1 + np.exp(-x))) == pytest.approx((1, 0), abs=1e-9)


def test_line_ignores_what_saturates() -> None:
    """Probabilities of exactly 0 and 1 have no log-odds, and do not spoil the fit."""
    x = np.array([-1000.0, -2, 0, 2, 1000])
    assert fit_line(
        x, (1 / (1 + np.exp(-np.clip(x, -200, 200)))).astype(np.float32).astype(np.float64)
    ) == pytest.approx((1, 0), abs=1e-5)


def test_line_of_one_margin_goes_through_it() -> None:
    """A model without splits gives one probability, and contributions of zero."""
    line = fit_line(np.zeros(3), np.full(3, 0.2))
    assert line.intercept == pytest.approx(np.log(0.25))


@pytest.mark.parametrize("probabilities", [[0.1, 0.5, 0.2], [0.0, 1.0, 1.0], [0.1, 0.2, np.nan]])
def test_what_is_no_sigmoid_is_refused(probabilities: list[float]) -> None:
    """Without a straight line contributions would not add up: the model is refused."""
    with pytest.raises(ModelFormatError):
        fit_line(np.array([0.0, 1.0, 2.0]), np.array(probabilities))

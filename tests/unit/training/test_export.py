"""What would show a conversion that is not exact, and bundles that are not written."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scoring.bundle import load_bundle
from tests.unit.training.data import dataset
from tests.unit.training.small import SETTINGS, Small
from training import bundle
from training.baseline import distribution
from training.bundle import Exported, write
from training.errors import BundleRefusedError
from training.estimator import Trained, fit
from training.export import edge_rows, to_onnx


@pytest.fixture(scope="module")
def trained() -> Trained:
    data = dataset(402)
    return fit(data.features, data.labels, data.leads, SETTINGS, 0)


@pytest.fixture
def exported(small: Small) -> Exported:
    found = load_bundle(small.path.parent, small.path.name)
    return Exported(found.manifest, found.model, 0.0, 0)


def test_every_threshold_is_met_exactly_and_on_both_sides(trained: Trained) -> None:
    """Below, on and above, one float32 apart: a threshold rounded to the wrong side would show."""
    rows = edge_rows(trained, dataset(402).features, 0)
    boosting = trained.estimator.calibrated_classifiers_[0].estimator
    for tree in boosting.estimators_.ravel():
        for feature, threshold in zip(tree.tree_.feature, tree.tree_.threshold, strict=True):
            if feature >= 0:
                column, step = rows[:, feature].astype(float), abs(np.spacing(np.float32(threshold)))
                assert threshold - column[column <= threshold].max() <= step
                assert column[column > threshold].min() - threshold <= step


def test_the_same_model_gives_the_same_bytes(trained: Trained) -> None:
    """The graph's name is fixed; the converter's default is random."""
    assert to_onnx(trained) == to_onnx(trained)


def test_a_model_that_converts_wrongly_is_not_written(
    trained: Trained, small: Small, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another model's bytes in its place: refused with the difference."""
    data = dataset(402)
    other = fit(data.features, 1 - data.labels, data.leads, SETTINGS, 1)
    monkeypatch.setattr(bundle, "to_onnx", lambda _: to_onnx(other))
    written = load_bundle(small.path.parent, small.path.name).manifest
    with pytest.raises(BundleRefusedError, match="not written"):
        bundle.export(
            trained,
            data.features,
            trained.scores(data.features),
            created_at=datetime(2025, 1, 1, tzinfo=UTC),
            seed=0,
            training=written.training,
            evaluation=written.evaluation,
        )


def test_a_version_is_never_overwritten(small: Small, exported: Exported) -> None:
    """What a decision's `model_version` names stays what it was."""
    with pytest.raises(BundleRefusedError, match="exists already"):
        write(small.path.parent, exported, {})


def test_a_bundle_that_does_not_load_leaves_nothing(exported: Exported, tmp_path: Path) -> None:
    """Neither the version nor what it was written to meanwhile."""
    with pytest.raises(BundleRefusedError, match="sha256"):
        write(tmp_path / "models", replace(exported, model=exported.model[:-1]), {})
    assert list((tmp_path / "models").iterdir()) == []


def test_a_directory_that_cannot_be_written_is_named(exported: Exported, tmp_path: Path) -> None:
    """With the system's reason."""
    (tmp_path / "file").write_text("")
    with pytest.raises(BundleRefusedError, match=r"file.* cannot be written"):
        write(tmp_path / "file", exported, {})


@given(st.lists(st.floats(-100, 1000), min_size=1, max_size=200))
def test_a_distribution_accounts_for_every_value(values: list[float]) -> None:
    """Bins are counted as their definition says: `edges[i-1] <= x < edges[i]`; none is empty for want of values."""
    found = distribution(np.array(values))
    limits = [-np.inf, *found.edges, np.inf]
    for low, high, share in zip(limits, limits[1:], found.proportions, strict=False):
        assert share == sum(low <= value < high for value in values) / len(values)
        assert share > 0

"""A training run from rows to a bundle that the service loads; its figures by an independent hand."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from sklearn.calibration import CalibratedClassifierCV  # type: ignore[import-untyped]
from sklearn.ensemble import GradientBoostingClassifier  # type: ignore[import-untyped]
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score  # type: ignore[import-untyped]
from sklearn.model_selection import StratifiedGroupKFold  # type: ignore[import-untyped]

from scoring.bundle import load_bundle
from scoring.features import FEATURES
from scoring.model import Model
from tests.unit.training.data import dataset
from tests.unit.training.small import NOW_MS, SEED, Small, train_small


def test_the_figures_are_reproduced_by_scikit_learn_alone(small: Small) -> None:
    """Nothing of the project but the rows and the number of trees that each fold chose."""
    X, y, leads = small.dataset.features, small.dataset.labels, small.dataset.leads  # noqa: N806
    figures = json.loads((small.path / "report.json").read_text())
    scores, auc, precision, rules = np.zeros(len(y)), [], [], []
    for fold, (train, test) in zip(
        figures["folds"], StratifiedGroupKFold(5, shuffle=True, random_state=SEED).split(X, y, leads), strict=True
    ):
        boosting = GradientBoostingClassifier(
            n_estimators=fold["trees"],
            max_depth=4,
            learning_rate=0.05,
            subsample=0.8,
            min_samples_leaf=30,
            random_state=SEED,
        )
        inner = list(StratifiedGroupKFold(3, shuffle=True, random_state=SEED).split(X[train], y[train], leads[train]))
        model = CalibratedClassifierCV(boosting, method="sigmoid", ensemble=False, cv=inner).fit(X[train], y[train])
        scores[test] = model.predict_proba(X[test])[:, 1]
        auc.append(roc_auc_score(y[test], scores[test]))
        precision.append(average_precision_score(y[test], scores[test]))
        rules.append(roc_auc_score(y[test], small.dataset.rule_scores[test]))
    held_out = figures["held_out"]
    np.testing.assert_allclose(held_out["roc_auc"]["mean"], np.mean(auc), rtol=1e-12)
    np.testing.assert_allclose(held_out["roc_auc"]["deviation"], np.std(auc), rtol=1e-9)
    np.testing.assert_allclose(held_out["average_precision"]["mean"], np.mean(precision), rtol=1e-12)
    np.testing.assert_allclose(held_out["brier_score"], brier_score_loss(y, scores), rtol=1e-12)
    np.testing.assert_allclose(figures["rules"]["roc_auc"]["mean"], np.mean(rules), rtol=1e-12)
    for row in held_out["thresholds"]:
        chosen = scores >= row["threshold"]
        assert row["volume"] == chosen.sum()
        assert row["recall"] == y[chosen].sum() / y.sum()
        assert row["precision"] == (y[chosen].mean() if chosen.any() else None)


def test_the_model_beats_the_rules_where_there_is_something_to_learn(small: Small) -> None:
    """On leads it has not seen, in every fold."""
    assert all(fold.roc_auc > fold.rules_roc_auc for fold in small.report.folds)


def test_the_service_loads_what_training_wrote(small: Small) -> None:
    """Hash, format, sample and attributions: all its checks pass, and scores are those of the manifest."""
    model = Model(load_bundle(small.path.parent, small.path.name))
    sample = model.manifest.sample
    np.testing.assert_array_equal(model.predict(np.array(sample.rows, dtype=np.float32)), sample.scores)
    assert model.manifest.features == FEATURES


def test_the_manifest_tells_where_the_model_comes_from(small: Small) -> None:
    """Fingerprint, rows, period, seed, settings and the figures of the report."""
    manifest = load_bundle(small.path.parent, small.path.name).manifest
    assert manifest.sha256 == hashlib.sha256((small.path / "model.onnx").read_bytes()).hexdigest()
    assert manifest.training.fingerprint == small.dataset.source.fingerprint
    assert (manifest.training.rows, manifest.training.leads) == (1200, 400)
    assert manifest.training.positives == small.dataset.labels.sum()
    assert manifest.evaluation.roc_auc.mean == small.report.held_out.roc_auc.mean
    assert manifest.evaluation.rules.roc_auc == small.report.rules.roc_auc.mean
    assert [row.threshold for row in manifest.evaluation.thresholds] == [0.5, 0.6, 0.7, 0.8]
    assert set(manifest.baseline) == {*FEATURES, "score"}
    extra = manifest.training.model_extra or {}
    assert extra["seed"] == SEED
    assert extra["settings"]["trees_max"] == 15


def test_the_same_data_and_seed_give_the_same_model_and_manifest(small: Small, tmp_path: Path) -> None:
    """But for the version and the time of making."""
    _, path = train_small(dataset(1200), tmp_path, now_ms=NOW_MS + 86_400_000)
    assert (path / "model.onnx").read_bytes() == (small.path / "model.onnx").read_bytes()
    first, second = (json.loads((where / "manifest.json").read_text()) for where in (small.path, path))
    assert [name for name in first if first[name] != second[name]] == ["version", "created_at"]


def test_the_page_needs_nothing_else(small: Small) -> None:
    """No address, script or file is fetched; the six plots are within."""
    page = (small.path / "report.html").read_text()
    assert page.count("<svg") == 6
    assert not [word for word in ("<script", "src=", "<link", "@import", "url(http") if word in page]


def test_the_report_holds_the_parity_of_the_export(small: Small) -> None:
    """Over the training rows and three for each threshold of the trees."""
    assert small.report.model is not None
    assert small.report.model.parity < 1e-6
    assert small.report.model.parity_rows > len(small.dataset)


@pytest.mark.parametrize("name", ["report.json", "report.html"])
def test_reports_lie_beside_the_model(small: Small, name: str) -> None:
    """Where a decision's `model_version` leads."""
    assert small.report.model is not None
    assert small.report.model.version in (small.path / name).read_text()

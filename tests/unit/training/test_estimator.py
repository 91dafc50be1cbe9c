"""The number of trees is chosen on unseen leads, and growing in steps is the same as growing at once."""

import numpy as np
from sklearn.ensemble import GradientBoostingClassifier  # type: ignore[import-untyped]
from sklearn.metrics import log_loss  # type: ignore[import-untyped]

from tests.unit.training.data import dataset
from training.estimator import Hyperparameters, fit
from training.splits import grouped_splits

SETTINGS = Hyperparameters(trees_max=12, leaf_rows_min=10)


def test_losses_are_those_of_models_grown_at_once() -> None:
    """For 1, 7 and 12 trees: scikit-learn's own log-loss on the pooled held-out rows of models of that size."""
    data = dataset(300)
    trained = fit(data.features, data.labels, data.leads, SETTINGS, 5)
    splits = grouped_splits(data.labels, data.leads, SETTINGS.inner_folds, 5)
    for trees in (1, 7, 12):
        labels, scores = [], []
        for train, test in splits:
            model = GradientBoostingClassifier(
                n_estimators=trees,
                max_depth=4,
                learning_rate=0.05,
                subsample=0.8,
                min_samples_leaf=10,
                random_state=5,
            ).fit(data.features[train], data.labels[train])
            labels.append(data.labels[test])
            scores.append(model.predict_proba(data.features[test])[:, 1])
        expected = log_loss(np.concatenate(labels), np.concatenate(scores))
        np.testing.assert_allclose(trained.losses[trees - 1], expected, rtol=1e-9)


def test_the_number_of_trees_is_that_of_the_least_loss() -> None:
    """And the model has as many."""
    data = dataset(300)
    trained = fit(data.features, data.labels, data.leads, SETTINGS, 0)
    assert trained.trees == int(np.argmin(trained.losses)) + 1
    assert len(trained.estimator.calibrated_classifiers_[0].estimator.estimators_) == trained.trees


def test_growing_stops_when_unseen_leads_gain_nothing() -> None:
    """On labels without a pattern the loss soon rises: not all 200 trees are tried."""
    data = dataset(300)
    labels = np.random.default_rng(0).permutation(data.labels)
    trained = fit(data.features, labels, data.leads, Hyperparameters(), 0)
    assert len(trained.losses) < 100
    assert trained.trees < 30


def test_scores_are_probabilities_that_add_up() -> None:
    """Calibrated: over all rows the mean score is the share of conversions."""
    data = dataset(900)
    scores = fit(data.features, data.labels, data.leads, SETTINGS, 0).scores(data.features)
    assert ((scores > 0) & (scores < 1)).all()
    assert abs(scores.mean() - data.labels.mean()) < 0.03

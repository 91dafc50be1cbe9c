"""Is there something to learn in simulated leads? A model is trained on them by a few lines of scikit-learn."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from producer.simulation import Parameters, Simulation
from scoring.features import DAY_MS, Observations, features, rule_scores
from scoring.profile import Profile, apply, event_id_hash

HORIZON_MS = 14 * DAY_MS


def rows(parameters: Parameters) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_], list[str]]:
    """Features, rule scores, whether the lead converts within the horizon, and the lead of each event."""
    simulation = Simulation(parameters)
    converted = dict(simulation.outcomes())
    profiles: dict[str, Profile] = {}
    observations, labels, leads = Observations(), [], []
    for record in simulation.records():
        event: Any = record.event
        lead, at = event["lead_id"], event["occurred_at"]
        profile = profiles.setdefault(lead, Profile())
        previous = profile.last_activity_at
        apply(profile, event, event_id_hash(event["event_id"]), offset=0, append_ms=at, dedup_window=32)
        if at < converted.get(lead, parameters.end_ms) and at + HORIZON_MS < parameters.end_ms:
            observations.append(profile, at, previous)
            labels.append(converted.get(lead, parameters.end_ms) <= at + HORIZON_MS)
            leads.append(lead)
    matrix = features(observations)
    return matrix, rule_scores(observations, matrix), np.array(labels), leads


@pytest.mark.parametrize("seed", [1, 2])
def test_a_model_learns_more_than_the_rules_know(seed: int) -> None:
    """On leads that it has not seen, gradient boosting ranks conversions clearly better than the fixed rules do."""
    ensemble = pytest.importorskip("sklearn.ensemble")
    roc_auc = pytest.importorskip("sklearn.metrics").roc_auc_score
    folds = pytest.importorskip("sklearn.model_selection").StratifiedGroupKFold(3, shuffle=True, random_state=0)
    matrix, rules, labels, leads = rows(Parameters(leads=1500, events=15_000, seed=seed))
    scores = np.zeros(len(labels))
    for train, test in folds.split(matrix, labels, leads):
        model = ensemble.GradientBoostingClassifier(
            n_estimators=60, max_depth=3, learning_rate=0.08, subsample=0.8, min_samples_leaf=30, random_state=0
        )
        scores[test] = model.fit(matrix[train], labels[train]).predict_proba(matrix[test])[:, 1]
    assert roc_auc(labels, scores) > roc_auc(labels, rules) + 0.08


def test_about_a_tenth_of_the_leads_convert() -> None:
    """Whether they are seen often or seldom."""
    for events in (20_000, 200_000):
        share = len(Simulation(Parameters(leads=2000, events=events)).outcomes()) / 2000
        assert 0.06 < share < 0.16

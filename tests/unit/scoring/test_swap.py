"""Promotions under load: every batch has its verdicts, all of one version, and only of versions that were champion."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np

from scoring.breaker import BreakerSettings
from scoring.guarded import GuardedScorer
from scoring.reload import Reloader
from tests import bundles

PROMOTIONS = 12


def test_no_batch_falls_to_the_rules_while_versions_change(tmp_path: Path) -> None:
    """Two versions are promoted to and fro while batches are scored: each batch is one version's, none the rules'."""
    expected = {}
    rows = bundles.made_up_rows(50, seed=3)
    for version, seed in (("v1", 0), ("v2", 1)):
        bundles.write_bundle(tmp_path, version, seed=seed)
        expected[version] = bundles.trained(seed).classifier.predict_proba(rows.astype(np.float32))[:, 1]
    bundles.promote(tmp_path, "v1")
    scorer = GuardedScorer(inference_ms=10_000, breaker=BreakerSettings(slow_ms=10_000), monotonic=time.monotonic)
    reloader = Reloader(tmp_path, "champion", 0.01, scorer, lambda _: None)
    reloader.check()
    reloader.start()
    for number in range(PROMOTIONS):
        version = ("v2", "v1")[number % 2]
        bundles.promote(tmp_path, version)
        served, end = None, time.monotonic() + 10
        while served != version:
            assert time.monotonic() < end, f"{version} was never served"
            verdicts = scorer.score(rows, np.full(50, 0.3))
            assert verdicts.by_model.all()
            served = verdicts.model_version
            assert served is not None
            np.testing.assert_allclose(verdicts.scores, expected[served], atol=1e-6)
    reloader.stop(10)
    scorer.close()

"""The rules as a scorer."""

from __future__ import annotations

import numpy as np
import pytest

from scoring.scorer import RulesOnly, Scorer


def test_the_rules_answer() -> None:
    """Every score is the rule score, none by a model, each with its reason, without a version."""
    verdicts = RulesOnly().score(np.zeros((2, 5)), np.array([0.3, 0.9]))
    assert verdicts.scores.tolist() == [0.3, 0.9]
    assert verdicts.by_model.tolist() == [False, False]
    assert verdicts.fallback_reasons == ["no_model", "no_model"]
    assert verdicts.model_version is None


@pytest.mark.parametrize("reason", ["no_model", "bad_model"])
def test_the_reason_is_given(reason: str) -> None:
    """Why there is no model is said with each row."""
    assert RulesOnly(reason).score(np.zeros((1, 5)), np.array([0.3])).fallback_reasons == [reason]


def test_an_empty_batch() -> None:
    """A batch without rows has empty columns."""
    verdicts = RulesOnly().score(np.zeros((0, 5)), np.zeros(0))
    assert (len(verdicts.scores), len(verdicts.by_model), verdicts.fallback_reasons) == (0, 0, [])


def test_rules_give_no_reasons() -> None:
    """Rules decisions carry no contributions: one empty list a row."""
    scorer: Scorer = RulesOnly()
    assert scorer.reasons(np.zeros((2, 5))) == [[], []]

"""Who gives a score: the rules, or a model under guard."""

from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray


class Verdicts(NamedTuple):
    """The scores of a batch and where each comes from.

    Attributes:
        scores: `(n,) float64`: the model's probability, or the rule score where the rules answered.
        by_model: `(n,) bool`: whether the model gave the score.
        fallback_reasons: Per row the reason of contract 7, None where the model answered.
        model_version: The version of the model that answered; None when no row is the model's.
    """

    scores: NDArray[np.float64]
    by_model: NDArray[np.bool_]
    fallback_reasons: list[str | None]
    model_version: str | None


class Scorer(Protocol):
    """What the loop asks for scores. It never raises for what is the model's fault: the rules answer then."""

    def score(self, features: NDArray[np.float64], rule_scores: NDArray[np.float64]) -> Verdicts:
        """Scores a batch.

        Args:
            features: `(n, 5) float64`, columns as in `scoring.features.FEATURES`.
            rule_scores: `(n,) float64`, of the same rows.
        """
        ...

    def reasons(self, features: NDArray[np.float64]) -> list[list[dict[str, Any]]]:
        """Per row the contributions behind the model's score, for `Decision.reasons`.

        Args:
            features: `(k, 5) float64`: the rows of published actions that the model scored.
        """
        ...


class RulesOnly:
    """The rules alone: every score is the rule score.

    Example:
        >>> verdicts = RulesOnly().score(np.zeros((2, 5)), np.array([0.3, 0.9]))
        >>> verdicts.scores.tolist(), verdicts.by_model.any(), verdicts.fallback_reasons, verdicts.model_version
        ([0.3, 0.9], np.False_, ['no_model', 'no_model'], None)
    """

    def __init__(self, reason: str = "no_model") -> None:
        self._reason = reason

    def score(self, features: NDArray[np.float64], rule_scores: NDArray[np.float64]) -> Verdicts:
        """The rule scores, with the reason for the rules."""
        n_rows = len(features)
        return Verdicts(rule_scores, np.zeros(n_rows, dtype=np.bool_), [self._reason] * n_rows, None)

    def reasons(self, features: NDArray[np.float64]) -> list[list[dict[str, Any]]]:
        """None: rules decisions carry no reasons."""
        return [[] for _ in features]

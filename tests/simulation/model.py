"""What scores and routes in the simulation: a model of one line, and a policy with which the scorer fails at times."""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import scoring
from schemas.codec import Codec, RegistryUnavailableError, decision_codec, lead_event_codec, lead_profile_codec
from scoring.features import FEATURES
from scoring.policy import Policy, Route
from scoring.profile import Profile
from scoring.scorer import Verdicts
from tests.simulation.cluster import Cluster

POLICY: dict[str, Any] = tomllib.loads((Path(scoring.__file__).parent / "policies" / "default.toml").read_text())
POISON_MS = 777
"""An event that occurred so many ms after a full second is one on which the scorer is made to fail."""
WEIGHTS = {
    "engagement_score": 0.013,
    "recency_score": 0.31,
    "weighted_engagement": 0.007,
    "days_since_last_activity": 0.0011,
    "company_size_bucket": 0.17,
}
"""The model: their sum's fraction, which is spread over all bands."""


class PoisonError(Exception):
    """The scorer fails on a record."""


class PoisonedPolicy(Policy):
    """The default policy, but for events that it is made to fail on."""

    __slots__ = ()

    def route(self, profile: Profile, score: float, by_model: bool, event_type: str, occurred_at: int) -> Route:
        """As the policy, or not at all."""
        if occurred_at % 1000 == POISON_MS:
            raise PoisonError
        return super().route(profile, score, by_model, event_type, occurred_at)


@cache
def codecs() -> tuple[Codec, Codec, Codec]:
    """Events, decisions, profiles; shared, since they keep nothing that a run could change."""
    return lead_event_codec(), decision_codec(), lead_profile_codec()


@cache
def policy() -> PoisonedPolicy:
    """Shared likewise."""
    return PoisonedPolicy(Policy.load("default").file)


class SimulatedScorer:
    """The model, which leaves some rows to the rules where the seed has it so."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._weights = np.array([WEIGHTS[name] for name in FEATURES])

    def score(self, features: NDArray[np.float64], rule_scores: NDArray[np.float64]) -> Verdicts:
        """See `scoring.scorer.Scorer`."""
        n_rows, chance = len(features), self._cluster.kernel.random
        by_model = np.ones(n_rows, dtype=np.bool_)
        if self._cluster.scenario.has("fallback"):
            by_model[:] = [chance.random() < 0.7 for _ in range(n_rows)]
        scores = np.where(by_model, (features @ self._weights) % 1.0, rule_scores)
        reasons = [None if known else "model_error" for known in by_model.tolist()]
        return Verdicts(scores, by_model, reasons, "simulated" if by_model.any() else None)

    def reasons(self, features: NDArray[np.float64]) -> list[list[dict[str, Any]]]:
        """None: they have tests of their own."""
        return [[] for _ in features]


class FlakyCodec:
    """The events' codec, whose registry is away at times."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._codec = codecs()[0]
        self.register = self._codec.register

    def decode(self, value: bytes | None) -> dict[str, Any]:
        """As the codec, or not now."""
        if self._cluster.registry_down:
            raise RegistryUnavailableError("simulated")
        return self._codec.decode(value)

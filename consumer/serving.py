"""The scorer that the service uses, with what operators see of it."""

from __future__ import annotations

from typing import Any

from runtime.metrics import Metrics
from scoring.scorer import RulesOnly, Scorer


class Serving:
    """Rules alone: there is no model yet."""

    def __init__(self) -> None:
        self.scorer: Scorer = RulesOnly()
        self.baseline_engagement: float | None = None

    def start(self, metrics: Metrics) -> None:
        """Begins to serve."""
        metrics.set_breaker_state("closed")

    def model_status(self) -> dict[str, Any]:
        """`model` of /status."""
        return {"version": None, "alias": None, "loaded_at": None}

    def breaker_status(self) -> str:
        """`breaker` of /status."""
        return "closed"

    def close(self) -> None:
        """Ends."""

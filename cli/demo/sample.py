"""What the service says about itself at one moment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cli.demo.exposition import Exposition, Histogram

BUDGET_EDGE_S = 0.15
"""The edge of the latency histogram that contract 9 promises."""


@dataclass(frozen=True, slots=True)
class Sample:
    """/metrics and /status at one moment; counts are of committed results since the service's start.

    Attributes:
        at_s: When, on the demo's monotonic clock.
        events: By result: `scored`, `duplicate`, `dead_letter`.
        decisions: By decision and `MODEL` or `RULES`.
        actions: Published ones, by decision.
        fallbacks: By reason.
        latency: Append to commit, in seconds, since the start.
        last_minute_ms: `p50`, `p95` and `p99` of the last minute; None without events.
        breaker: Its state.
        model: The version that is loaded.
        lag_records: Over all partitions.
        lag_s: The largest of all partitions.
    """

    at_s: float
    events: Mapping[str, int] = field(default_factory=dict)
    decisions: Mapping[tuple[str, str], int] = field(default_factory=dict)
    actions: Mapping[str, int] = field(default_factory=dict)
    fallbacks: Mapping[str, int] = field(default_factory=dict)
    latency: Histogram = field(default_factory=Histogram)
    last_minute_ms: Mapping[str, float | None] = field(default_factory=dict)
    breaker: str = "closed"
    model: str | None = None
    lag_records: int = 0
    lag_s: float = 0.0

    @property
    def outcomes(self) -> int:
        """Input records that are done."""
        return sum(self.events.values())

    @property
    def decided(self) -> int:
        """Decisions in all."""
        return sum(self.decisions.values())

    def scored_by(self, who: str) -> int:
        """Decisions by `MODEL` or `RULES`."""
        return sum(count for (_, by), count in self.decisions.items() if by == who)


def read_sample(at_s: float, metrics: str, status: Mapping[str, Any]) -> Sample:
    """Reads the two pages."""
    page = Exposition(metrics)
    decisions = page.by("lead_scorer_decisions_total", "decision", "scored_by")
    lags = [row for row in status["assignment"] if row["lag_records"] is not None]
    return Sample(
        at_s=at_s,
        events=_counts(page, "lead_scorer_events_total", "result"),
        decisions={(decision, by): int(count) for (decision, by), count in decisions.items()},
        actions=_counts(page, "lead_scorer_actions_published_total", "decision"),
        fallbacks=_counts(page, "lead_scorer_fallbacks_total", "reason"),
        latency=page.histogram("lead_scorer_decision_latency_seconds"),
        last_minute_ms=status["latency_ms"],
        breaker=status["breaker"],
        model=status["model"]["version"],
        lag_records=sum(row["lag_records"] for row in lags),
        lag_s=max((row["lag_seconds"] or 0.0 for row in lags), default=0.0),
    )


def _counts(page: Exposition, name: str, label: str) -> dict[str, int]:
    return {value: int(count) for (value,), count in page.by(name, label).items()}

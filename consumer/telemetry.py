"""The loop's telemetry as metrics, and whether the loop makes progress."""

from __future__ import annotations

from typing import Literal

import numpy as np
import structlog

from consumer.batch import Batch, Tally
from runtime.clock import Clock
from runtime.metrics import Metrics
from scoring.stream_gates import LIMITS, StreamGates

log = structlog.get_logger(__name__)

STUCK_AFTER_S = 30.0
ALARMS_EVERY_S = 60.0
"""A ratio may cross its limit to and fro with every batch: it is told of once a minute."""


class Progress:
    """When the loop last began something, and what: a thread that is alive may still be stuck."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._turn = (clock.monotonic(), "start")

    def turned(self, phase: str) -> None:
        """The loop moves on."""
        self._turn = (self._clock.monotonic(), phase)

    @property
    def phase(self) -> str:
        """What the loop began last."""
        return self._turn[1]

    def stuck(self) -> tuple[str, float] | None:
        """The phase that the loop is stuck in and for how many seconds; None while it makes progress."""
        began_s, phase = self._turn
        since_s = self._clock.monotonic() - began_s
        return (phase, since_s) if since_s > STUCK_AFTER_S else None


class MetricsTelemetry:
    """Implements `consumer.ports.Telemetry`: one call a batch, and only for what is committed."""

    def __init__(self, metrics: Metrics, progress: Progress, clock: Clock) -> None:
        self._metrics, self._progress, self._clock = metrics, progress, clock
        self._alarms: list[str] = []
        self._alarms_from_s = 0.0
        """Before that no change of the alarms is logged."""

    def turned(self, phase: str) -> None:
        """The loop begins another phase of a turn."""
        self._progress.turned(phase)

    def stage(self, name: str, seconds: float) -> None:
        """A stage took so long."""
        self._metrics.observe_stage(name, seconds)

    def committed(self, batch: Batch) -> None:
        """Counts what a batch gave."""
        self._metrics.count_transactions("committed")
        if not batch.records:
            return
        self._metrics.observe_batch(len(batch.records))
        self._count(batch.tally)
        self._observe(batch.tally)
        for gate, ratio in batch.gates.ratios()._asdict().items():
            self._metrics.set_gate_ratio(gate, ratio)
        self._tell_alarms(batch.gates)

    def _tell_alarms(self, gates: StreamGates) -> None:
        alarms, now_s = gates.alarms(), self._clock.monotonic()
        if alarms == self._alarms or now_s < self._alarms_from_s:
            return
        self._alarms, self._alarms_from_s = alarms, now_s + ALARMS_EVERY_S
        if not alarms:
            log.info("stream_gates_quiet", next="nothing")
            return
        ratios = gates.ratios()._asdict()
        log.warning(
            "stream_gates_alarm",
            over={gate: f"{ratios[gate]:.3f}, limit {LIMITS[gate]}" for gate in alarms},
            next="scoring goes on; see whether an upstream stopped sending a field, or whether the traffic changed",
        )

    def _count(self, tally: Tally) -> None:
        metrics = self._metrics
        for result, n in tally.results.items():
            metrics.count_events(result, n)
        for (decision, scored_by), n in tally.decisions.items():
            metrics.count_decisions(decision, scored_by, n)
        for decision, n in tally.actions.items():
            metrics.count_actions(decision, n)
        for reason, n in tally.fallbacks.items():
            metrics.count_fallbacks(reason, n)
        for reason, n in tally.dead_letters.items():
            metrics.count_dead_letters(reason, n)
        metrics.count_errors("record", tally.dead_letters["internal_error"])

    def _observe(self, tally: Tally) -> None:
        if tally.scored_append_ms:
            late_ms = self._clock.now_ms() - np.array(tally.scored_append_ms, dtype=np.float64)
            self._metrics.observe_latencies(np.maximum(late_ms, 0.0) / 1000.0)
        if tally.model_scores:
            self._metrics.observe_scores(np.array(tally.model_scores))

    def aborted(self, error: str | None) -> None:
        """A transaction was aborted."""
        self._metrics.count_transactions("aborted")
        self._metrics.count_errors("fenced" if error == "_FENCED" else "abort")

    def failed(self, kind: str) -> None:
        """Something that the loop survives went wrong."""
        self._metrics.count_errors(kind)

    def rebalanced(self, kind: Literal["assigned", "revoked", "lost"], numbers: list[int]) -> None:
        """The assignment changed."""
        self._metrics.count_rebalances(kind)
        if kind == "lost":
            self._metrics.count_errors("ownership_lost")
        if kind != "assigned":
            for number in numbers:
                self._metrics.drop_partition(number)

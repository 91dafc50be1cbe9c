"""What there is to show while the demo runs."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field

from cli.demo.exposition import Histogram
from cli.demo.model import TrainedModel
from cli.demo.outage import Phase
from cli.demo.plan import Plan
from cli.demo.sample import Sample

RATE_WINDOW_S = 3.0


@dataclass(frozen=True, slots=True)
class Slice:
    """What happened in a part of the traffic: decisions in all and by rules, and their latencies."""

    decided: int
    by_rules: int
    latency: Histogram


@dataclass(slots=True)
class State:
    """The demo at one moment; changed by its loop, read by its views.

    Attributes:
        plan: How it goes.
        decisions: All that the policy gives.
        broker: Its description.
        budget_ms: The latency budget.
        model: The champion; None: the rules score.
        sent: Events sent.
        elapsed_s: Since the traffic began.
        phase: Of the outage.
        samples: With how much was sent at the time, the oldest first.
    """

    plan: Plan
    decisions: tuple[str, ...]
    broker: str
    budget_ms: float
    model: TrainedModel | None
    sent: int = 0
    elapsed_s: float = 0.0
    phase: Phase = Phase.BEFORE
    samples: list[tuple[int, Sample]] = field(default_factory=lambda: [(0, Sample(0.0))])

    @property
    def latest(self) -> Sample:
        """The service's figures."""
        return self.samples[-1][1]

    @property
    def decided_per_s(self) -> float:
        """Decisions a second, of late."""
        latest = self.latest
        before = next((s for _, s in reversed(self.samples) if s.at_s <= latest.at_s - RATE_WINDOW_S), None)
        before = before or self.samples[min(1, len(self.samples) - 1)][1]
        seconds = latest.at_s - before.at_s
        return (latest.decided - before.decided) / seconds if seconds > 0 else 0.0

    def slices(self, count: int) -> list[Slice | None]:
        """The traffic in so many equal parts: what happened in each; None for those that are still to come.

        A part without a sample of its own shares one with its neighbours.
        """
        sent_at = [sent for sent, _ in self.samples]
        found: list[Slice | None] = []
        for number in range(count):
            start, end = (self.plan.events * n / count for n in (number, number + 1))
            last = bisect_left(sent_at, end)
            if last == len(sent_at) and (start >= self.sent or len(sent_at) == 1):
                found.append(None)
                continue
            last = min(last, len(sent_at) - 1)
            first = min(bisect_right(sent_at, start), last) - 1
            found.append(_between(self.samples[first][1], self.samples[last][1]))
        return found


def _between(before: Sample, after: Sample) -> Slice:
    by_rules = after.scored_by("RULES") - before.scored_by("RULES")
    return Slice(after.decided - before.decided, by_rules, after.latency.since(before.latency))

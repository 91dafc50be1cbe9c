"""A demo at some moment, for tests of what shows it."""

from __future__ import annotations

from typing import Any

from cli.demo.exposition import Histogram
from cli.demo.ledger import Audit, Ledger
from cli.demo.model import TrainedModel
from cli.demo.outage import Moment, Outage
from cli.demo.plan import Plan
from cli.demo.sample import Sample
from cli.demo.state import State

DECISIONS = ("disqualify", "nurture", "contact_now", "manual_review")
EDGES = (0.01, 0.05, 0.15, float("inf"))
MODEL = TrainedModel("20250101T000000Z-3fa9c1d2", 0.812, 0.561, 9992, 1392)
PLAN = Plan(events=1000, rate=100.0, outage_s=2.0, open_s=0.25)
START_MS = 1_750_000_000_000


def latency(*counts: int) -> Histogram:
    """So many values in each of the four buckets."""
    cumulative = tuple(sum(counts[: n + 1]) for n in range(len(counts)))
    return Histogram(EDGES, cumulative)


def sample(at_s: float, by_model: int, rules: int = 0, **others: Any) -> Sample:
    """So many decisions by model and rules, all `nurture`."""
    given: dict[str, Any] = {
        "events": {"scored": by_model + rules, "duplicate": 0, "dead_letter": 0},
        "decisions": {("nurture", "MODEL"): by_model, ("nurture", "RULES"): rules},
        "fallbacks": {"deadline": rules},
        "latency": latency(0, by_model + rules, 0, 0),
        "last_minute_ms": {"p50": 12.0, "p95": 40.0, "p99": 160.0},
        "model": MODEL.version,
    }
    return Sample(at_s=at_s, **{**given, **others})


def state(*samples: tuple[int, Sample], **others: Any) -> State:
    """A state with what was sent at each sample."""
    given: dict[str, Any] = {
        "plan": PLAN,
        "decisions": DECISIONS,
        "broker": "local Apache Kafka 4.3.1 at 127.0.0.1:20092",
        "budget_ms": 150.0,
        "model": MODEL,
    }
    made = State(**{**given, **others})
    made.samples += samples
    return made


def moment(at_s: float, found: Sample | None = None) -> Moment:
    """A moment on both clocks."""
    return Moment(at_s, START_MS + int(1000 * at_s), found or sample(at_s, int(100 * at_s)))


def overcome_outage() -> Outage:
    """From 5 s to 7 s, and the model back at 7.5 s."""
    outage = Outage(PLAN)
    outage.step(500, moment(5.0), traffic_done=False)
    outage.step(700, moment(7.0), traffic_done=False)
    outage.step(750, moment(7.5), traffic_done=False)
    return outage


def decision(offset: int, *, at_s: float = 0.0, by: str = "MODEL", published: bool = False) -> dict[str, Any]:
    """A decision on the record at that offset of partition 0."""
    return {
        "decision": "nurture",
        "scored_by": by,
        "fallback_reason": None if by == "MODEL" else "deadline",
        "decided_at": START_MS + int(1000 * at_s),
        "action_published": published,
        "source_partition": 0,
        "source_offset": offset,
    }


def audit_of(*decisions: dict[str, Any]) -> Audit:
    """The audit of a topic whose records are exactly those that were decided."""
    ledger = Ledger()
    for datum in decisions:
        ledger.decision(datum, b"")
    for datum in decisions:
        ledger.event((0, datum["source_offset"]), "lead", f"event {datum['source_offset']}")
    return ledger.close()

"""A wall clock that is set while the service runs: by an hour, forwards and back."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from runtime.clock import SystemClock
from schemas.codec import decision_codec
from tests.faults.conftest import Act, Beside
from tests.faults.scenario import Scenario
from tests.kafka import eventually

HOUR_S = 3600
AFTER_S = 3
"""Seconds after the process began: by then it serves."""


def stepped(step_s: int, scenario: Scenario) -> None:
    scorer = scenario.scorer("a", "--inject", f"clock:{step_s:+}@{AFTER_S}").start()
    with scenario.traffic():
        eventually(lambda: has_stepped(scenario, step_s), every_s=0.5)
        scenario.progress()
    assert scorer.get("/healthz")[0] == 200
    late_s = scorer.metrics()["lead_scorer_decision_latency_seconds_sum"]
    assert (late_s > HOUR_S) is (step_s > 0)  # ahead each decision seems an hour late; back none is early
    scenario.check(scorer)
    assert all(decision["latency_ms"] >= 0 for decision in decisions(scenario))


def has_stepped(scenario: Scenario, step_s: int) -> bool:
    """Whether a decision carries the new time."""
    now_ms = SystemClock().now_ms()
    return any((decision["decided_at"] - now_ms) / step_s > 1000 / 2 for decision in decisions(scenario))


def decisions(scenario: Scenario) -> Iterator[dict[str, Any]]:
    """Those that were seen so far."""
    topic, codec = scenario.settings.topics.decisions, decision_codec()
    for (name, _), records in list(scenario.watcher.seen.items()):
        yield from (codec.decode(value) for _, _, value in list(records) if name == topic)


def test_a_clock_that_is_set_loses_and_repeats_nothing(beside: Beside) -> None:
    """Nothing hangs, aborts or is refused for its time; `decided_at` follows the clock, `latency_ms` stays above 0."""
    steps_s = {"an hour ahead": HOUR_S, "an hour back": -HOUR_S}
    beside({name: Act(partial(stepped, step_s)) for name, step_s in steps_s.items()})

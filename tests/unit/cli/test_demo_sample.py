"""What the demo reads of the service, from a page that the service's own metrics made."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.demo.exposition import Exposition, Histogram
from cli.demo.sample import BUDGET_EDGE_S, read_sample
from runtime.metrics import Metrics

STATUS: dict[str, Any] = {
    "assignment": [
        {"partition": 0, "lag_records": 3, "lag_seconds": 0.5},
        {"partition": 1, "lag_records": 2, "lag_seconds": 1.5},
        {"partition": 2, "lag_records": None, "lag_seconds": None},
    ],
    "latency_ms": {"p50": 1.0, "p95": 2.0, "p99": None},
    "breaker": "open",
    "model": {"version": "v1"},
}


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(["nurture", "contact_now"])


def test_counts_are_read_by_their_labels(metrics: Metrics) -> None:
    """Decisions, events, actions and fallbacks, as the service counts them."""
    metrics.count_events("scored", 7)
    metrics.count_decisions("nurture", "MODEL", 4)
    metrics.count_decisions("contact_now", "RULES", 3)
    metrics.count_actions("nurture", 2)
    metrics.count_fallbacks("deadline", 3)
    found = read_sample(1.0, metrics.exposition().decode(), STATUS)
    assert (found.outcomes, found.decided, found.scored_by("MODEL"), found.scored_by("RULES")) == (7, 7, 4, 3)
    assert found.decisions["contact_now", "RULES"] == 3
    assert (found.actions["nurture"], found.fallbacks["deadline"]) == (2, 3)


def test_latencies_have_the_edge_of_the_budget(metrics: Metrics) -> None:
    """What is inside the budget is counted exactly."""
    metrics.observe_latencies(np.array([0.003, 0.15, 0.151]))
    found = read_sample(1.0, metrics.exposition().decode(), STATUS).latency
    assert (found.count, found.up_to(BUDGET_EDGE_S)) == (3, 2)


def test_lag_is_that_of_all_partitions(metrics: Metrics) -> None:
    """The sum of records, the largest age; a partition that waits for its state has none."""
    found = read_sample(1.0, metrics.exposition().decode(), STATUS)
    assert (found.lag_records, found.lag_s, found.breaker, found.model) == (5, 1.5, "open", "v1")


def test_a_label_may_hold_anything() -> None:
    """Commas, braces and escaped quotes in a value."""
    page = Exposition('seen{by="a\\"},b",as="c"} 2')
    assert page.by("seen", "as") == {("c",): 2.0}


@given(st.lists(st.integers(0, 50), min_size=3, max_size=3), st.floats(0.01, 1.0))
def test_a_quantile_lies_in_its_bucket(counts: list[int], share: float) -> None:
    """As many values as the share lie in the buckets up to it."""
    edges = (1.0, 2.0, 4.0, float("inf"))
    cumulative = [*np.cumsum(counts).tolist(), sum(counts)]
    found = Histogram(edges, tuple(cumulative)).quantile(share)
    if not sum(counts):
        assert found is None
        return
    assert found is not None
    bucket = next(n for n, count in enumerate(cumulative) if count >= share * sum(counts))
    assert (0.0, *edges)[bucket] <= found <= edges[bucket]


def test_a_quantile_past_the_last_edge_is_that_edge() -> None:
    """As Prometheus has it: more is not known."""
    assert Histogram((1.0, 2.0, float("inf")), (0, 0, 5)).quantile(0.5) == 2.0


def test_a_histogram_since_an_earlier_one_has_what_came_after() -> None:
    """The span of an outage is the difference of two pages."""
    before, after = Histogram((1.0, float("inf")), (2, 3)), Histogram((1.0, float("inf")), (5, 9))
    assert after.since(before) == Histogram((1.0, float("inf")), (3, 6))
    assert after.since(Histogram()) == after

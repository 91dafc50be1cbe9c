"""The metrics are those of contract 9, and count committed batches in one call."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import Histogram
from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families

from runtime.metric_families import FAMILIES, LATENCY
from runtime.metrics import CONTENT_TYPE, BatchHistogram, Metrics

DECISIONS = ["nurture", "contact_now"]


class StoppedClock:
    """A clock that moves when it is told to."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def now_ms(self) -> int:
        return int(self.seconds * 1000)

    def monotonic(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(DECISIONS, clock=StoppedClock())


def exposed(metrics: Metrics) -> dict[str, Metric]:
    """The families of the page that are ours, by their exposed name."""
    parsed = text_string_to_metric_families(metrics.exposition().decode())
    named = {family.name + ("_total" if family.type == "counter" else ""): family for family in parsed}
    return {name: family for name, family in named.items() if name.startswith("lead_scorer_")}


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    for family in exposed(metrics).values():
        for sample in family.samples:
            if sample.name == name and sample.labels == labels:
                found: float = sample.value
                return found
    return None


CONTRACT = {
    "lead_scorer_events_total": ("counter", ["result"]),
    "lead_scorer_decisions_total": ("counter", ["decision", "scored_by"]),
    "lead_scorer_actions_published_total": ("counter", ["decision"]),
    "lead_scorer_decision_latency_seconds": ("histogram", []),
    "lead_scorer_stage_seconds": ("histogram", ["stage"]),
    "lead_scorer_batch_records": ("histogram", []),
    "lead_scorer_fallbacks_total": ("counter", ["reason"]),
    "lead_scorer_breaker_state": ("gauge", []),
    "lead_scorer_dead_letters_total": ("counter", ["reason"]),
    "lead_scorer_errors_total": ("counter", ["kind"]),
    "lead_scorer_transactions_total": ("counter", ["result"]),
    "lead_scorer_rebalances_total": ("counter", ["kind"]),
    "lead_scorer_consumer_lag_records": ("gauge", ["partition"]),
    "lead_scorer_consumer_lag_seconds": ("gauge", ["partition"]),
    "lead_scorer_state_leads": ("gauge", []),
    "lead_scorer_restore_seconds": ("gauge", []),
    "lead_scorer_model_info": ("gauge", ["version", "alias"]),
    "lead_scorer_model_loads_total": ("counter", ["result"]),
    "lead_scorer_score": ("histogram", []),
    "lead_scorer_stream_gate_ratio": ("gauge", ["gate"]),
}


def test_the_table_is_that_of_the_contract() -> None:
    """Names, kinds and labels of contract 9, in its order."""
    assert {family.name: (family.kind, list(family.labels)) for family in FAMILIES} == CONTRACT
    assert [family.name for family in FAMILIES] == list(CONTRACT)


def test_every_family_of_the_table_is_exposed(metrics: Metrics) -> None:
    """With a value for each gauge all families of the table are on the page, and no others."""
    metrics.set_lag(0, 1, 1.0)
    metrics.set_state_leads(1)
    metrics.set_restore_seconds(1.0)
    metrics.set_breaker_state("closed")
    metrics.set_model("v1", "champion")
    metrics.set_gate_ratio("null_headcount", 0.0)
    assert {name: family.type for name, family in exposed(metrics).items()} == {
        name: kind for name, (kind, _) in CONTRACT.items()
    }


def test_every_family_tells_meaning_and_remedy() -> None:
    """The table is the documentation."""
    assert all(family.meaning.endswith(".") and family.remedy.endswith(".") for family in FAMILIES)


def test_counters_stand_at_zero_from_the_start(metrics: Metrics) -> None:
    """Closed label sets are complete before anything was counted."""
    counters = [family for family in exposed(metrics).values() if family.type == "counter"]
    assert {sample.value for family in counters for sample in family.samples} == {0.0}
    assert {len(family.samples) for family in counters if family.name == "lead_scorer_decisions"} == {4}
    assert {len(family.samples) for family in counters if family.name == "lead_scorer_dead_letters"} == {10}


def test_gauges_are_absent_until_known(metrics: Metrics) -> None:
    """Nobody reads a lag of 0 from an instance that has not looked yet."""
    assert not [name for name, family in exposed(metrics).items() if family.type == "gauge"]


def test_the_page_has_no_creation_times(metrics: Metrics) -> None:
    """`_created` series would double the number of series for nothing."""
    assert b"_created" not in metrics.exposition()


def test_the_page_is_of_the_classic_text_format(metrics: Metrics) -> None:
    """The content type is that of the text format 0.0.4, and the page can be parsed."""
    assert CONTENT_TYPE == "text/plain; version=0.0.4; charset=utf-8"
    assert exposed(metrics)


def test_a_batch_is_counted_at_once(metrics: Metrics) -> None:
    """One call with a number, not a call for each record."""
    metrics.count_events("scored", 1998)
    metrics.count_events("duplicate", 2)
    metrics.count_decisions("nurture", "RULES", 1998)
    assert value(metrics, "lead_scorer_events_total", result="scored") == 1998
    assert value(metrics, "lead_scorer_decisions_total", decision="nurture", scored_by="RULES") == 1998
    assert metrics.counts() == {"scored": 1998, "duplicate": 2, "dead_letter": 0}
    assert metrics.decision_counts()["nurture", "RULES"] == 1998


@pytest.mark.parametrize("unknown", ["", "lead-4711"])
def test_an_unknown_label_is_a_programmers_error(metrics: Metrics, unknown: str) -> None:
    """The number of series cannot grow with traffic."""
    with pytest.raises(KeyError):
        metrics.count_dead_letters(unknown)
    with pytest.raises(KeyError):
        metrics.count_decisions(unknown, "RULES")


def test_the_budget_is_an_edge(metrics: Metrics) -> None:
    """150 ms are within the budget, a little more is not: the edge is exactly 0.15."""
    metrics.observe_latencies(np.array([0.15, np.nextafter(0.15, 1)]))
    assert value(metrics, "lead_scorer_decision_latency_seconds_bucket", le="0.15") == 1
    assert value(metrics, "lead_scorer_decision_latency_seconds_bucket", le="0.2") == 2


@given(batches=st.lists(st.lists(st.floats(0, 400), min_size=1, max_size=50), max_size=5))
def test_a_batch_histogram_is_the_librarys(batches: list[list[float]]) -> None:
    """In batches or one by one, buckets and sum are those of prometheus_client's own histogram."""
    reference = Histogram(LATENCY.name, LATENCY.meaning, buckets=LATENCY.edges, registry=None)
    ours = BatchHistogram(LATENCY)
    for batch in batches:
        ours.observe(np.array(batch))
        for observed in batch:
            reference.observe(observed)
    expected = {(s.name, s.labels.get("le")): s.value for m in reference.collect() for s in m.samples}
    for sample in ours.family().samples:
        assert sample.value == pytest.approx(expected[sample.name, sample.labels.get("le")])


def test_stages_have_their_own_histogram(metrics: Metrics) -> None:
    """A stage's time is added to its own series."""
    metrics.observe_stage("commit", 0.004)
    assert value(metrics, "lead_scorer_stage_seconds_count", stage="commit") == 1
    assert value(metrics, "lead_scorer_stage_seconds_count", stage="poll") == 0


def test_a_partition_takes_its_lag_along(metrics: Metrics) -> None:
    """After a revocation no lag of the partition is left, and those of others stay."""
    metrics.set_lag(3, 10, 1.5)
    metrics.set_lag(4, 20, 2.5)
    metrics.drop_partition(3)
    assert value(metrics, "lead_scorer_consumer_lag_records", partition="3") is None
    assert value(metrics, "lead_scorer_consumer_lag_records", partition="4") == 20
    assert value(metrics, "lead_scorer_consumer_lag_seconds", partition="4") == 2.5


def test_a_model_takes_its_info_along(metrics: Metrics) -> None:
    """There is one series for the model that is loaded, and none without."""
    metrics.set_model("v1", "champion")
    metrics.set_model("v2", "champion")
    assert value(metrics, "lead_scorer_model_info", version="v1", alias="champion") is None
    assert value(metrics, "lead_scorer_model_info", version="v2", alias="champion") == 1
    metrics.set_model(None, "champion")
    assert "lead_scorer_model_info" not in exposed(metrics)


@pytest.mark.parametrize(("state", "number"), [("closed", 0), ("half_open", 1), ("open", 2)])
def test_breaker_states_are_numbers(metrics: Metrics, state: str, number: int) -> None:
    """0 closed, 1 half-open, 2 open."""
    metrics.set_breaker_state(state)
    assert value(metrics, "lead_scorer_breaker_state") == number


def test_a_gate_that_is_not_known_any_more_is_absent(metrics: Metrics) -> None:
    """None takes the ratio back."""
    metrics.set_gate_ratio("null_headcount", 0.2)
    assert value(metrics, "lead_scorer_stream_gate_ratio", gate="null_headcount") == 0.2
    metrics.set_gate_ratio("null_headcount", None)
    assert value(metrics, "lead_scorer_stream_gate_ratio", gate="null_headcount") is None


def test_series_do_not_grow_with_traffic(metrics: Metrics) -> None:
    """The page is as long after many batches as after one."""
    metrics.observe_latencies(np.array([0.1]))
    before = sum(len(family.samples) for family in exposed(metrics).values())
    rng = np.random.default_rng(7)
    for _ in range(100):
        metrics.observe_latencies(rng.exponential(0.1, 100))
        metrics.observe_scores(rng.random(100))
        metrics.count_actions("nurture", 3)
    assert sum(len(family.samples) for family in exposed(metrics).values()) == before


def test_percentiles_are_those_of_the_last_minute() -> None:
    """What is older than a minute is forgotten; without events there is nothing to tell."""
    clock = StoppedClock()
    metrics = Metrics(DECISIONS, clock=clock)
    assert metrics.latency_percentiles_ms() == {"p50": None, "p95": None, "p99": None}
    metrics.observe_latencies(np.full(1000, 5.0))
    clock.seconds += 30
    metrics.observe_latencies(np.linspace(0.001, 0.1, 10_000))
    clock.seconds += 40
    told = metrics.latency_percentiles_ms()
    assert {name: pytest.approx(told[name], rel=0.02) for name in told} == {"p50": 50.5, "p95": 95.0, "p99": 99.0}


@given(latencies=st.lists(st.floats(0.0002, 500), min_size=1, max_size=300))
def test_a_percentile_is_off_by_a_bin_at_most(latencies: list[float]) -> None:
    """Logarithmic bins of 2 % width keep each percentile within 1.5 % of the exact one."""
    metrics = Metrics(DECISIONS, clock=StoppedClock())
    metrics.observe_latencies(np.array(latencies))
    exact = np.sort(latencies)[int(np.ceil(len(latencies) * 0.95)) - 1] * 1000
    assert metrics.latency_percentiles_ms()["p95"] == pytest.approx(exact, rel=0.015)

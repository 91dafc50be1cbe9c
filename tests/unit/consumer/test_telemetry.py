"""What operators are shown: only what is committed, each batch once; and whether the loop is stuck."""

from __future__ import annotations

from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from consumer.batch import Batch
from consumer.telemetry import ALARMS_EVERY_S, STUCK_AFTER_S, MetricsTelemetry, Progress
from runtime.metrics import Metrics
from scoring.profile import Profile
from scoring.stream_gates import StreamGates
from tests.unit.consumer.bench import Bench, PerRow, event_record, exposed
from tests.unit.consumer.fakes import START_MS, FakeClock, record

DECISIONS = ["disqualify", "nurture", "contact_now", "manual_review"]


class Shown:
    """Telemetry, and the page that it ends up on."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.metrics = Metrics(DECISIONS, self.clock)
        self.progress = Progress(self.clock)
        self.telemetry = MetricsTelemetry(self.metrics, self.progress, self.clock)

    def __getitem__(self, name: str) -> float:
        return exposed(self.metrics)[f"lead_scorer_{name}"]

    def names(self) -> set[str]:
        return {name.partition("{")[0].removeprefix("lead_scorer_") for name in exposed(self.metrics)}


@pytest.fixture
def shown() -> Shown:
    return Shown()


# --- progress ---


def test_a_loop_that_turns_is_not_stuck(shown: Shown) -> None:
    """Idling and waiting for Kafka are turns, too."""
    for _ in range(100):
        shown.clock.sleep(29.0)
        shown.telemetry.turned("poll")
    assert shown.progress.stuck() is None


def test_30_seconds_without_a_turn_are_stuck(shown: Shown) -> None:
    """Exactly 30 are not yet; the stage and how long it has been in it are named."""
    shown.telemetry.turned("commit")
    shown.clock.sleep(30.0)
    assert shown.progress.stuck() is None
    shown.clock.sleep(0.5)
    assert shown.progress.stuck() == ("commit", 30.5)
    assert STUCK_AFTER_S == 30.0


def test_another_turn_ends_it(shown: Shown) -> None:
    """The loop is healthy again as soon as it moves."""
    shown.clock.sleep(1000.0)
    shown.telemetry.turned("poll")
    assert shown.progress.stuck() is None


def test_a_start_that_hangs_is_stuck(shown: Shown) -> None:
    """Before the first turn it is the start that takes so long."""
    shown.clock.sleep(31.0)
    assert shown.progress.stuck() == ("start", 31.0)


@given(st.lists(st.floats(0.0, 60.0), min_size=1, max_size=20))
def test_only_the_last_turn_counts(pauses_s: list[float]) -> None:
    """However long the pauses before were."""
    shown = Shown()
    for pause_s in pauses_s:
        shown.telemetry.turned("poll")
        shown.clock.sleep(pause_s)
    assert (shown.progress.stuck() is not None) == (pauses_s[-1] > STUCK_AFTER_S)


# --- what a batch gave ---


def test_a_committed_batch_is_counted(shown: Shown) -> None:
    """Events, decisions, actions, fallbacks and dead letters, by their labels."""
    batch = Bench(PerRow(lambda row: 0.9 if row[0] > 0.7 else float("nan"))).prepared(
        event_record(0), event_record(1), event_record(2), event_record(3, event_id="e-0-0"), record(4)
    )
    shown.telemetry.committed(batch)
    assert shown['events_total{result="scored"}'] == 3
    assert shown['events_total{result="duplicate"}'] == 1
    assert shown['events_total{result="dead_letter"}'] == 1
    assert shown['decisions_total{decision="nurture",scored_by="RULES"}'] == 1
    assert shown['decisions_total{decision="contact_now",scored_by="MODEL"}'] == 2
    assert shown['actions_published_total{decision="contact_now"}'] == 1
    assert shown['fallbacks_total{reason="bad_score"}'] == 1
    assert shown['dead_letters_total{reason="undecodable"}'] == 1
    assert shown['transactions_total{result="committed"}'] == 1
    assert shown["batch_records_sum"] == 5


def test_latency_is_from_append_to_commit(shown: Shown) -> None:
    """One value for each decision, at the time of the commit; a clock behind the broker's gives 0."""
    batch = Bench().prepared(event_record(0), event_record(1, append_ms=START_MS + 250))
    shown.clock.sleep(0.15)
    shown.telemetry.committed(batch)
    assert shown["decision_latency_seconds_count"] == 2
    assert shown["decision_latency_seconds_sum"] == pytest.approx(0.15)
    assert shown['decision_latency_seconds_bucket{le="0.15"}'] == 2


def test_scores_are_the_models_alone(shown: Shown) -> None:
    """Those of the rules would hide a model that is gone."""
    batch = Bench(PerRow(lambda row: 0.9 if row[0] > 0.7 else float("nan"))).prepared(event_record(0), event_record(1))
    shown.telemetry.committed(batch)
    assert (shown["score_count"], shown["score_sum"]) == (1, 0.9)


def test_the_gates_are_those_after_the_batch(shown: Shown) -> None:
    """Absent before the first update was seen."""
    bench = Bench()
    shown.telemetry.committed(bench.prepared(event_record(0)))
    assert "stream_gate_ratio" in shown.names()  # the engagement's: the bench has a baseline
    assert 'lead_scorer_stream_gate_ratio{gate="null_headcount"}' not in exposed(shown.metrics)
    shown.telemetry.committed(bench.prepared(event_record(1, event_type="PROFILE_UPDATE", company_headcount=5)))
    assert shown['stream_gate_ratio{gate="null_headcount"}'] == 0.0
    assert shown['stream_gate_ratio{gate="email_completeness"}'] == 1.0


def with_updates(*complete: bool) -> Batch:
    """A batch after which so many profile updates were seen, with e-mail address or without."""
    batch = Bench().prepared(event_record(0))
    batch.gates = StreamGates()
    for contactable in complete:
        batch.gates.add_update(Profile(contactable=contactable, company_headcount=1, created_at=1))
    return batch


def test_a_gate_past_its_limit_is_logged_once(shown: Shown) -> None:
    """With ratio and limit, and again when it is over; not at every batch."""
    bad, good = with_updates(*[True] * 940, *[False] * 60), with_updates(*[True] * 1000)
    with capture_logs() as logs:
        for batch in (good, bad, bad, good, good):
            shown.telemetry.committed(batch)
            shown.clock.sleep(ALARMS_EVERY_S)
    assert [(line["log_level"], line["event"]) for line in logs] == [
        ("warning", "stream_gates_alarm"),
        ("info", "stream_gates_quiet"),
    ]
    assert logs[0]["over"] == {"email_completeness": "0.060, limit 0.05"}


def test_a_gate_that_crosses_its_limit_to_and_fro_fills_no_log(shown: Shown) -> None:
    """At most one line a minute."""
    bad, good = with_updates(*[False] * 1000), with_updates(*[True] * 1000)
    with capture_logs() as logs:
        for _ in range(100):
            shown.telemetry.committed(bad)
            shown.telemetry.committed(good)
            shown.clock.sleep(1.0)
    assert len(logs) == 2


def test_a_transaction_of_offsets_alone_is_no_batch(shown: Shown) -> None:
    """It is a transaction, but none of 0 records in the histogram of sizes."""
    batch = Bench().batch()
    batch.next_offsets[0] = 5
    shown.telemetry.committed(batch)
    assert shown['transactions_total{result="committed"}'] == 1
    assert shown["batch_records_count"] == 0


def test_a_record_that_was_isolated_is_an_error(shown: Shown) -> None:
    """A fault of the scorer, however well it was survived."""
    batch = Bench().batch()
    batch.records.append(record())
    batch.tally.dead_letters["internal_error"] += 2
    shown.telemetry.committed(batch)
    assert shown['errors_total{kind="record"}'] == 2
    assert shown['dead_letters_total{reason="internal_error"}'] == 2


# --- what happened ---


@pytest.mark.parametrize(("error", "kind"), [("_FENCED", "fenced"), ("_TIMED_OUT", "abort"), (None, "abort")])
def test_an_abort_counts_nothing_of_its_batch(shown: Shown, error: str | None, kind: str) -> None:
    """Only itself, and as an error of its kind."""
    shown.telemetry.aborted(error)
    assert shown['transactions_total{result="aborted"}'] == 1
    assert shown[f'errors_total{{kind="{kind}"}}'] == 1
    assert shown['events_total{result="scored"}'] == 0


def test_what_the_loop_survives(shown: Shown) -> None:
    """By its kind."""
    shown.telemetry.failed("registry")
    assert shown['errors_total{kind="registry"}'] == 1


@pytest.mark.parametrize("kind", ["revoked", "lost"])
def test_lag_goes_with_its_partition(shown: Shown, kind: Literal["revoked", "lost"]) -> None:
    """At once, not with the next measurement; that of the others stays."""
    shown.metrics.set_lag(1, 5, 1.0)
    shown.metrics.set_lag(2, 5, 1.0)
    shown.telemetry.rebalanced(kind, [1])
    shown_partitions = [name for name in exposed(shown.metrics) if "lag_records{" in name]
    assert shown_partitions == ['lead_scorer_consumer_lag_records{partition="2"}']
    assert shown[f'rebalances_total{{kind="{kind}"}}'] == 1


def test_an_assignment_is_counted_and_changes_no_lag(shown: Shown) -> None:
    """With the cooperative protocol the partitions that stay are not named in it."""
    shown.metrics.set_lag(1, 5, 1.0)
    shown.telemetry.rebalanced("assigned", [1])
    assert shown['rebalances_total{kind="assigned"}'] == 1
    assert shown['consumer_lag_records{partition="1"}'] == 5


def test_lost_partitions_are_an_error(shown: Shown) -> None:
    """Revoked ones are not."""
    shown.telemetry.rebalanced("revoked", [1])
    assert shown['errors_total{kind="ownership_lost"}'] == 0
    shown.telemetry.rebalanced("lost", [1])
    assert shown['errors_total{kind="ownership_lost"}'] == 1


def test_a_stage_is_observed(shown: Shown) -> None:
    """Seconds, by stage."""
    shown.telemetry.stage("commit", 0.25)
    assert shown['stage_seconds_sum{stage="commit"}'] == 0.25

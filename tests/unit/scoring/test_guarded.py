"""The model answers while it can; else the rules do, with the reason, and nothing the model does stops the stream."""

from __future__ import annotations

import functools
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from scoring.breaker import BreakerSettings, BreakerState, Transition
from scoring.bundle import load_bundle
from scoring.deadline import LANES_MAX, Predict, Rows
from scoring.guarded import GuardedScorer
from scoring.listener import CallFailure, Load
from scoring.model import Model
from scoring.scorer import Verdicts
from tests import bundles

LONG_MS = 10_000.0
FEATURES = bundles.made_up_rows(100, seed=3)
RULES = np.full(100, 0.3)


@functools.cache
def model(version: str) -> Model:
    with tempfile.TemporaryDirectory() as directory:
        bundles.write_bundle(Path(directory), version, seed=int(version[1:]))
        return Model(load_bundle(Path(directory), version))


@dataclass
class Heard:
    """A listener that keeps what it was told."""

    failures: list[CallFailure] = field(default_factory=list)
    transitions: list[Transition] = field(default_factory=list)

    def on_load(self, load: Load) -> None:
        raise AssertionError(load)

    def on_transition(self, transition: Transition) -> None:
        self.transitions.append(transition)

    def on_call_failure(self, failure: CallFailure) -> None:
        self.failures.append(failure)


class Bench:
    """A guarded scorer whose model does as the test says; calls are counted, and time is the test's."""

    def __init__(self, inference_ms: float = LONG_MS, **breaker: float) -> None:
        self.now = 0.0
        self.heard = Heard()
        self.calls: list[int] = []
        self.act: Callable[[Predict, Rows], NDArray[np.float64]] = lambda predict, rows: predict(rows)
        defaults = {"slow_ms": LONG_MS}
        self.scorer = GuardedScorer(
            inference_ms=inference_ms,
            breaker=BreakerSettings(**(defaults | breaker)),  # type: ignore[arg-type]
            monotonic=lambda: self.now,
            listener=self.heard,
            wrap=self._wrap,
        )

    def _wrap(self, predict: Predict) -> Predict:
        def call(rows: Rows) -> NDArray[np.float64]:
            self.calls.append(len(rows))
            return self.act(predict, rows)

        return call

    def session_is_free(self) -> bool:
        return bool(self.scorer._slot and self.scorer._slot.runner._idle)

    def score(self, n_rows: int = 100) -> Verdicts:
        return self.scorer.score(FEATURES[:n_rows], RULES[:n_rows])


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    made.scorer.offer(model("v0"))
    made.scorer.score(FEATURES[:0], RULES[:0])  # takes the model up
    yield made
    made.scorer.close()


def eventually(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end, "it never came to be"
        time.sleep(0.001)


def raises(_predict: Predict, _rows: Rows) -> NDArray[np.float64]:
    raise RuntimeError("broken")


def hanging_until(over: threading.Event) -> Callable[[Predict, Rows], NDArray[np.float64]]:
    def hangs(predict: Predict, rows: Rows) -> NDArray[np.float64]:
        over.wait(10)
        return predict(rows)

    return hangs


def by_rules(verdicts: Verdicts, reason: str) -> bool:
    n_rows = len(verdicts.scores)
    return (
        verdicts.fallback_reasons == [reason] * n_rows
        and not verdicts.by_model.any()
        and verdicts.scores.tolist() == RULES[:n_rows].tolist()
        and verdicts.model_version is None
    )


def test_model_answers_each_row(bench: Bench) -> None:
    """All scores are the model's, with its version and no reason for the rules."""
    verdicts = bench.score()
    expected = model("v0").predict(model("v0").arrange(FEATURES))
    assert verdicts.scores.tolist() == expected.tolist()
    assert verdicts.by_model.all()
    assert verdicts.fallback_reasons == [None] * 100
    assert verdicts.model_version == "v0"


def test_without_a_model_the_rules_answer() -> None:
    """`no_model` before any model was offered, `bad_model` when the one that should serve was refused."""
    scorer = Bench().scorer
    assert by_rules(scorer.score(FEATURES, RULES), "no_model")
    scorer.offer(None, "bad_model")
    assert by_rules(scorer.score(FEATURES, RULES), "bad_model")


def test_removed_model_answers_no_more(bench: Bench) -> None:
    """After `none` was promoted the rules answer with `no_model`."""
    bench.score()
    bench.scorer.offer(None)
    assert by_rules(bench.scorer.score(FEATURES, RULES), "no_model")


def test_raising_model_is_answered_for(bench: Bench) -> None:
    """`model_error`, and the listener is told what was raised."""
    bench.act = raises
    assert by_rules(bench.score(), "model_error")
    assert bench.heard.failures == [CallFailure("model_error", "v0", 100, 0.0, "RuntimeError: broken")]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, -1e-9, 1.0000001])
def test_only_the_bad_row_falls_to_the_rules(bench: Bench, bad: float) -> None:
    """`bad_score` for the row whose score is no probability; the other rows keep the model's."""

    def one_bad(predict: Predict, rows: Rows) -> NDArray[np.float64]:
        scores = predict(rows)
        scores[7] = bad
        return scores

    bench.act = one_bad
    verdicts = bench.score()
    assert [at for at, reason in enumerate(verdicts.fallback_reasons) if reason] == [7]
    assert verdicts.fallback_reasons[7] == "bad_score"
    assert verdicts.scores[7] == 0.3
    assert verdicts.by_model.sum() == 99
    assert verdicts.model_version == "v0"


@pytest.mark.parametrize("edge", [0.0, 1.0])
def test_zero_and_one_are_scores(bench: Bench, edge: float) -> None:
    """The ends of [0, 1] belong to it."""
    bench.act = lambda _, rows: np.full(len(rows), edge)
    assert bench.score().scores.tolist() == [edge] * 100


def test_calls_with_bad_scores_count_as_failed(bench: Bench) -> None:
    """A model that gives NaN opens the breaker."""
    bench.act = lambda _, rows: np.full(len(rows), np.nan)
    for _ in range(5):
        assert by_rules(bench.score(), "bad_score")
    assert by_rules(bench.score(), "breaker_open")


def test_answer_of_the_wrong_shape_is_an_error(bench: Bench) -> None:
    """Scores that cannot be matched to rows are not used."""
    bench.act = lambda predict, rows: predict(rows[:-1])
    assert by_rules(bench.score(), "model_error")


def test_open_breaker_leaves_the_model_alone(bench: Bench) -> None:
    """`breaker_open`, without a call."""
    bench.act = raises
    for _ in range(5):
        bench.score()
    calls = len(bench.calls)
    assert by_rules(bench.score(), "breaker_open")
    assert len(bench.calls) == calls


def test_a_model_that_is_taken_away_is_not_probed(bench: Bench) -> None:
    """The next one is, at once."""
    bench.act = raises
    for _ in range(5):
        bench.score()
    bench.scorer.offer(None)
    bench.score()
    assert bench.scorer.breaker_state is BreakerState.OPEN
    bench.scorer.offer(model("v1"))
    bench.score()
    assert bench.heard.transitions[-2].reason == "another model: probing"


def test_probe_is_small_and_the_rest_is_for_the_rules(bench: Bench) -> None:
    """Half-open, 16 rows are the model's and the others wait for the breaker to close."""
    bench.act = raises
    for _ in range(5):
        bench.score()
    bench.act = lambda predict, rows: predict(rows)
    bench.now = 5.0
    verdicts = bench.score()
    assert verdicts.by_model.tolist() == [True] * 16 + [False] * 84
    assert verdicts.fallback_reasons == [None] * 16 + ["breaker_open"] * 84
    bench.score()
    bench.score()
    assert bench.scorer.breaker_state is BreakerState.CLOSED
    assert bench.score().by_model.all()


def test_failed_probe_tells_both_reasons(bench: Bench) -> None:
    """The probed rows fell to the model's error, the others to the open breaker."""
    bench.act = raises
    for _ in range(5):
        bench.score()
    bench.now = 5.0
    assert bench.score().fallback_reasons == ["model_error"] * 16 + ["breaker_open"] * 84
    assert bench.heard.transitions[-1].open_s == 10


def test_missed_deadline_is_answered_for() -> None:
    """`deadline`, once per batch: a batch waits out one deadline, however many calls it would have been."""
    bench = Bench(inference_ms=20)
    over = threading.Event()
    bench.act = hanging_until(over)
    bench.scorer.offer(model("v0"))
    bench.score(0)
    assert by_rules(bench.score(), "deadline")
    assert bench.scorer.calls_out == 1
    over.set()
    eventually(lambda: bench.scorer.calls_out == 0)
    bench.scorer.close()


def test_hung_model_is_started_a_bounded_number_of_times() -> None:
    """With its sessions hung, calls fail at once until one returns; then the model answers again."""
    bench = Bench(inference_ms=20, min_calls=100, window=100)
    over = threading.Event()
    bench.act = hanging_until(over)
    bench.scorer.offer(model("v0"))
    bench.score(0)
    for _ in range(LANES_MAX):
        eventually(bench.session_is_free)
        assert by_rules(bench.score(), "deadline")
    for _ in range(10):
        assert by_rules(bench.scorer.score(FEATURES, RULES), "deadline")
    assert len(bench.calls) == LANES_MAX
    over.set()
    eventually(bench.session_is_free)
    assert bench.score().by_model.all()
    bench.scorer.close()


def test_slow_calls_open_the_breaker(bench: Bench) -> None:
    """Answers that come late, but in time, are used, and count against the model."""

    def late(predict: Predict, rows: Rows) -> NDArray[np.float64]:
        bench.now += 2 * LONG_MS / 1000
        return predict(rows)

    bench.act = late
    for _ in range(5):
        assert bench.score().by_model.all()
    assert by_rules(bench.score(), "breaker_open")


def test_large_batch_is_split_when_it_would_pass_the_deadline() -> None:
    """With rows at 0.1 s and a deadline of 10 s, 100 rows are asked in calls of at most 8 s."""
    bench = Bench()

    def slow(predict: Predict, rows: Rows) -> NDArray[np.float64]:
        bench.now += len(rows) / 10
        return predict(rows)

    bench.act = slow
    bench.scorer.offer(model("v0"))
    bench.score(0)
    for n_rows in range(2, 60):
        bench.score(n_rows)
    bench.calls.clear()
    verdicts = bench.score()
    assert verdicts.by_model.all()
    assert 64 <= max(bench.calls) <= 80
    assert sum(bench.calls) == 100
    bench.scorer.close()


def test_new_version_answers_from_the_next_batch(bench: Bench) -> None:
    """A promotion is taken up between batches, and the version says who scored."""
    assert bench.score().model_version == "v0"
    bench.scorer.offer(model("v1"))
    verdicts = bench.scorer.score(FEATURES, RULES)
    assert verdicts.model_version == "v1"
    assert verdicts.scores.tolist() == model("v1").predict(model("v1").arrange(FEATURES)).tolist()


def test_reasons_are_of_the_model_that_scored(bench: Bench) -> None:
    """A promotion between the score and its reasons does not mix two models."""
    bench.score()
    bench.scorer.offer(model("v1"))
    assert bench.scorer.reasons(FEATURES[:5]) == model("v0").reasons(FEATURES[:5])


def test_no_rows_have_no_reasons() -> None:
    """A batch without the model's actions asks for none, with or without a model."""
    assert Bench().scorer.reasons(FEATURES[:0]) == []


def test_promotion_to_and_fro_leaves_no_threads(bench: Bench) -> None:
    """Models that were replaced end their threads."""
    for n in range(20):
        bench.scorer.offer(model(f"v{n % 2}"))
        assert bench.scorer.score(FEATURES, RULES).model_version == f"v{n % 2}"
    lanes = [thread for thread in threading.enumerate() if thread.name == "model-call"]
    eventually(lambda: sum(lane.is_alive() for lane in lanes) <= 2)


def test_promotion_ends_the_outage_of_the_model_before() -> None:
    """A good model is probed at once, and serves after its probes, though the bad one's time is not up."""
    bench = Bench()
    bench.act = raises
    bench.scorer.offer(model("v0"))
    bench.score(0)
    for _ in range(5):
        bench.score()
    bench.act = lambda predict, rows: predict(rows)
    bench.scorer.offer(model("v1"))
    assert bench.scorer.score(FEATURES, RULES).by_model.sum() == 16
    for _ in range(2):
        bench.score()
    assert bench.score().by_model.all()
    bench.scorer.close()


def test_empty_batch_is_no_call(bench: Bench) -> None:
    """Nothing to score asks nothing."""
    verdicts = bench.score(0)
    assert (len(verdicts.scores), verdicts.fallback_reasons, verdicts.model_version) == (0, [], None)
    assert bench.calls == []


ACTS: dict[str, Callable[[Predict, Rows], NDArray[np.float64]]] = {
    "good": lambda predict, rows: predict(rows),
    "raises": raises,
    "nan": lambda _, rows: np.full(len(rows), np.nan),
    "half": lambda predict, rows: np.where(np.arange(len(rows)) % 2, predict(rows), 2.0),
    "short": lambda predict, rows: predict(rows)[1:],
}


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(sorted(ACTS)), st.integers(0, 100), st.integers(0, 10)), max_size=30))
def test_every_row_has_one_verdict_whatever_the_model_does(history: list[tuple[str, int, int]]) -> None:
    """Each row is the model's with a probability, or the rules' with their score and a reason; a version says which."""
    bench = Bench()
    bench.scorer.offer(model("v0"))
    expected = model("v0").predict(model("v0").arrange(FEATURES))
    for act, n_rows, seconds in history:
        bench.act = ACTS[act]
        bench.now += seconds
        verdicts = bench.scorer.score(FEATURES[:n_rows], RULES[:n_rows])
        for at in range(n_rows):
            if verdicts.by_model[at]:
                assert (verdicts.scores[at], verdicts.fallback_reasons[at]) == (expected[at], None)
            else:
                assert verdicts.scores[at] == RULES[at]
                assert verdicts.fallback_reasons[at] in {"model_error", "bad_score", "breaker_open"}
        assert verdicts.model_version == ("v0" if verdicts.by_model.any() else None)
    bench.scorer.close()

"""Drills: a signal at the right passage of a point, and a clock that jumps once."""

from __future__ import annotations

import signal
from threading import Event, get_ident

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer import drills
from consumer.drills import (
    POINTS,
    Drill,
    DrillSpecError,
    Passages,
    PassingScorer,
    SteppedClock,
    is_drill,
    nowhere,
    parse_drill,
    prepare,
)
from scoring.scorer import RulesOnly
from tests.unit.consumer.fakes import START_MS, FakeClock


class Sent:
    """The signals that a thread sent itself: it stands still at the point, whatever the others do."""

    def __init__(self) -> None:
        self.signals: list[int] = []
        self.any = Event()

    def kill(self, thread: int, number: int) -> None:
        assert thread == get_ident()
        self.signals.append(number)
        self.any.set()


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> Sent:
    noted = Sent()
    monkeypatch.setattr("consumer.drills.signal.pthread_kill", noted.kill)
    return noted


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize(("what", "number"), [("crash", signal.SIGKILL), ("freeze", signal.SIGSTOP)])
def test_a_signal_at_a_point(what: str, number: signal.Signals, point: str) -> None:
    """At its first passage, unless another is named."""
    assert parse_drill(f"{what}:{point}") == Drill(number, point, 1)
    assert parse_drill(f"{what}:{point}:7") == Drill(number, point, 7)


@given(st.integers(-(10**9), 10**9), st.integers(0, 10**6))
def test_a_clock_step(step_s: int, start_s: int) -> None:
    """Forward or back, so many seconds after the start."""
    assert parse_drill(f"clock:{step_s}@{start_s}") == Drill(clock_step_s=step_s, clock_start_s=start_s)


@pytest.mark.parametrize(
    "text", ["", "crash", "crash:nowhere", "crash:in_commit:0", "crash:in_commit:-1", "clock:5", "clock:@5", "hang@30"]
)
def test_what_is_no_drill_says_what_is(text: str) -> None:
    """With all the points."""
    with pytest.raises(DrillSpecError, match="is not a drill") as caught:
        parse_drill(text)
    assert all(point in str(caught.value) for point in POINTS)


@pytest.mark.parametrize(
    ("text", "ours"), [("crash:x", True), ("clock:1@1", True), ("slow:200", False), ("hang", False)]
)
def test_faults_of_the_model_are_not_ours(text: str, ours: bool) -> None:
    """Both go through `--inject`."""
    assert is_drill(text) is ours


def test_the_signal_is_sent_at_its_passage_and_never_again(sent: Sent) -> None:
    """Other points are not counted."""
    passages = Passages(parse_drill("crash:after_poll:2"))
    told = []
    for point in ("after_poll", "after_produce", "after_poll", "after_poll"):
        passages.at(point)
        told.append(len(sent.signals))
    assert (told, sent.signals) == ([0, 0, 1, 1], [signal.SIGKILL])


def test_within_a_commit_it_comes_at_a_random_moment(sent: Sent, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not on the thread that commits: the call must be on its way."""
    monkeypatch.setattr(drills, "IN_COMMIT_S_MAX", 0.001)
    Passages(parse_drill("freeze:in_commit")).at("in_commit")
    assert sent.any.wait(10)
    assert sent.signals == [signal.SIGSTOP]


def test_wall_time_jumps_once(sent: Sent) -> None:
    """From the moment that was named on, and durations do not notice."""
    clock = FakeClock()
    stepped, at = prepare(parse_drill("clock:-3600@5"), clock)
    assert (stepped.now_ms(), at) == (START_MS, nowhere)
    clock.sleep(4.999)
    assert stepped.now_ms() == START_MS + 4999
    clock.sleep(0.001)
    assert stepped.now_ms() == START_MS + 5000 - 3_600_000
    assert stepped.monotonic() == clock.monotonic()
    assert sent.signals == []


def test_a_stepped_clock_sleeps_as_the_other() -> None:
    """Time passes for both."""
    clock = FakeClock()
    SteppedClock(clock, 10, 0.0).sleep(2.0)
    assert clock.seconds == FakeClock().seconds + 2.0


def test_without_a_drill_nothing_happens() -> None:
    """The clock is the process's, and every point is nowhere."""
    clock = FakeClock()
    assert prepare(None, clock) == (clock, nowhere)


def test_a_signal_leaves_the_clock_alone(sent: Sent) -> None:
    """And is sent through what `prepare` gives."""
    clock = FakeClock()
    found, at = prepare(parse_drill("crash:in_restore"), clock)
    at("in_restore")
    assert (found, sent.signals) == (clock, [signal.SIGKILL])


def test_a_point_lies_on_the_scorers_way() -> None:
    """Before each call; what the scorer says is passed through."""
    passed: list[str] = []
    scorer = PassingScorer(RulesOnly("bad_model"), passed.append)
    verdicts = scorer.score(np.zeros((2, 5)), np.array([0.3, 0.9]))
    assert (verdicts.scores.tolist(), verdicts.fallback_reasons) == ([0.3, 0.9], ["bad_model"] * 2)
    assert scorer.reasons(np.zeros((1, 5))) == [[]]
    assert passed == ["in_inference"]

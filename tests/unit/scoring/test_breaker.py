"""The breaker opens on the failure rate, stays open for its time, probes small, and closes after good probes."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from scoring.breaker import Breaker, BreakerSettings, BreakerState, Transition

CLOSED, HALF_OPEN, OPEN = BreakerState.CLOSED, BreakerState.HALF_OPEN, BreakerState.OPEN


class Bench:
    """A breaker with a clock that the test sets, and what it told."""

    def __init__(self, **changes: float) -> None:
        self.now = 0.0
        self.told: list[Transition] = []
        self.settings = BreakerSettings(**changes)  # type: ignore[arg-type]
        self.breaker = Breaker(self.settings, lambda: self.now, self.told.append)

    def calls(self, outcomes: str, elapsed_ms: float = 1) -> None:
        """`+` is a good call, `-` a bad one."""
        for outcome in outcomes:
            assert self.breaker.admit(1) == 1
            self.breaker.record(good=outcome == "+", elapsed_ms=elapsed_ms)


def test_fewer_than_min_calls_do_not_open() -> None:
    """Four failures are too few to judge by, with five calls as the minimum."""
    bench = Bench()
    bench.calls("----")
    assert bench.breaker.state is CLOSED


def test_opens_at_the_rate() -> None:
    """Half of the calls failed: open, with nothing admitted."""
    bench = Bench(min_calls=6)
    bench.calls("+-+-+-")
    assert bench.breaker.state is OPEN
    assert bench.breaker.admit(100) == 0


def test_stays_closed_below_the_rate() -> None:
    """Failures under the rate are lived with."""
    bench = Bench()
    bench.calls("++-" * 50)
    assert bench.breaker.state is CLOSED


def test_calls_before_the_window_are_forgotten() -> None:
    """Only the last `window` calls count."""
    bench = Bench(window=10)
    bench.calls("+" * 1000 + "-" * 5)
    assert bench.breaker.state is OPEN


def test_slow_calls_count_as_failed() -> None:
    """A call past `slow_ms` is bad although it answered; one exactly at it is not."""
    bench = Bench(slow_ms=50)
    bench.calls("+" * 20, elapsed_ms=50)
    assert bench.breaker.state is CLOSED
    bench.calls("+" * 10, elapsed_ms=50.1)
    assert bench.breaker.state is OPEN


def test_min_calls_beyond_the_window_still_opens() -> None:
    """A window smaller than the minimum is judged when it is full."""
    bench = Bench(window=3, min_calls=100)
    bench.calls("---")
    assert bench.breaker.state is OPEN


def test_probe_is_small_and_comes_when_the_time_is_up() -> None:
    """After `open_s` a few records are admitted, not before."""
    bench = Bench()
    bench.calls("-----")
    bench.now = 4.999
    assert bench.breaker.admit(2000) == 0
    bench.now = 5
    assert bench.breaker.admit(2000) == 16
    assert bench.breaker.state is HALF_OPEN


def test_empty_batch_is_no_probe() -> None:
    """Nothing to score neither probes nor changes the state."""
    bench = Bench()
    bench.calls("-----")
    bench.now = 5
    assert bench.breaker.admit(0) == 0
    assert bench.breaker.state is OPEN


def test_closes_after_good_probes() -> None:
    """Three good probes in a row, and everything is admitted again."""
    bench = Bench()
    bench.calls("-----")
    bench.now = 5
    bench.calls("++")
    assert bench.breaker.state is HALF_OPEN
    bench.calls("+")
    assert bench.breaker.admit(2000) == 2000


def test_one_bad_probe_opens_for_twice_the_time_up_to_the_limit() -> None:
    """Open times double from `open_s` to `max_open_s`."""
    bench = Bench(max_open_s=12)
    bench.calls("-----")
    for open_s in (5, 10, 12, 12):
        assert bench.told[-1].open_s == open_s
        bench.now += open_s
        bench.calls("+-")
        assert bench.breaker.state is OPEN


def test_open_time_starts_anew_after_closing() -> None:
    """Once closed, the next outage is met as the first one."""
    bench = Bench()
    bench.calls("-----")
    bench.now = 5
    bench.calls("-")
    bench.now = 15
    bench.calls("+++-----")
    assert bench.told[-1].open_s == 5


def test_old_failures_do_not_count_after_closing() -> None:
    """A breaker that closed begins with an empty window."""
    bench = Bench()
    bench.calls("-----")
    bench.now = 5
    bench.calls("+++----")
    assert bench.breaker.state is CLOSED


def test_another_model_is_probed_at_once() -> None:
    """A newly promoted model does not sit out its predecessor's time."""
    bench = Bench()
    bench.calls("-----")
    bench.breaker.model_changed()
    assert bench.breaker.admit(2000) == 16


def test_another_model_does_not_inherit_failures() -> None:
    """The window belongs to the model that filled it."""
    bench = Bench()
    bench.calls("----")
    bench.breaker.model_changed()
    bench.calls("----")
    assert bench.breaker.state is CLOSED


def test_transitions_are_told_with_reason() -> None:
    """Each change of state is told once, in order."""
    bench = Bench()
    bench.calls("-----")
    bench.now = 5
    bench.calls("+++")
    assert [(t.before, t.after) for t in bench.told] == [(CLOSED, OPEN), (OPEN, HALF_OPEN), (HALF_OPEN, CLOSED)]
    assert bench.told[0].reason == "5 of the last 5 calls failed or were slow"


class BreakerMachine(RuleBasedStateMachine):
    """Any history of time, calls and models, checked against the rules written down a second time, naively."""

    @initialize(
        failure_rate=st.floats(0.1, 1),
        window=st.integers(1, 12),
        min_calls=st.integers(1, 12),
        open_s=st.integers(1, 10),
        max_open_s=st.integers(1, 40),
        probe_calls=st.integers(1, 4),
    )
    def begin(self, **changes: float) -> None:
        self.bench = Bench(probe_records=8, **changes)
        self.history: list[bool] = []  # bad or not, since it closed last
        self.probes = 0
        self.open_until = 0.0
        self.open_s = min(self.bench.settings.open_s, self.bench.settings.max_open_s)
        self.expected = CLOSED

    @rule(seconds=st.integers(0, 30))
    def wait(self, seconds: int) -> None:
        self.bench.now += seconds

    @rule(n_rows=st.integers(0, 50), good=st.booleans(), elapsed_ms=st.sampled_from([1.0, 50.0, 51.0]))
    def call(self, n_rows: int, good: bool, elapsed_ms: float) -> None:
        limits = self.bench.settings
        if self.expected is OPEN and n_rows and self.bench.now >= self.open_until:
            self.expected, self.probes = HALF_OPEN, 0
        allowed = {CLOSED: n_rows, HALF_OPEN: min(n_rows, 8), OPEN: 0}[self.expected]
        assert self.bench.breaker.admit(n_rows) == allowed
        if not allowed:
            return
        self.bench.breaker.record(good=good, elapsed_ms=elapsed_ms)
        bad = not good or elapsed_ms > 50
        if self.expected is HALF_OPEN and bad:
            self._opened(min(self.open_s * 2, limits.max_open_s))
        elif self.expected is HALF_OPEN:
            self.probes += 1
            if self.probes == limits.probe_calls:
                self.expected, self.history = CLOSED, []
                self.open_s = min(limits.open_s, limits.max_open_s)
        else:
            self.history.append(bad)
            recent = self.history[-limits.window :]
            if len(recent) >= min(limits.min_calls, limits.window) and sum(recent) / len(recent) >= limits.failure_rate:
                self._opened(self.open_s)

    def _opened(self, open_s: float) -> None:
        self.expected, self.open_s, self.open_until = OPEN, open_s, self.bench.now + open_s

    @precondition(lambda self: hasattr(self, "bench"))
    @rule()
    def promote(self) -> None:
        self.bench.breaker.model_changed()
        self.history, self.probes = [], 0
        self.open_s = min(self.bench.settings.open_s, self.bench.settings.max_open_s)
        if self.expected is OPEN:
            self.expected = HALF_OPEN

    @invariant()
    def state_is_as_expected(self) -> None:
        if hasattr(self, "bench"):
            assert self.bench.breaker.state is self.expected

    @invariant()
    def transitions_form_one_path(self) -> None:
        if hasattr(self, "bench"):
            path = [CLOSED, *(t.after for t in self.bench.told)]
            assert [t.before for t in self.bench.told] == path[:-1]
            assert path[-1] is self.bench.breaker.state


BreakerMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=60, deadline=None)
TestBreakerMachine = BreakerMachine.TestCase

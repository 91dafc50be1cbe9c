"""Injected faults do to a model call what real ones do, for as long as they last."""

from __future__ import annotations

import math
import threading

import numpy as np
import pytest
from numpy.typing import NDArray

from scoring.deadline import Rows
from scoring.faults import Fault, FaultInjector, FaultKind, FaultSpecError, InjectedError, parse_fault

ROWS = np.ones((4, 5), dtype=np.float32)


def predict(rows: Rows) -> NDArray[np.float64]:
    return rows[:, 0].astype(np.float64)


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("slow:200", Fault(FaultKind.SLOW, 200)),
        ("slow=12.5ms", Fault(FaultKind.SLOW, 12.5)),
        ("slow:10x@signal", Fault(FaultKind.SLOW, 0, on_signal=True, slow_times=10)),
        ("HANG", Fault(FaultKind.HANG)),
        ("raise@10", Fault(FaultKind.RAISE, 0, 10)),
        ("nan@1.5+3", Fault(FaultKind.NAN, 0, 1.5, 3)),
        (" unavailable@30s+10s ", Fault(FaultKind.UNAVAILABLE, 0, 30, 10)),
        ("slow:5@0+1", Fault(FaultKind.SLOW, 5, 0, 1)),
        ("hang@signal", Fault(FaultKind.HANG, on_signal=True)),
    ],
)
def test_faults_are_read(text: str, fault: Fault) -> None:
    """A kind, milliseconds for `slow`, and a span."""
    assert parse_fault(text) == fault


@pytest.mark.parametrize(
    "text", ["", "explode", "slow", "hang:20", "slow:-1", "slow:1e3", "slow:0.5x", "nan@", "nan+3", "nan@signal+3"]
)
def test_what_is_no_fault_is_refused_with_what_is(text: str) -> None:
    """The message repeats the text and says what is allowed."""
    with pytest.raises(FaultSpecError, match="must be slow:MS") as refused:
        parse_fault(text)
    assert repr(text) in str(refused.value)


def test_without_a_fault_calls_pass() -> None:
    """An injector that has nothing to inject changes nothing."""
    assert FaultInjector(Clock()).wrap(predict)(ROWS).tolist() == [1, 1, 1, 1]


def test_nan_answers_nan() -> None:
    """Each row gets a NaN, as from a broken model."""
    assert np.isnan(FaultInjector(Clock(), parse_fault("nan")).wrap(predict)(ROWS)).all()


@pytest.mark.parametrize("kind", ["raise", "unavailable"])
def test_failing_calls_raise(kind: str) -> None:
    """The call raises at once."""
    with pytest.raises(InjectedError, match="injected"):
        FaultInjector(Clock(), parse_fault(kind)).wrap(predict)(ROWS)


def test_slow_calls_answer_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer is the model's, after the given milliseconds."""
    waits: list[float | None] = []
    monkeypatch.setattr(threading.Event, "wait", lambda _, timeout=None: waits.append(timeout))
    assert FaultInjector(Clock(), parse_fault("slow:200")).wrap(predict)(ROWS).tolist() == [1, 1, 1, 1]
    assert waits == [0.2]


def test_calls_that_are_ten_times_slow_take_ten_times_their_own_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A call of 3 ms waits 27 ms more; one of 5 ms would wait 45."""
    clock, waits = Clock(), list[float | None]()

    def three_ms(rows: Rows) -> NDArray[np.float64]:
        clock.now += 0.003
        return predict(rows)

    monkeypatch.setattr(threading.Event, "wait", lambda _, timeout=None: waits.append(timeout))
    assert FaultInjector(clock, parse_fault("slow:10x")).wrap(three_ms)(ROWS).tolist() == [1, 1, 1, 1]
    assert waits == [pytest.approx(0.027)]


def test_hanging_calls_return_when_the_fault_is_lifted() -> None:
    """A hung call comes back with an answer when the drill is over."""
    injector = FaultInjector(Clock(), parse_fault("hang"))
    answers: list[float] = []
    call = threading.Thread(target=lambda: answers.extend(injector.wrap(predict)(ROWS)), daemon=True)
    call.start()
    call.join(0.02)
    assert call.is_alive()
    injector.set(None)
    call.join(10)
    assert answers == [1, 1, 1, 1]


def test_fault_keeps_to_its_span() -> None:
    """Before its start and after its end calls pass."""
    clock = Clock()
    faulty = FaultInjector(clock, parse_fault("raise@10+5")).wrap(predict)
    failed = []
    for now in (100, 109.9, 110, 114.9, 115, math.inf):
        clock.now = now
        try:
            faulty(ROWS)
        except InjectedError:
            failed.append(now)
    assert failed == [110, 114.9]


def test_faults_can_be_set_while_running() -> None:
    """A drill begins and ends without a restart; the span counts from then."""
    clock = Clock()
    injector = FaultInjector(clock)
    faulty = injector.wrap(predict)
    faulty(ROWS)
    injector.set(parse_fault("raise@0+5"))
    with pytest.raises(InjectedError):
        faulty(ROWS)
    injector.set(None)
    faulty(ROWS)


def test_a_fault_on_signal_lasts_from_one_to_the_next() -> None:
    """It waits, begins, ends, and can begin again."""
    injector = FaultInjector(Clock(), parse_fault("nan@signal"))
    faulty = injector.wrap(predict)
    met = []
    for _ in range(4):
        met.append(bool(np.isnan(faulty(ROWS)).all()))
        injector.toggle()
    assert met == [False, True, False, True]


def test_a_signal_changes_nothing_where_no_fault_waits_for_it() -> None:
    """Without a drill there is nothing to begin."""
    injector = FaultInjector(Clock())
    injector.toggle()
    assert injector.wrap(predict)(ROWS).tolist() == [1, 1, 1, 1]

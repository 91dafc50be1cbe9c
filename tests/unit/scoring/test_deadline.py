"""A deadline holds whatever the call does, and what does not come back is bounded."""

from __future__ import annotations

import ctypes
import gc
import subprocess
import sys
import textwrap
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from scoring.deadline import LANES_MAX, AbandonedCalls, DeadlineError, DeadlineRunner, Predict, Rows

ROWS = np.zeros((3, 5), dtype=np.float32)
SHORT_S = 0.01
LONG_S = 10.0


def first_column(rows: Rows) -> NDArray[np.float64]:
    return rows[:, 0].astype(np.float64)


class Gate:
    """A model whose calls hang until the gate opens; counts them, and never runs two at once on one session."""

    def __init__(self) -> None:
        self.opened = threading.Event()
        self.started = 0
        self.made = 0

    def session(self) -> Predict:
        self.made += 1
        running = threading.Lock()

        def predict(rows: Rows) -> NDArray[np.float64]:
            assert running.acquire(blocking=False), "one session, two calls"
            self.started += 1
            self.opened.wait(LONG_S)
            running.release()
            return first_column(rows)

        return predict


@contextmanager
def running(
    first: Predict, fresh: Callable[[], Predict], abandoned: AbandonedCalls | None = None
) -> Iterator[DeadlineRunner]:
    runner = DeadlineRunner(first, fresh, abandoned or AbandonedCalls())
    try:
        yield runner
    finally:
        runner.close()


def eventually(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + LONG_S
    while not condition():
        assert time.monotonic() < end, "it never came to be"
        time.sleep(0.001)


def never_made() -> Predict:
    raise AssertionError("no fresh session was needed")


def miss(runner: DeadlineRunner) -> str:
    with pytest.raises(DeadlineError) as missed:
        runner.call(ROWS, SHORT_S)
    return str(missed.value)


def free(runner: DeadlineRunner, n_lanes: int) -> Callable[[], bool]:
    return lambda: len(runner._idle) == n_lanes


def test_answer_in_time_is_given() -> None:
    """A call that keeps its deadline is as if it were made directly."""
    with running(first_column, never_made) as runner:
        assert runner.call(ROWS + 7, LONG_S).tolist() == [7, 7, 7]


def test_calls_follow_each_other_on_one_thread() -> None:
    """The session is never used by two threads."""
    threads: set[int] = set()

    def predict(rows: Rows) -> NDArray[np.float64]:
        threads.add(threading.get_ident())
        return first_column(rows)

    with running(predict, never_made) as runner:
        for _ in range(100):
            runner.call(ROWS, LONG_S)
    assert len(threads) == 1


def test_what_the_model_raises_is_raised_to_the_caller() -> None:
    """A failing call is not a missed deadline, and the session serves on."""

    def predict(rows: Rows) -> NDArray[np.float64]:
        if rows[0, 0]:
            raise ValueError("bad rows")
        return first_column(rows)

    with running(predict, never_made) as runner:
        with pytest.raises(ValueError, match="bad rows"):
            runner.call(ROWS + 1, LONG_S)
        assert runner.call(ROWS, LONG_S).tolist() == [0, 0, 0]


def test_hanging_call_is_left_at_its_deadline() -> None:
    """The caller goes on although the call does not come back."""
    gate = Gate()
    with running(gate.session(), gate.session) as runner:
        assert miss(runner) == "no answer within 10 ms"
        gate.opened.set()


def test_call_that_hangs_inside_c_is_left_at_its_deadline() -> None:
    """Code that Python cannot interrupt does not hold the caller either."""
    libc = ctypes.CDLL(None)

    def predict(rows: Rows) -> NDArray[np.float64]:
        libc.usleep(900_000)
        return first_column(rows)

    with running(predict, lambda: first_column) as runner:
        begun = time.monotonic()
        miss(runner)
        assert time.monotonic() - begun < 0.8


def test_late_answer_is_never_given_to_a_later_call() -> None:
    """What an abandoned call answers belongs to nobody."""
    gate = Gate()
    with running(gate.session(), lambda: first_column) as runner:
        miss(runner)
        eventually(free(runner, 1))  # the fresh session
        gate.opened.set()
        eventually(free(runner, 2))
        assert [runner.call(ROWS + n, LONG_S)[0] for n in range(10)] == list(range(10))


def test_fresh_session_serves_while_one_is_out() -> None:
    """A single hung call does not take the model out of service."""
    gate = Gate()
    with running(gate.session(), lambda: first_column) as runner:
        miss(runner)
        eventually(free(runner, 1))
        assert runner.call(ROWS + 1, LONG_S).tolist() == [1, 1, 1]
        gate.opened.set()


def test_sessions_of_a_model_are_bounded() -> None:
    """With all sessions out a call is refused at once, and no further session is made."""
    gate = Gate()
    with running(gate.session(), gate.session) as runner:
        for _ in range(LANES_MAX):
            eventually(free(runner, 1))
            miss(runner)
        for _ in range(5):
            assert miss(runner) == "no session is free: earlier calls have not returned"
        assert (gate.made, gate.started) == (LANES_MAX, LANES_MAX)
        gate.opened.set()


def test_session_is_used_again_when_its_call_returned() -> None:
    """Sessions come back into service by themselves."""
    gate = Gate()
    with running(gate.session(), gate.session) as runner:
        for _ in range(LANES_MAX):
            eventually(free(runner, 1))
            miss(runner)
        gate.opened.set()
        eventually(free(runner, LANES_MAX))
        assert runner.call(ROWS, LONG_S).tolist() == [0, 0, 0]


def test_abandoned_calls_of_all_models_are_bounded() -> None:
    """At the process's limit no model's call is started, and one that returns makes room."""
    gate = Gate()
    abandoned = AbandonedCalls(limit=1)
    with running(gate.session(), gate.session, abandoned) as hung, running(first_column, never_made, abandoned) as good:
        miss(hung)
        assert "the limit" in miss(good)
        gate.opened.set()
        eventually(lambda: abandoned.count == 0)
        assert good.call(ROWS, LONG_S).tolist() == [0, 0, 0]


def test_fresh_session_that_cannot_be_made_is_missed_only() -> None:
    """Failing to open another session costs that session, nothing else."""
    gate = Gate()

    def fails() -> Predict:
        raise MemoryError

    with running(gate.session(), fails) as runner:
        miss(runner)
        assert "no session is free" in miss(runner)
        gate.opened.set()
        eventually(free(runner, 1))


def test_waiting_sessions_keep_no_batch_alive() -> None:
    """Rows and answers are let go when the call is over."""
    with running(first_column, never_made) as runner:
        rows = ROWS + 1
        kept = weakref.ref(rows)
        runner.call(rows, LONG_S)
        del rows
        eventually(lambda: gc.collect() >= 0 and kept() is None)


def test_closed_model_ends_its_threads() -> None:
    """A model that is replaced leaves no thread behind, once its calls returned."""
    gate = Gate()
    abandoned = AbandonedCalls()
    with running(gate.session(), lambda: first_column, abandoned) as runner:
        miss(runner)
        assert abandoned.count == 1
    gate.opened.set()
    eventually(lambda: not any(lane.thread.is_alive() for lane in runner._lanes))
    assert abandoned.count == 0


ENDLESS = """
import os, sys, time
import numpy as np
import scoring.model
import onnxruntime
from scoring.deadline import AbandonedCalls, DeadlineError, DeadlineRunner

session = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
runner = DeadlineRunner(lambda rows: session.run(None, {"n": np.array(2**62)})[0], lambda: None, AbandonedCalls())
try:
    runner.call(np.zeros((1, 5), dtype=np.float32), 0.05)
except DeadlineError:
    print("missed", runner._abandoned.count, flush=True)
os._exit(6)  # past the runtime's destructors, which abort the process under a running call
"""


def endless_model(path: Path) -> Path:
    """An ONNX model that counts to 2**62 inside the runtime."""
    from onnx import TensorProto, helper, save_model

    value = helper.make_tensor_value_info
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["keep_in"], ["keep"]),
            helper.make_node("Add", ["sum_in", "sum_in"], ["sum"]),
        ],
        "body",
        [
            value("i", TensorProto.INT64, []),
            value("keep_in", TensorProto.BOOL, []),
            value("sum_in", TensorProto.FLOAT, []),
        ],
        [value("keep", TensorProto.BOOL, []), value("sum", TensorProto.FLOAT, [])],
    )
    graph = helper.make_graph(
        [helper.make_node("Loop", ["n", "yes", "zero"], ["end"], body=body)],
        "endless",
        [value("n", TensorProto.INT64, [])],
        [value("end", TensorProto.FLOAT, [])],
        [
            helper.make_tensor("yes", TensorProto.BOOL, [], [True]),
            helper.make_tensor("zero", TensorProto.FLOAT, [], [0.0]),
        ],
    )
    model = helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 17)])
    save_model(model, path)
    return path


def test_process_ends_while_a_call_hangs_in_the_runtime(tmp_path: Path) -> None:
    """An endless loop inside ONNX Runtime neither holds the caller nor keeps the process from ending with its code."""
    model = endless_model(tmp_path / "endless.onnx")
    ended = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(ENDLESS), str(model)],
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (ended.returncode, ended.stdout.strip()) == (6, "missed 1"), ended.stderr

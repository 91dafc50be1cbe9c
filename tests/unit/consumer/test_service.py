"""How an instance ends when it is asked to: soon, whatever hangs."""

from __future__ import annotations

import json
import threading
import time
import urllib.error
import urllib.request
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
from structlog.testing import capture_logs

from consumer import service
from consumer.assignment import Assignment
from consumer.service import Service
from consumer.serving import Serving
from runtime.clock import SystemClock
from runtime.config import Http, Model, Settings
from runtime.errors import DeadLetterLimitError, KafkaUnavailableError
from runtime.local_process import free_ports
from scoring.policy import Policy
from tests.kafka import eventually

FOREVER_S = 30.0


class Loop:
    """Has a batch under way that is committed when `commits` says so."""

    def __init__(self, commits: Event) -> None:
        self._commits = commits
        self.turns = 0
        self.assigned_once = False
        self.assignment = Assignment()
        self.rejoined: list[list[int]] = []
        self.failure: Exception | None = None

    def rejoin(self, stalled: list[int]) -> None:
        self.rejoined.append(stalled)

    def turn(self) -> None:
        self.turns += 1
        if self.failure is not None:
            raise self.failure
        time.sleep(0.001)

    def finish(self, _deadline_s: float) -> bool:
        return self._commits.wait(FOREVER_S)


class Parts:
    """A connected instance that leaves its group when `leaves` says so."""

    def __init__(self, commits: Event, leaves: Event) -> None:
        self.loop, self._leaves = Loop(commits), leaves
        self.source = self.lag = self
        self.stalled: deque[list[int]] = deque()

    def subscribe(self, _listener: object) -> None:
        """Joins nothing."""

    def start(self) -> None:
        """Measures nothing."""

    def take_stalled(self) -> list[int]:
        return self.stalled.popleft() if self.stalled else []

    def close(self) -> None:
        self._leaves.wait(FOREVER_S)


def _ended(monkeypatch: pytest.MonkeyPatch, directory: Path, parts: Parts | None) -> tuple[int, float, dict[str, Any]]:
    """Runs an instance that is asked to stop once it is up: exit code, seconds, last log line."""
    hanging, asked_s = Event(), 0.0

    def connect(*_: Any, **__: Any) -> Parts:
        if parts is None:
            hanging.wait(FOREVER_S)
            raise KafkaUnavailableError("too late")
        return parts

    def asked() -> bool:
        nonlocal asked_s
        if parts is not None and (not parts.loop.turns or parts.stalled):
            return False
        asked_s = asked_s or time.monotonic()
        return True

    monkeypatch.setattr(service, "connect", connect)
    monkeypatch.setattr(service, "COMMIT_GRACE_S", 0.2)
    monkeypatch.setattr(service, "LEAVE_GRACE_S", 0.1)
    settings = Settings(http=Http(port=0), model=Model(directory=directory))
    one = Service(settings, Serving(settings, SystemClock()), Policy.load("default"), stop_asked=asked)
    with capture_logs() as logs:
        code = one.run()
        told = dict(logs[-1])
        hanging.set()
        if parts is None:  # what its thread says belongs to this test
            for thread in threading.enumerate():
                if thread.name == "loop":
                    thread.join(FOREVER_S)
    return code, time.monotonic() - asked_s, told


def _set() -> Event:
    event = Event()
    event.set()
    return event


def test_it_ends_while_it_waits_for_kafka(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Before Kafka is reached nothing is uncommitted, and nothing waited for."""
    code, seconds, last = _ended(monkeypatch, tmp_path, None)
    assert (code, last["event"], last["uncommitted"]) == (0, "stopped", False)
    assert seconds < 5.0


def test_it_says_what_could_not_be_committed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A commit that does not come in time is given up, and the log says so."""
    commits = Event()
    code, seconds, last = _ended(monkeypatch, tmp_path, Parts(commits, _set()))
    commits.set()
    assert (code, last["event"], last["uncommitted"], last["log_level"]) == (0, "stopped", True, "warning")
    assert seconds < 5.0


def test_it_does_not_wait_for_a_group_that_cannot_be_left(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """All is committed, only the broker does not let it go: that is no loss, and the log tells what follows."""
    leaves = Event()
    code, seconds, last = _ended(monkeypatch, tmp_path, Parts(_set(), leaves))
    leaves.set()
    assert (code, last["uncommitted"], last["next"]) == (0, False, service.NOT_LEFT)
    assert seconds < 5.0


def test_it_ends_cleanly(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Everything committed, the group left: nothing is left to do."""
    code, _, last = _ended(monkeypatch, tmp_path, Parts(_set(), _set()))
    assert (code, last["uncommitted"], last["next"]) == (0, False, "nothing")


@pytest.mark.parametrize("leaves", [True, False])
def test_what_ends_it_is_told_whether_or_not_the_group_can_be_left(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, leaves: bool
) -> None:
    """Its exit code stands, though a request to stop comes while it is leaving."""
    left = Event()
    parts = Parts(_set(), _set() if leaves else left)
    parts.loop.failure = DeadLetterLimitError("a flood")
    code, seconds, last = _ended(monkeypatch, tmp_path, parts)
    left.set()
    assert (code, last["event"], last["reason"]) == (4, "ended", "a flood")
    assert seconds < 5.0


def test_a_fault_in_leaving_does_not_hide_the_cause(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It is logged, and the exit code is that of the cause."""
    parts = Parts(_set(), _set())
    parts.loop.failure = DeadLetterLimitError("a flood")

    def broken() -> None:
        raise RuntimeError("the client is broken")

    monkeypatch.setattr(parts, "close", broken)
    assert _ended(monkeypatch, tmp_path, parts)[0] == 4


@contextmanager
def _running(monkeypatch: pytest.MonkeyPatch, directory: Path, parts: Parts) -> Iterator[str]:
    """An instance that runs; gives the address of its endpoint."""
    stop = Event()
    monkeypatch.setattr(service, "connect", lambda *_, **__: parts)
    (port,) = free_ports(1)
    settings = Settings(http=Http(port=port), model=Model(directory=directory))
    one = Service(settings, Serving(settings, SystemClock()), Policy.load("default"), stop_asked=stop.is_set)
    thread = Thread(target=one.run)
    thread.start()
    eventually(lambda: parts.loop.turns)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        stop.set()
        thread.join(FOREVER_S)


def _readiness(address: str) -> tuple[int, list[str]]:
    try:
        with urllib.request.urlopen(f"{address}/readyz", timeout=5) as answer:
            return answer.status, json.load(answer)["reasons"]
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)["reasons"]


def test_it_is_ready_once_a_first_assignment_is_restored(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Before it is assigned, and while its first partitions wait for their state, it says what it waits for."""
    parts = Parts(_set(), _set())
    with _running(monkeypatch, tmp_path, parts) as address:
        assert _readiness(address) == (503, ["no partitions assigned yet"])
        parts.loop.assignment.add([3, 1])
        parts.loop.assigned_once = True
        assert _readiness(address) == (503, ["restoring partitions [1, 3]"])
        for partition in parts.loop.assignment.snapshot():
            partition.activate(0, {})
        eventually(lambda: _readiness(address) == (200, []))


def test_it_is_ready_with_nothing_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An instance more than there are partitions is ready to take over."""
    parts = Parts(_set(), _set())
    with _running(monkeypatch, tmp_path, parts) as address:
        parts.loop.assigned_once = True
        eventually(lambda: _readiness(address) == (200, []))


def test_it_stays_ready_while_it_takes_over_more(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Later partitions are restored beside the work on the others."""
    parts = Parts(_set(), _set())
    with _running(monkeypatch, tmp_path, parts) as address:
        parts.loop.assigned_once = True
        eventually(lambda: _readiness(address) == (200, []))
        parts.loop.assignment.add([5])
        turns = parts.loop.turns
        eventually(lambda: parts.loop.turns > turns + 1)
        assert _readiness(address) == (200, [])


def test_what_stalls_makes_it_join_anew(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Between two turns, once each time that it is told."""
    commits = Event()
    commits.set()
    parts = Parts(commits, commits)
    parts.stalled += [[3], [], [4, 5]]
    _ended(monkeypatch, tmp_path, parts)
    assert parts.loop.rejoined == [[3], [4, 5]]

"""What the loop counts as progress."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import pytest

from consumer import loop as loop_module
from consumer.aborts import Aborts
from consumer.loop import REVOKE_WAIT_S, Loop, _InFlight
from consumer.telemetry import STUCK_AFTER_S


def test_waiting_for_a_commit_in_a_rebalance_is_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the broker away a rebalance waits longer than the loop may be silent: it says that it goes on."""
    now_s, turns = 0.0, [0.0]

    def wait(_futures: Iterable[Future[Any]], timeout_s: float) -> None:
        nonlocal now_s
        now_s += timeout_s

    telemetry = SimpleNamespace(turned=lambda _: turns.append(now_s), rebalanced=lambda *_: None)
    anything: Any = SimpleNamespace(rewind=lambda _: None, request=lambda _: None, give_up_stuck=lambda: None)
    clock: Any = SimpleNamespace(monotonic=lambda: now_s)
    loop = Loop(
        source=anything,
        transactions=anything,
        restorer=anything,
        processor=anything,
        telemetry=telemetry,
        clock=clock,
        guard=anything,
        gates=anything,
        controller=anything,
        purge=anything,
        limits=Aborts(),
    )
    batch: Any = SimpleNamespace(next_offsets={})
    loop._in_flight = _InFlight(batch, Future(), 0.0)
    monkeypatch.setattr(loop_module, "wait", wait)
    loop.revoked([0])
    assert now_s == pytest.approx(REVOKE_WAIT_S)
    assert max(later - earlier for earlier, later in zip(turns, [*turns[1:], now_s], strict=True)) < STUCK_AFTER_S

"""What the client does not give though the brokers have it, and what only looks like that."""

from __future__ import annotations

import pytest

from consumer.stalls import DRAINED_S, PATIENCE_MAX_S, PATIENCE_S, Stalls
from tests.unit.consumer.fakes import FakeClock

ALWAYS = 2 * PATIENCE_MAX_S


class Bench:
    """Asked every second."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.stalls = Stalls(self.clock)

    def found_after_s(self, position: int, end: int | None, *, for_s: float, moves: bool = False) -> float | None:
        """When partition 0 is found first, if it is."""
        for second in range(int(for_s)):
            self.clock.sleep(1.0)
            positions = {0: position + (second if moves else 0), 1: 5}
            ends = {1: 5} if end is None else {0: end, 1: 5}
            if self.stalls.find(positions, ends, self.clock.monotonic()) == [0]:
                return second + 1
        return None


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_what_stands_still_before_its_end_stalls(bench: Bench) -> None:
    """After a while."""
    assert bench.found_after_s(3, 8, for_s=ALWAYS) == PATIENCE_S + 2


def test_what_is_caught_up_does_not(bench: Bench) -> None:
    """However long nothing comes."""
    assert bench.found_after_s(8, 8, for_s=ALWAYS) is None


def test_what_moves_does_not(bench: Bench) -> None:
    """However far it is behind."""
    assert bench.found_after_s(3, 10_000, for_s=ALWAYS, moves=True) is None


def test_where_no_end_is_known_nothing_is(bench: Bench) -> None:
    """And the time begins anew when it is told again."""
    bench.found_after_s(3, 8, for_s=PATIENCE_S)
    bench.found_after_s(3, None, for_s=3)
    assert bench.found_after_s(3, 8, for_s=ALWAYS) == PATIENCE_S + 2


def test_a_client_that_may_hold_something_back_is_left_alone(bench: Bench) -> None:
    """It was full to its end: the records may wait behind others."""
    drained_s = bench.clock.monotonic()
    for _ in range(int(ALWAYS)):
        bench.clock.sleep(1.0)
        assert bench.stalls.find({0: 3}, {0: 8}, drained_s) == [] or bench.clock.monotonic() - drained_s <= DRAINED_S


def test_patience_doubles_until_all_is_caught_up(bench: Bench) -> None:
    """What is slow is not made slower by beginning anew all the time."""
    assert bench.found_after_s(3, 8, for_s=ALWAYS) == PATIENCE_S + 2
    assert bench.found_after_s(3, 8, for_s=ALWAYS) == 2 * PATIENCE_S + 2
    bench.found_after_s(8, 8, for_s=1)
    assert bench.found_after_s(3, 8, for_s=ALWAYS) == PATIENCE_S + 2

"""What the client does not give though the brokers have it, and what only looks like that."""

from __future__ import annotations

import pytest

from consumer.stalls import PATIENCE_MAX_S, PATIENCE_S, Stalls
from tests.unit.consumer.fakes import FakeClock

ALWAYS = 2 * PATIENCE_MAX_S


class Bench:
    """Asked every second, of partition 0 and of one that is caught up."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.stalls = Stalls(self.clock)
        self.hindered_s = 0.0

    def ask(self, position: int, end: int | None) -> dict[int, int]:
        self.clock.sleep(1.0)
        ends = {1: 5} if end is None else {0: end, 1: 5}
        return self.stalls.find({0: position, 1: 5}, ends, self.hindered_s)

    def found_after(self, position: int, end: int | None, *, for_s: float = ALWAYS) -> int | None:
        """At which ask partition 0 is found first, if it is."""
        for asked in range(int(for_s)):
            if self.ask(position, end):
                return asked + 1
        return None


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_what_stands_still_before_its_end_stalls(bench: Bench) -> None:
    """After a while; it is told where it stands."""
    assert bench.found_after(3, 8, for_s=PATIENCE_S + 1) is None
    assert bench.ask(3, 8) == {0: 3}


def test_what_is_caught_up_does_not(bench: Bench) -> None:
    """However long nothing comes."""
    assert bench.found_after(8, 8) is None


def test_what_moves_does_not(bench: Bench) -> None:
    """However far it is behind."""
    assert not any(bench.ask(position, 10_000) for position in range(int(ALWAYS)))


def test_where_no_end_is_told_nothing_is_found(bench: Bench) -> None:
    """Brokers that are away have nothing to give."""
    bench.ask(3, 8)
    assert bench.found_after(3, None) is None


def test_only_time_with_answers_counts(bench: Bench) -> None:
    """An ask that fails now and then does not hide a stall."""
    answers = [bench.ask(3, 8 if second % 2 else None) for second in range(int(3 * PATIENCE_S))]
    assert {0: 3} in answers
    assert answers.index({0: 3}) > PATIENCE_S + 2


def test_a_loop_that_is_hindered_is_left_alone(bench: Bench) -> None:
    """The records may wait in the client; and the time begins anew once it is not."""
    for _ in range(int(ALWAYS)):
        bench.hindered_s = bench.clock.monotonic()
        assert not bench.ask(3, 8)
    assert bench.found_after(3, 8) == PATIENCE_S


def test_patience_doubles_until_all_is_caught_up(bench: Bench) -> None:
    """What is slow is not made slower by beginning anew all the time."""
    assert bench.found_after(3, 8) == PATIENCE_S + 2
    assert bench.found_after(3, 8) == 2 * PATIENCE_S + 2
    bench.ask(8, 8)
    assert bench.found_after(3, 8) == PATIENCE_S + 2


def test_patience_is_as_before_once_nothing_was_found_for_twice_as_long(bench: Bench) -> None:
    """Under load something is always behind a little: the next stall is found as soon as the first."""
    assert bench.found_after(0, 10_000) == PATIENCE_S + 2
    moved = range(1, int(4 * PATIENCE_S) + 3)
    assert not any(bench.ask(position, 10_000) for position in moved)
    assert bench.found_after(moved[-1], 10_000) == PATIENCE_S + 1

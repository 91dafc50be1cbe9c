"""Of two instances with one id exactly one stays; a lone one always does."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from consumer.fencing import Fencing

TIMEOUT_S = 15.0
YOUNG_S = 1.0


def test_first_fencing_is_survived() -> None:
    """It may have been a twin that ends itself: the process begins anew."""
    assert not Fencing(TIMEOUT_S).must_end(100.0, YOUNG_S)


def test_second_fencing_within_a_minute_ends() -> None:
    """The twin is there to stay: exactly at 60 s it still counts."""
    fencing = Fencing(TIMEOUT_S)
    fencing.must_end(100.0, YOUNG_S)
    assert fencing.must_end(160.0, YOUNG_S)


def test_second_fencing_after_a_minute_is_survived() -> None:
    """Two restarts of a twin, far apart, are no fight over an id."""
    fencing = Fencing(TIMEOUT_S)
    fencing.must_end(100.0, YOUNG_S)
    assert not fencing.must_end(160.1, YOUNG_S)


def test_the_minute_begins_with_the_last_fencing() -> None:
    """One a minute and a half is never two within a minute, and then two are."""
    fencing = Fencing(TIMEOUT_S)
    assert [fencing.must_end(at_s, YOUNG_S) for at_s in (0.0, 90.0, 140.0)] == [False, False, True]


@given(st.lists(st.tuples(st.floats(0, 30), st.floats(TIMEOUT_S, 1e6)), max_size=20))
def test_a_timed_out_transaction_never_ends_a_lone_instance(fencings: list[tuple[float, float]]) -> None:
    """The coordinator fences a transaction that is as old as its timeout: that is no twin, however often it is."""
    fencing, now_s = Fencing(TIMEOUT_S), 0.0
    for pause_s, age_s in fencings:
        now_s += pause_s
        assert not fencing.must_end(now_s, age_s)


def test_a_time_out_between_is_not_counted() -> None:
    """It neither ends the process nor begins another minute."""
    fencing = Fencing(TIMEOUT_S)
    told = [fencing.must_end(at_s, age_s) for at_s, age_s in ((0.0, YOUNG_S), (50.0, TIMEOUT_S), (70.0, YOUNG_S))]
    assert told == [False, False, False]

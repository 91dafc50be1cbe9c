import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.times import MAX_MS, MIN_MS, format_rfc3339, parse_rfc3339


@given(st.integers(MIN_MS, MAX_MS))
def test_any_millisecond_comes_back_from_its_text(ms: int) -> None:
    """Formatting loses nothing over the whole range that the schema admits."""
    assert parse_rfc3339(format_rfc3339(ms)) == ms


def test_an_offset_counts() -> None:
    """The same moment in two zones is one number."""
    assert parse_rfc3339("2019-10-01T05:30:00+05:30") == parse_rfc3339("2019-10-01T00:00:00Z")


def test_finer_digits_are_cut_off_before_1970_too() -> None:
    """A fraction below the millisecond goes towards the past, never to the next millisecond."""
    assert parse_rfc3339("1969-12-31T23:59:59.9999Z") == -1


def test_lower_case_letters_are_rfc_3339() -> None:
    """RFC 3339 allows t and z in lower case."""
    assert parse_rfc3339("1970-01-01t00:00:01z") == 1000


@pytest.mark.parametrize("text", ["", "yesterday", "2025-13-01T00Z", "2025-01-01T00:00:00", "2025-01-01", "\ud800"])
def test_what_names_no_moment_is_refused(text: str) -> None:
    """A text without a date, a time and an offset names no moment."""
    with pytest.raises(ValueError):
        parse_rfc3339(text)


def test_an_offset_cannot_carry_a_time_out_of_range() -> None:
    """Year 1 in a zone ahead of UTC is year 0 in UTC, which no schema type holds."""
    with pytest.raises(ValueError, match="year 1"):
        parse_rfc3339("0001-01-01T00:00:00+01:00")

"""Cells of people's files are read kindly, and never guessed at."""

import pytest

from training import values


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("nan", "NaN or infinite"),
        ("-inf", "NaN or infinite"),
        ("1e999", "NaN or infinite"),
        ("-1", "negative"),
        ("2.5", "not a whole number"),
        ("2147483648", "not a whole number up to"),
        ("many", "not a number"),
    ],
)
def test_a_count_is_a_whole_number_or_a_complaint(text: str, complaint: str) -> None:
    """Each kind of wrong count has its own words, without the value."""
    with pytest.raises(ValueError, match=complaint) as caught:
        values.count(text)
    assert "many" not in str(caught.value)


@pytest.mark.parametrize("text", ["yesterday", "2025-13-01", "10000-01-01", "99999999999999999"])
def test_what_is_no_time_is_refused(text: str) -> None:
    """A time that cannot be one is a complaint, not a guess."""
    with pytest.raises(ValueError, match="ISO 8601"):
        values.moment(text)


def test_nan_is_not_null() -> None:
    """A computed NaN is a fault upstream; an empty cell is a value that nobody has."""
    assert not values.is_null("NaN")
    assert values.is_null("")


def test_an_unknown_word_is_neither_yes_nor_no() -> None:
    """`maybe` must not become a label."""
    with pytest.raises(ValueError, match="neither"):
        values.yes_or_no("maybe")

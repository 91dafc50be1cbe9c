from typing import Any

import pytest

from producer.importing.cells import time_reader, whole_number
from producer.importing.mapping import Times
from producer.importing.rejection import RowError


@pytest.mark.parametrize(("text", "number"), [("120", 120), (" 120 ", 120), ("120.0", 120), ("-5", -5), (120, 120)])
def test_whole_numbers_are_read_as_tables_write_them(text: Any, number: int) -> None:
    """With spaces, with the point that a column with gaps gets."""
    assert whole_number(text) == number


@pytest.mark.parametrize("text", ["", "many", "1.5", "1_000", "1e3", "٣", "9" * 30])
def test_other_texts_are_no_whole_numbers(text: str) -> None:
    """Nothing is rounded or guessed."""
    with pytest.raises(RowError):
        whole_number(text)


@pytest.mark.parametrize(
    ("times", "text", "ms"),
    [
        (Times(), "1970-01-01T00:00:01Z", 1000),
        (Times(format="epoch_ms"), "1500", 1500),
        (Times(format="epoch_s"), "1.5", 1500),
        (Times(format="epoch_s"), 2, 2000),
        (Times(format="%Y-%m-%d %H:%M:%S UTC", zone="UTC"), "1970-01-01 00:00:01 UTC", 1000),
        (Times(format="%d.%m.%Y %H:%M", zone="Europe/Berlin"), "01.07.1980 02:00", 331257600000),
        (Times(format="%Y-%m-%d %H:%M %z"), "1970-01-01 01:00 +0100", 0),
        (Times(), 1500, 1500),
    ],
)
def test_times_are_read_in_the_mappings_format(times: Times, text: Any, ms: int) -> None:
    """To milliseconds since 1970, in the mapping's zone where the text names none."""
    assert time_reader(times)(text) == ms


@pytest.mark.parametrize(
    "times", [Times(), Times(format="epoch_ms"), Times(format="epoch_s"), Times(format="%Y", zone="UTC")]
)
def test_what_is_no_time_names_the_format(times: Times) -> None:
    """And not the cell, which may hold anything."""
    with pytest.raises(RowError) as caught:
        time_reader(times)("jo@example.com")
    assert caught.value.code == "bad_time"
    assert "jo@" not in str(caught.value)

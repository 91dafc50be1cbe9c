import csv
from pathlib import Path

import pytest

from producer.files import write_outcomes, written


def test_a_file_takes_its_name_when_it_is_complete(tmp_path: Path) -> None:
    """Nobody reads half of it."""
    path = tmp_path / "out"
    with written(path) as file:
        file.write("x")
        assert not path.exists()
    assert path.read_text() == "x"


def test_a_failure_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    """And nothing beside it."""
    path = tmp_path / "out"
    path.write_text("old")
    with pytest.raises(KeyError), written(path) as file:  # noqa: PT012
        file.write("new")
        raise KeyError
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_outcomes_are_csv_with_rfc_3339_times(tmp_path: Path) -> None:
    """Any CSV reader gives the lead ids back, commas and quotes in them included."""
    path = tmp_path / "outcomes.csv"
    write_outcomes(path, [("42", 0), ('a,"b"', 1)])
    rows = list(csv.reader(path.read_text().splitlines()))
    assert rows == [
        ["lead_id", "converted_at"],
        ["42", "1970-01-01T00:00:00.000Z"],
        ['a,"b"', "1970-01-01T00:00:00.001Z"],
    ]

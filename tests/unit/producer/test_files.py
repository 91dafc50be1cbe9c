import csv
import os
import sys
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


@pytest.mark.parametrize("before", ["old", None])
def test_of_a_link_the_target_is_replaced(tmp_path: Path, before: str | None) -> None:
    """The link stays, whether or not there is a file where it leads."""
    target, link = tmp_path / "target", tmp_path / "link"
    if before is not None:
        target.write_text(before)
    link.symlink_to(target)
    with written(link) as file:
        file.write("new")
    assert link.is_symlink()
    assert target.read_text() == "new"
    assert sorted(tmp_path.iterdir()) == [link, target]


def test_a_pipe_is_written_to() -> None:
    """It stays a pipe."""
    reading, writing = os.pipe()
    with written(Path(f"/dev/fd/{writing}")) as file:
        file.write("x")
    os.close(writing)
    assert os.read(reading, 2) == b"x"
    os.close(reading)


def test_standard_output_has_its_name_too(capsys: pytest.CaptureFixture[str]) -> None:
    """`/dev/stdout` leads to a file where the shell opened one, and that is not ours to replace."""
    with written(Path("/dev/stdout")) as file:
        assert file is sys.stdout
        file.write("x")
    assert capsys.readouterr().out == "x"

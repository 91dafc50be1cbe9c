"""CSV files with a header."""

import os
from pathlib import Path

import pytest

from training.table import Columns, read_table

COLUMNS = Columns(("a", "b"))


def rows_of(path: Path) -> list[tuple[int, list[str | None]]]:
    """Line and cells of each row."""
    _, rows = read_table(path, COLUMNS)
    return [(line, list(row.values())) for line, row in rows]


def test_a_pipe_gives_all_of_its_rows() -> None:
    """What was read with the header cannot be read again."""
    reading, writing = os.pipe()
    os.write(writing, b"a,b\n1,2\n3,4\n")
    os.close(writing)
    assert rows_of(Path(f"/dev/fd/{reading}")) == [(2, ["1", "2"]), (3, ["3", "4"])]
    os.close(reading)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_rows_have_the_number_of_their_line(tmp_path: Path, end: str) -> None:
    """However lines end; empty ones count and give nothing, before the header too."""
    path = tmp_path / "t.csv"
    path.write_bytes(end.join(["", "a,b", "1,2", "", "3,4"]).encode())
    assert rows_of(path) == [(3, ["1", "2"]), (5, ["3", "4"])]

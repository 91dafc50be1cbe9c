"""CSV files with the columns that we want under the names that they have there."""

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from training.errors import DataRefusedError

Row = dict[str, str | None]
"""Our column name to the cell's text; None where the row is too short or the file lacks the column."""


@dataclass(frozen=True, slots=True)
class Columns:
    """How a file calls the columns that we want.

    Attributes:
        wanted: Our names, in order.
        named: Our name to the file's name, where they differ.
    """

    wanted: tuple[str, ...]
    named: Mapping[str, str] = field(default_factory=dict)

    def header(self, name: str) -> str:
        """The file's name for one of our columns."""
        return self.named.get(name, name)


def read_table(path: Path, columns: Columns) -> tuple[list[str], Iterator[tuple[int, Row]]]:
    """Opens a CSV file with a header line.

    Returns:
        Which of the wanted columns the file lacks, and the rows with their line numbers.

    Raises:
        DataRefusedError: Not readable, no header, or two columns of the same name; the rows may raise it too, for a
            file that turns out not to be CSV in UTF-8.
    """
    cells = _cells(path)
    _, first = next(cells, (0, []))
    header = [name.strip() for name in first]
    if not any(header):
        raise DataRefusedError(f"{path}: is empty; the first line must name the columns")
    if twice := sorted({name for name in header if name and header.count(name) > 1}):
        raise DataRefusedError(f"{path}: names {', '.join(twice)} more than once in its first line")
    absent = [name for name in columns.wanted if columns.header(name) not in header]
    return absent, _rows(cells, header, columns)


def _rows(lines: Iterator[tuple[int, list[str]]], header: list[str], columns: Columns) -> Iterator[tuple[int, Row]]:
    index = {name: header.index(columns.header(name)) for name in columns.wanted if columns.header(name) in header}
    for line, cells in lines:
        n_cells = len(cells)
        row: Row = dict.fromkeys(columns.wanted)
        for name, at in index.items():
            row[name] = cells[at] if at < n_cells else None
        yield line, row


def _cells(path: Path) -> Iterator[tuple[int, list[str]]]:
    """The header's cells and those of the rows, of a file that is opened once: a pipe gives its bytes to one reader."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file)
            for cells in reader:
                if cells:
                    yield reader.line_num, cells
    except OSError as error:
        raise DataRefusedError(f"{path} cannot be read: {error.strerror}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataRefusedError(f"{path}: is not CSV in UTF-8: {error}") from error

"""Rows of a file, CSV or lines of JSON; what is no row is a rejection, and reading goes on after it."""

import csv
import json
from collections import deque
from collections.abc import Iterator
from typing import Final

from producer.importing.lines import LINE_BYTES_MAX, Line
from producer.importing.rejection import Rejection, shown
from producer.importing.translate import Row
from runtime.errors import ConfigurationError
from schemas.ndjson import kind

# A cell may hold line ends. A quote that is never closed would make one cell of the rest of the file.
_ROW_LINES_MAX: Final = 64


def json_rows(lines: Iterator[Line]) -> Iterator[Row | Rejection]:
    """One JSON object a line; empty lines are nothing."""
    for line in lines:
        if line.raw is None:
            yield _too_long(line)
        elif line.raw.strip():
            yield _json_row(line.number, line.raw)


def _json_row(number: int, raw: bytes) -> Row | Rejection:
    try:
        cells = json.loads(raw.decode())
    except UnicodeDecodeError as error:
        return Rejection(number, "not_utf8", f"not UTF-8 (byte {error.start} of the line)")
    except json.JSONDecodeError as error:
        return Rejection(number, "not_json", f"not JSON: {error.msg} at column {error.colno}")
    except (ValueError, RecursionError):
        return Rejection(number, "not_json", "JSON beyond what is read: nested too deep, or a number too long")
    if not isinstance(cells, dict):
        return Rejection(number, "not_an_object", f"is {kind(cells)}, allowed: an object")
    return Row(number, raw, cells)


class CsvRows:
    """Rows of CSV after RFC 4180, with a header.

    A row that cannot be read costs its first line; reading goes on with the next.

    Args:
        lines: The file's.
        delimiter: Between cells.

    Attributes:
        header: The columns' names.

    Raises:
        ConfigurationError: There is no header that can be read.
    """

    def __init__(self, lines: Iterator[Line], delimiter: str) -> None:
        self._lines = lines
        self._delimiter = delimiter
        self._pushed_back: deque[Line] = deque()
        self.header = self._header()

    def __iter__(self) -> Iterator[Row | Rejection]:
        while (line := self._next()) is not None:
            if line.raw is None:
                yield _too_long(line)
            elif line.raw:
                yield self._row(line)

    def _header(self) -> list[str]:
        line = self._next()
        try:
            cells = self._cells((line.raw or b"").decode()) if line else None
        except (UnicodeDecodeError, csv.Error):
            cells = None
        if not cells or not all(cells):
            raise ConfigurationError(
                "The file's first line is no CSV header: a name for every column, LF or CRLF at the line's end"
            )
        if twice := sorted({cell for cell in cells if cells.count(cell) > 1}):
            raise ConfigurationError(f"The header names columns twice: {', '.join(map(shown, twice))}")
        return cells

    def _row(self, first: Line) -> Row | Rejection:
        taken = [first]
        raw = first.raw or b""
        try:
            cells = self._cells(raw.decode())
            if cells is None:
                taken += self._until_quotes_close(raw)
                raw = b"\n".join(line.raw or b"" for line in taken)
                cells = self._cells(raw.decode())
        except UnicodeDecodeError as error:
            return self._reject(taken, "not_utf8", f"not UTF-8 (byte {error.start} of the row)")
        except csv.Error as error:
            return self._reject(taken, "not_csv", f"not CSV: {error}")
        if cells is None:
            return self._reject(taken, "not_csv", "not CSV: a quote is opened and never closed")
        if len(cells) != len(self.header):
            message = f"has {len(cells)} fields, the header has {len(self.header)}"
            return self._reject(taken, "field_count", message)
        return Row(first.number, raw, dict(zip(self.header, cells, strict=True)))

    def _cells(self, text: str) -> list[str] | None:
        """The cells of a row; None if a quote is still open at its end."""
        try:
            return next(csv.reader([text], delimiter=self._delimiter, strict=True), [])
        except csv.Error as error:
            if str(error) == "unexpected end of data":
                return None
            raise

    def _until_quotes_close(self, raw: bytes) -> list[Line]:
        """The lines that follow, up to one that makes the quotes even."""
        taken: list[Line] = []
        quotes = raw.count(b'"')
        while quotes % 2 and len(taken) < _ROW_LINES_MAX and (line := self._next()) is not None:
            taken.append(line)
            quotes += (line.raw or b"").count(b'"')
        return taken

    def _reject(self, taken: list[Line], code: str, message: str) -> Rejection:
        self._pushed_back.extendleft(reversed(taken[1:]))
        return Rejection(taken[0].number, code, message)

    def _next(self) -> Line | None:
        return self._pushed_back.popleft() if self._pushed_back else next(self._lines, None)


def _too_long(line: Line) -> Rejection:
    return Rejection(line.number, "too_long", f"a line of more than {LINE_BYTES_MAX} bytes")

"""A file or standard input, with its format found out."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from itertools import chain, islice
from pathlib import Path
from typing import BinaryIO, Final

from producer.files import STANDARD
from producer.importing.lines import Line, lines
from producer.importing.mapping import Mapping
from producer.importing.rejection import Rejection, shown
from producer.importing.rows import CsvRows, json_rows
from producer.importing.translate import Row
from runtime.errors import ConfigurationError
from schemas.ndjson import field_names


class Format(StrEnum):
    """How rows are written."""

    CSV = "csv"
    NDJSON = "ndjson"


_BY_SUFFIX: Final = {
    ".csv": Format.CSV,
    ".tsv": Format.CSV,
    ".ndjson": Format.NDJSON,
    ".jsonl": Format.NDJSON,
    ".json": Format.NDJSON,
}
_SNIFFED_LINES: Final = 20
_COUNTED_LINES: Final = 500  # between two calls that tell the progress


@dataclass(frozen=True)
class Source:
    """Rows to import.

    Attributes:
        name: The events' source if the mapping names none.
        format: How they are written.
        rows: The rows, each or its rejection.
    """

    name: str
    format: Format
    rows: Iterator[Row | Rejection]


@contextmanager
def open_source(
    path: Path, mapping: Mapping, form: Format | None = None, on_bytes: Callable[[int], None] | None = None
) -> Iterator[Source]:
    """Opens a file, or standard input as `-`.

    Args:
        path: Where the rows are.
        mapping: Names the columns; they must be there.
        form: The format; that of the mapping, of the file's suffix or of its first bytes if not given.
        on_bytes: Called now and then with the number of bytes read.

    Raises:
        ConfigurationError: It cannot be read, or it is CSV without the columns that the mapping names.
    """
    with _opened(path) as file:
        read = _counted(lines(file), on_bytes) if on_bytes else lines(file)
        chosen = form or _told(path, mapping)
        if chosen is None:
            chosen, beginning = _sniffed(read, mapping)
            read = chain(beginning, read)
        rows: Iterator[Row | Rejection] = json_rows(read)
        if chosen is Format.CSV:
            table = CsvRows(read, mapping.delimiter or ("\t" if path.suffix.lower() == ".tsv" else ","))
            _require_columns(table.header, mapping)
            rows = iter(table)
        yield Source("stdin" if path == STANDARD else path.stem or "file", chosen, rows)


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    if path == STANDARD:
        yield sys.stdin.buffer
        return
    try:
        file = path.open("rb")
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}") from error
    with file:
        yield file


def _told(path: Path, mapping: Mapping) -> Format | None:
    return Format(mapping.format) if mapping.format else _BY_SUFFIX.get(path.suffix.lower())


def _sniffed(read: Iterator[Line], mapping: Mapping) -> tuple[Format, list[Line]]:
    """The format, and the lines that had to be read for it; as few as possible, since there may be no more yet.

    JSON begins with a brace, and no header of CSV does. A first line that is neither may be a bad row of JSON.
    """
    known = {*field_names(), *mapping.columns.values()}
    beginning: list[Line] = []
    for line in islice(read, _SNIFFED_LINES):
        beginning.append(line)
        raw = line.raw or b""
        if raw.lstrip().startswith(b"{"):
            return Format.NDJSON, beginning
        if line.number == 1 and known.intersection(_words(raw, mapping.delimiter or ",")):
            return Format.CSV, beginning
    return (Format.CSV if any(line.raw for line in beginning) else Format.NDJSON), beginning


def _words(raw: bytes, delimiter: str) -> Iterator[str]:
    return (cell.strip().strip('"') for cell in raw.decode(errors="replace").split(delimiter))


def _counted(read: Iterator[Line], on_bytes: Callable[[int], None]) -> Iterator[Line]:
    for line in read:
        if line.number % _COUNTED_LINES == 0:
            on_bytes(line.end)
        yield line


def _require_columns(header: list[str], mapping: Mapping) -> None:
    if mapping.chooses_columns:
        missing = sorted(set(mapping.columns.values()) - set(header))
        if missing:
            have = ", ".join(map(shown, header))
            raise ConfigurationError(
                f"The mapping names columns that are not there: {', '.join(missing)}; there are {have}"
            )
        return
    unknown = [name for name in header if name not in field_names()]
    if unknown:
        columns = ", ".join(map(shown, unknown))
        raise ConfigurationError(
            f"No fields of LeadEvent: the columns {columns}. Say in a mapping (--mapping) what they are."
        )

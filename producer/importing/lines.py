"""The lines of a file, each with its number; none longer than can be held."""

from collections.abc import Iterator
from typing import BinaryIO, Final, NamedTuple

LINE_BYTES_MAX: Final = 1 << 20  # Kafka takes no larger record by default


class Line(NamedTuple):
    """A line without its end.

    Attributes:
        number: From 1.
        raw: Its bytes; None if it is longer than `LINE_BYTES_MAX`.
        end: Where it ends in the file, in bytes: for progress.
    """

    number: int
    raw: bytes | None
    end: int


def lines(file: BinaryIO) -> Iterator[Line]:
    """The lines of a binary file; a byte order mark at its beginning is left out."""
    end, number = 0, 0
    while chunk := file.readline(LINE_BYTES_MAX + 2):
        end += len(chunk)
        number += 1
        if not chunk.endswith(b"\n") and len(chunk) > LINE_BYTES_MAX:
            end += _skip_rest(file)
            yield Line(number, None, end)
            continue
        raw = chunk.rstrip(b"\r\n")
        yield Line(number, raw.removeprefix(b"\xef\xbb\xbf") if number == 1 else raw, end)


def _skip_rest(file: BinaryIO) -> int:
    skipped = 0
    while chunk := file.readline(LINE_BYTES_MAX):
        skipped += len(chunk)
        if chunk.endswith(b"\n"):
            break
    return skipped

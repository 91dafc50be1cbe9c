"""Files that others read: they appear when they are complete."""

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from schemas.times import format_rfc3339

STANDARD = Path("-")
_STANDARD_OUTPUT = Path("/dev/stdout")


@contextmanager
def written(path: Path) -> Iterator[TextIO]:
    """A text file to write; it takes its name at the end, so that nobody reads half of it.

    What is no plain file (`-` for standard output, a pipe, a device) is written to directly. Of a link the target is
    replaced, and the link stays.

    Raises:
        OSError: It cannot be written.
    """
    if path in (STANDARD, _STANDARD_OUTPUT):  # a file that the shell has opened and goes on to write to is not replaced
        yield sys.stdout
        sys.stdout.flush()
        return
    if path.exists() and not path.is_file():
        with path.open("w", encoding="utf-8", newline="\n") as file:
            yield file
        return
    target = Path(os.path.realpath(path))  # `Path.resolve` raises RuntimeError for a loop of links
    partial = target.with_name(target.name + ".part")
    try:
        with partial.open("w", encoding="utf-8", newline="\n") as file:
            yield file
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)


def write_outcomes(path: Path, outcomes: Iterable[tuple[str, int]]) -> None:
    """Writes conversions as training reads them: CSV `lead_id,converted_at`, RFC 3339.

    Args:
        path: The file; `-` is standard output.
        outcomes: Lead id and time in ms since 1970.

    Raises:
        OSError: It cannot be written.
    """
    with written(path) as file:
        file.writelines(outcome_lines(outcomes))


def outcome_lines(outcomes: Iterable[tuple[str, int]]) -> Iterator[str]:
    r"""The lines of such a file, the header first.

    Args:
        outcomes: Lead id and time in ms since 1970.

    Example:
        >>> list(outcome_lines([("42", 0)]))
        ['lead_id,converted_at\n', '42,1970-01-01T00:00:00.000Z\n']
    """
    yield "lead_id,converted_at\n"
    for lead_id, at in outcomes:
        yield f"{_cell(lead_id)},{format_rfc3339(at)}\n"


def _cell(text: str) -> str:
    """RFC 4180: quotes where a comma, a quote or a line end would break the row."""
    return '"' + text.replace('"', '""') + '"' if any(sign in text for sign in ',"\r\n') else text

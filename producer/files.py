"""Files that others read: they appear when they are complete."""

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from schemas.times import format_rfc3339

STANDARD = Path("-")


@contextmanager
def written(path: Path) -> Iterator[TextIO]:
    """A text file to write; it takes its name at the end, so that nobody reads half of it.

    What is no plain file (`-` for standard output, a pipe, a device) is written to directly.

    Raises:
        OSError: It cannot be written.
    """
    if path == STANDARD:
        yield sys.stdout
        sys.stdout.flush()
        return
    if path.exists() and not path.is_file():
        with path.open("w", encoding="utf-8", newline="\n") as file:
            yield file
        return
    partial = path.with_name(path.name + ".part")
    try:
        with partial.open("w", encoding="utf-8", newline="\n") as file:
            yield file
        partial.replace(path)
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
        file.write("lead_id,converted_at\n")
        file.writelines(f"{_cell(lead_id)},{format_rfc3339(at)}\n" for lead_id, at in outcomes)


def _cell(text: str) -> str:
    """RFC 4180: quotes where a comma, a quote or a line end would break the row."""
    return '"' + text.replace('"', '""') + '"' if any(sign in text for sign in ',"\r\n') else text

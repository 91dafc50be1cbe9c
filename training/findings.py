"""What reading the data brought to light, counted before any of it is judged by the gates."""

from collections import Counter
from dataclasses import dataclass, field

_LINES_SHOWN_MAX = 5


@dataclass(slots=True)
class Column:
    """How often a value was there: over rows in a snapshot, over leads in a history."""

    total: int = 0
    missing: int = 0

    def count(self, present: bool) -> None:
        """Counts one value."""
        self.total += 1
        self.missing += not present

    @property
    def missing_share(self) -> float:
        """Between 0 and 1; 0 where nothing was counted."""
        return self.missing / self.total if self.total else 0.0


@dataclass(slots=True)
class Findings:
    """Counts, and what cannot be read.

    Attributes:
        records: Rows or lines read.
        rejected: Lines that no service would accept, by reason.
        columns: Completeness by column.
        negative_ages: Rows or events with an account created after what it does.
        left_out: Sound rows that are no training rows, by reason.
        unreadable: By column and complaint, the lines with a value that is none; each is a fault.
        absent: Columns that the file does not have.
        notes: What the report should mention.
    """

    records: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    columns: dict[str, Column] = field(default_factory=dict)
    negative_ages: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    unreadable: dict[tuple[str, str], list[int]] = field(default_factory=dict)
    absent: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def complain(self, column: str, complaint: str, line: int) -> None:
        """Notes a value that cannot be read; the value itself is personal data and is not kept."""
        self.unreadable.setdefault((column, complaint), []).append(line)


def lines_in_words(lines: list[int]) -> str:
    """The first few line numbers.

    >>> lines_in_words([2, 3, 5, 8, 13, 21, 34])
    'lines 2, 3, 5, 8, 13 and 2 more'
    >>> lines_in_words([2])
    'line 2'
    """
    shown = ", ".join(map(str, lines[:_LINES_SHOWN_MAX]))
    more = f" and {len(lines) - _LINES_SHOWN_MAX} more" if len(lines) > _LINES_SHOWN_MAX else ""
    return f"line{'s' if len(lines) > 1 else ''} {shown}{more}"

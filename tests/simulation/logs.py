"""Partitions of topics as the brokers keep them: records, control records, and what is still open."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from tests.simulation.kernel import Signal

Headers = list[tuple[str, bytes | None]]


class Write:
    """A transaction, as seen by the partitions that it wrote to."""

    __slots__ = ("aborted", "name", "owner")

    def __init__(self, owner: str, number: int) -> None:
        self.owner, self.name = owner, f"{owner}/{number}"
        self.aborted = False
        """Its end, once it has one; readers look at it only where its marker stands."""


class Entry(NamedTuple):
    """What an offset holds."""

    key: bytes | None
    value: bytes | None
    headers: Headers | None
    timestamp_ms: int
    write: Write | None
    control: bool = False


class Log:
    """One partition.

    Attributes:
        entries: By offset; None where compaction has removed one.
        start: The first offset that is kept.
        changed: Its last stable offset may have moved.
    """

    def __init__(self) -> None:
        self.entries: list[Entry | None] = []
        self.start = 0
        self.epochs: dict[str, int] = {}
        self.changed = Signal()
        self._open: dict[Write, int] = {}

    @property
    def end(self) -> int:
        """The high watermark."""
        return len(self.entries)

    @property
    def stable_end(self) -> int:
        """The last stable offset."""
        return min(self._open.values()) if self._open else len(self.entries)

    @property
    def hanging(self) -> list[str]:
        """The transactions without a marker here."""
        return [write.name for write in self._open]

    def append(self, entry: Entry) -> None:
        """Adds a record, or the marker that ends a transaction here."""
        if entry.write is not None:
            self._take_up(entry.write)
            if entry.control:
                self._open.pop(entry.write, None)
            else:
                self._open.setdefault(entry.write, len(self.entries))
        self.entries.append(entry)
        self.changed.fire()

    def _take_up(self, write: Write) -> None:
        """What its producer has left open here becomes part of it: a leader knows producers, not transactions."""
        for old in [old for old in self._open if old.owner == write.owner and old is not write]:
            first = self._open.pop(old)
            self._open[write] = min(first, self._open.get(write, first))
            for offset in range(first, len(self.entries)):
                entry = self.entries[offset]
                if entry is not None and entry.write is old:
                    self.entries[offset] = entry._replace(write=write)

    def committed(self, start: int = 0) -> Iterator[tuple[int, Entry]]:
        """What a reader of committed records sees from an offset on."""
        for offset in range(start, self.stable_end):
            entry = self.entries[offset]
            if entry is not None and not entry.control and not (entry.write is not None and entry.write.aborted):
                yield offset, entry

    def first_committed(self, start: int) -> tuple[int, Entry] | None:
        """The first record that such a reader sees."""
        entries = self.entries
        for offset in range(start, self.stable_end):
            entry = entries[offset]
            if entry is not None and not entry.control and not (entry.write is not None and entry.write.aborted):
                return offset, entry
        return None

    def compact(self) -> None:
        """Removes what a later record of the same key replaced, and markers and aborted records, as a cleaner may."""
        latest: dict[bytes | None, int] = {}
        for offset, entry in self.committed():
            latest[entry.key] = offset
        kept = set(latest.values())
        for offset in range(self.stable_end):
            if offset not in kept:
                self.entries[offset] = None

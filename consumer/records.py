"""What crosses the edge of the loop: records in, outputs out."""

from collections.abc import Callable, Iterable
from typing import NamedTuple

Headers = list[tuple[str, bytes | None]]


class Record(NamedTuple):
    """A record of the events topic, as Kafka gave it."""

    partition: int
    offset: int
    append_ms: int
    """The record's timestamp in milliseconds: the broker's clock when the topic has LogAppendTime."""
    key: bytes | None
    value: bytes | None
    headers: Callable[[], Headers | None]
    """Read on demand: only a dead letter needs them."""

    @property
    def size_bytes(self) -> int:
        """Key and value together."""
        return len(self.key or b"") + len(self.value or b"")


class Output(NamedTuple):
    """A record to be produced in the transaction of its input."""

    topic: str
    partition: int
    key: bytes | None
    value: bytes | None
    timestamp_ms: int
    headers: Headers | None = None

    @property
    def place(self) -> tuple[str, int]:
        """The topic and the partition that it goes to."""
        return self.topic, self.partition


def last_by_place(outputs: Iterable[Output]) -> dict[tuple[str, int], Output]:
    """Of each partition that is written to, the last record."""
    return {output.place: output for output in outputs}


new = tuple.__new__
"""`new(Output, (...))`, with every field: a NamedTuple's own constructor is a Python function and takes twice as long,
which counts where each event makes several."""


class Polled(NamedTuple):
    """What one poll gave: records in offset order per partition, and the partitions that ended."""

    records: list[Record]
    ends: dict[int, int]
    """End-of-partition offsets: past control records, which no record's offset tells."""

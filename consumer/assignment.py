"""The partitions that this instance owns, each with the committed state of its leads."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import Enum

Leads = dict[str, bytes]
"""Lead id to packed profile (`scoring.profile.pack`). Strings and bytes alone: the garbage collector never walks it."""


class Phase(Enum):
    """Where a partition is between being assigned and being read."""

    RESTORING = "restoring"
    ACTIVE = "active"


@dataclass(slots=True)
class Walk:
    """A pass over a copy of a partition's lead ids, some for each transaction: the state changes during it."""

    began_s: float
    leads: Iterator[str]
    done: bool = False


@dataclass(slots=True)
class Partition:
    """One assigned partition.

    `next_offset` and `leads` are what the last committed transaction made them; `position` runs ahead of
    `next_offset` by the records that were gathered or are part of a transaction that has not settled.
    """

    number: int
    tenure: int = 0
    """Which assignment brought it: nobody else can have had it in between where two have the same."""
    phase: Phase = Phase.RESTORING
    leads: Leads = field(default_factory=dict)
    next_offset: int = -1
    position: int = -1
    log_time_ms: int = 0
    """The latest append time among the records of committed transactions."""
    waits_at: int = -1
    """Where the group stands, while the restore has to wait and as far as it is known; -1: it is not."""
    walk: Walk | None = None
    """How far `consumer.purge` is: it ends with the partition, or it would keep what was given up."""
    dropped: bool = False
    """Set once the partition is not owned any more: a restore under way may stop."""

    @property
    def done_to(self) -> int:
        """The offset that all is done before; -1 while it is not known."""
        return self.next_offset if self.phase is Phase.ACTIVE else self.waits_at

    def activate(self, next_offset: int, leads: Leads) -> None:
        """Takes the restored state; records are read from `next_offset` on."""
        self.phase, self.next_offset, self.position, self.leads = Phase.ACTIVE, next_offset, next_offset, leads


class Assignment:
    """The owned partitions by number."""

    def __init__(self) -> None:
        self.partitions: dict[int, Partition] = {}
        self._assignments = 0

    def add(self, numbers: list[int]) -> None:
        """Owns new partitions, which are not read before they are activated."""
        self._assignments += 1
        self._replace(dict.fromkeys(numbers, self._assignments))

    def renew(self, numbers: list[int]) -> None:
        """Forgets the state of owned partitions, which are not read before they are activated again."""
        self._replace({number: self.partitions[number].tenure for number in numbers})

    def _replace(self, tenures: dict[int, int]) -> None:
        self.remove(tenures)
        for number, tenure in tenures.items():
            self.partitions[number] = Partition(number, tenure)

    def remove(self, numbers: Iterable[int]) -> None:
        """Forgets partitions and the state of their leads."""
        for number in numbers:
            partition = self.partitions.pop(number, None)
            if partition is not None:
                partition.dropped = True

    def tenures(self) -> dict[int, int]:
        """By partition, which assignment brought it."""
        return {partition.number: partition.tenure for partition in self.partitions.values()}

    def snapshot(self) -> list[Partition]:
        """The owned partitions now; may be called from any thread."""
        return list(self.partitions.values())

    def active(self) -> list[Partition]:
        """The partitions that are restored and read."""
        return [partition for partition in self.partitions.values() if partition.phase is Phase.ACTIVE]

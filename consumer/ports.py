"""What the loop needs of the world. Kafka stands behind these in the service, a simulator in the seeded tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from types import MappingProxyType
from typing import Literal, NamedTuple, Protocol

from consumer.assignment import Leads, Partition
from consumer.batch import Batch
from consumer.records import Output, Polled
from runtime.errors import FatalError
from scoring.profile import Profile


class Membership(Protocol):
    """Opaque: this instance's place in the group at one moment. The broker refuses commits under an older one."""


class Standing(NamedTuple):
    """What this instance is in the group at one moment.

    Attributes:
        membership: Offsets are sent under it.
        tenures: Of the partitions that are owned (`consumer.assignment.Partition.tenure`).
    """

    membership: Membership
    tenures: Mapping[int, int]


class Transaction(NamedTuple):
    """All that is committed together: records, and by input partition the offset to go on from."""

    outputs: Sequence[Output]
    next_offsets: dict[int, int]
    standing: Standing


class Settlement(NamedTuple):
    """How a transaction ended; there is no third way.

    Attributes:
        committed: Whether it is committed.
        error: Why not: the name of Kafka's error.
        undone: Nor is the one before it, which was told to be: the state has to be restored.
        postponed: Of the last one that is committed something is missing that this membership cannot make good: it has
            to be verified again under a newer one, before the next transaction.
    """

    committed: bool
    error: str | None = None
    undone: bool = False
    postponed: bool = False


class Transactions(Protocol):
    """Runs one transaction at a time, away from the loop's thread."""

    def submit(self, transaction: Transaction) -> Future[Settlement]:
        """Begins, produces, sends the offsets and commits.

        Returns:
            Its settlement, or the `FatalError` that ends the service.
        """

    def verify(self, standing: Standing | None, *, everywhere: bool) -> Future[Settlement]:
        """Makes sure of the last one that was committed, where no next one may find out.

        Args:
            standing: Now, to mend it under; None if this instance is no member.
            everywhere: Look at every partition that it wrote to, not only at the offsets.

        Returns:
            A settlement of nothing: committed, or undone.
        """

    def renew(self) -> Future[None]:
        """Tries to take the transactional id anew; another instance that has it learns so at its next transaction.

        Returns:
            Done within seconds, whether or not Kafka answered; or the `FatalError` that ends the service.
        """

    def give_up_stuck(self) -> None:
        """Asked now and then while one is under way: sees to it that it settles even if the client never comes back."""


class RebalanceListener(Protocol):
    """Told of changes to the assignment, from within `Input.poll` and `Input.close`."""

    def assigned(self, numbers: list[int]) -> None:
        """The group gave us these partitions; they are paused until `Input.start`."""

    def revoked(self, numbers: list[int]) -> None:
        """The group takes these partitions once this returns."""

    def lost(self, numbers: list[int]) -> None:
        """These partitions are somebody else's already: nothing of theirs can be committed."""


class Input(Protocol):
    """The events topic as a member of the group sees it."""

    def poll(self, timeout_s: float, max_records: int) -> Polled:
        """Waits for a first record, then takes what waits. With `max_records` 0 it only serves the group."""

    def start(self, number: int, next_offset: int) -> None:
        """Reads a restored partition from `next_offset` on."""

    def rewind(self, next_offsets: dict[int, int]) -> None:
        """Reads partitions again from these offsets."""

    def membership(self) -> Membership | None:
        """A snapshot to commit under; None while this instance is no member."""

    def owned(self) -> set[int]:
        """The partitions that the client holds assigned now, whether or not the listener was told of a loss."""

    def reopen(self) -> None:
        """Leaves the group and joins it again with another client."""

    def close(self) -> None:
        """Leaves the group."""


class Restored(NamedTuple):
    """A partition's state as its changelog and its committed offset have it.

    Attributes:
        partition: Whose.
        leads: The committed profiles.
        next_offset: The first record to be read.
        new: `next_offset` is not committed yet and must be, with `rewrite`, before a record is read.
        rewrite: Profiles to be committed with it, None for a tombstone; of a state that was rebuilt.
    """

    partition: Partition
    leads: Leads
    next_offset: int
    new: bool
    rewrite: Mapping[str, Profile | None] = MappingProxyType({})


class Restorer(Protocol):
    """Reads changelogs, away from the loop's thread."""

    def request(self, partitions: list[Partition]) -> None:
        """Asks for the state of partitions that were just assigned."""

    def finished(self) -> list[Restored | FatalError]:
        """What was restored since the last call; an error ends the service."""


class Telemetry(Protocol):
    """Takes what operators are shown; the loop never waits for it."""

    def turned(self, phase: str) -> None:
        """The loop begins another phase of a turn: it makes progress."""

    def stage(self, name: str, seconds: float) -> None:
        """A stage of the contract's section 9 took so long."""

    def committed(self, batch: Batch) -> None:
        """A batch is committed."""

    def aborted(self, error: str | None) -> None:
        """A transaction was aborted."""

    def failed(self, kind: str) -> None:
        """Something that the loop survives went wrong."""

    def rebalanced(self, kind: Literal["assigned", "revoked", "lost"], numbers: list[int]) -> None:
        """The assignment changed: `assigned`, `revoked` or `lost`."""

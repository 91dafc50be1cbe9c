"""The group coordinator: members, generations, who owns what, and the committed offsets with those that are pending."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple, Protocol

from confluent_kafka import KafkaError

from tests.simulation.coordinator import RefusedError
from tests.simulation.kernel import Kernel, Process
from tests.simulation.logs import Write

Offset = tuple[int, str]
TOOL_METADATA = ""
"""What goes with an offset that was not committed by the service."""


class Membership(NamedTuple):
    """A consumer's place in the group; a commit is accepted under the current one alone."""

    member_id: str
    generation: int


class Client(Protocol):
    """A member's side."""

    process: Process

    def synchronise(self, membership: Membership, numbers: frozenset[int]) -> None:
        """A new generation, and what this member owns in it once it has given up the rest."""


class Group:
    """Cooperative rebalancing: a partition changes hands once its owner has given it up or is out of the group.

    Args:
        kernel: Time and chance.
        partitions: How many the topic has.
        session_s: Who is not heard of for so long is out.
        went_back: Told of a committed offset that is lower than the one before.
    """

    def __init__(
        self, kernel: Kernel, partitions: int, *, session_s: float, went_back: Callable[[int, int, int], None]
    ) -> None:
        self._kernel, self._partitions, self._session_s = kernel, partitions, session_s
        self._went_back = went_back
        self._clients: dict[str, Client] = {}
        self._joined = 0
        self._scheduled = False
        self._shuffle = False
        self.generation = 0
        self.owners: dict[int, str] = {}
        self.offsets: dict[int, Offset] = {}
        self._pending: dict[Write, dict[int, Offset]] = {}

    # --- members ---

    def join(self, client: Client) -> str:
        """A new member."""
        self._joined += 1
        member_id = f"{client.process.name}.{self._joined}"
        self._clients[member_id] = client
        self.rebalance()
        return member_id

    def leave(self, member_id: str) -> None:
        """A member goes, or is sent away."""
        if self._clients.pop(member_id, None) is not None:
            for number in [n for n, owner in self.owners.items() if owner == member_id]:
                del self.owners[number]
            self._kernel.note("out of the group", member=member_id)
            self.rebalance()

    def expel(self, process: Process) -> None:
        """Its heartbeats are lost, and nothing else: it goes on and does not know."""
        for member_id in [m for m, client in self._clients.items() if client.process is process]:
            self.leave(member_id)

    def release(self, member_id: str, numbers: list[int]) -> None:
        """A member has given partitions up."""
        for number in numbers:
            if self.owners.get(number) == member_id:
                del self.owners[number]
        self.rebalance()

    def knows(self, member_id: str) -> bool:
        """Whether this is a member."""
        return member_id in self._clients

    def owned_by(self, member_id: str) -> set[int]:
        """What a member owns."""
        return {number for number, owner in self.owners.items() if owner == member_id}

    def owner_of(self, number: int) -> Process | None:
        """Whose partition it is."""
        client = self._clients.get(self.owners.get(number, ""))
        return None if client is None else client.process

    def silent(self, process: Process) -> None:
        """A process cannot be heard from now on: its session runs out unless that changes."""
        if process.silent_since_s is None:
            process.silent_since_s = self._kernel.now_s
            self._kernel.at(self._session_s, partial(self._expire, process, self._kernel.now_s))

    def _expire(self, process: Process, since_s: float) -> None:
        if process.silent_since_s == since_s:
            self.expel(process)

    # --- generations ---

    def rebalance(self, *, shuffle: bool = False) -> None:
        """Begins a rebalance, unless one is about to happen."""
        self._shuffle = self._shuffle or shuffle
        if not self._scheduled:
            self._scheduled = True
            self._kernel.at(self._kernel.random.uniform(0.005, 0.3), self._next_generation)

    def _next_generation(self) -> None:
        self._scheduled = False
        self.generation += 1
        wanted = self._wanted()
        for number, member_id in wanted.items():
            self.owners.setdefault(number, member_id)
        self._kernel.note("generation", number=self.generation, wanted=wanted, owners=dict(self.owners))
        for member_id, client in self._clients.items():
            mine = frozenset(n for n, m in wanted.items() if m == member_id and self.owners[n] == member_id)
            delay_s = self._kernel.random.expovariate(50)
            self._kernel.at(delay_s, partial(self._tell, member_id, client, self.generation, mine))

    def _wanted(self) -> dict[int, str]:
        """Partition to member: even, and as it was where that is even, unless it is to be shuffled."""
        members = list(self._clients)
        if not members:
            return {}
        numbers = list(range(self._partitions))
        if self._shuffle:
            self._shuffle = False
            self._kernel.random.shuffle(members)
            return {number: members[number % len(members)] for number in numbers}
        share = -(-len(numbers) // len(members))
        wanted: dict[int, str] = {}
        counts = dict.fromkeys(members, 0)
        for number in numbers:
            owner = self.owners.get(number)
            if owner in counts and counts[owner] < share:
                wanted[number] = owner
                counts[owner] += 1
        for number in numbers:
            if number not in wanted:
                least = min(members, key=counts.__getitem__)
                wanted[number] = least
                counts[least] += 1
        return wanted

    def _tell(self, member_id: str, client: Client, generation: int, numbers: frozenset[int]) -> None:
        process = client.process
        if process.dead or generation != self.generation or member_id not in self._clients:
            return  # a newer one is on its way
        call = partial(self._tell, member_id, client, generation, numbers)
        if process.stopped:
            process.held.append(call)
        elif process.cut:
            self._kernel.at(0.5, call)
        else:
            client.synchronise(Membership(member_id, generation), numbers)

    # --- offsets ---

    def fetch(self, numbers: list[int]) -> dict[int, Offset]:
        """Committed offsets; refused while a transaction that has one of them is open."""
        if any(number in offsets for offsets in self._pending.values() for number in numbers):
            raise RefusedError(KafkaError.UNSTABLE_OFFSET_COMMIT)
        return {number: self.offsets[number] for number in numbers if number in self.offsets}

    def add_pending(self, write: Write, membership: Membership, offsets: dict[int, Offset]) -> None:
        """Takes offsets that take effect if the transaction commits."""
        if membership.member_id or membership.generation >= 0:  # the classic coordinator asks nobody without either
            if membership.member_id not in self._clients:
                raise RefusedError(KafkaError.UNKNOWN_MEMBER_ID)
            if membership.generation != self.generation:
                raise RefusedError(KafkaError.ILLEGAL_GENERATION)
        self._pending.setdefault(write, {}).update(offsets)

    def settle(self, write: Write, *, commit: bool) -> None:
        """The marker has come: what was pending takes effect or is dropped."""
        offsets: dict[int, Offset] = {}
        for old in [old for old in self._pending if old.owner == write.owner]:  # it knows producers, not transactions
            offsets |= self._pending.pop(old)
        if not commit:
            return
        for number, (offset, metadata) in offsets.items():
            before, before_metadata = self.offsets.get(number, (0, TOOL_METADATA))
            if offset < before and before_metadata != TOOL_METADATA:
                self._went_back(number, before, offset)
            self.offsets[number] = (offset, metadata)
        self._kernel.note("offsets", write=write.name, offsets={n: o for n, (o, _) in offsets.items()})

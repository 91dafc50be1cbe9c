"""What one transaction holds before it is committed: outputs, next offsets, and the profiles it changes.

Profiles are an overlay: a batch never writes to the committed state. An abort drops the batch and nothing has to be
undone; a commit packs the overlay into the state. The batch that is gathered while another one is being committed
has that one as its parent and sees its profiles.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from consumer.assignment import Assignment
from consumer.dead_letters import Guard
from consumer.records import Output, Record
from runtime.errors import FatalError
from scoring.profile import Profile, pack, unpack
from scoring.stream_gates import StreamGates


@dataclass(slots=True)
class Tally:
    """What a batch adds to the metrics once it is committed."""

    results: Counter[str] = field(default_factory=Counter)
    decisions: Counter[tuple[str, str]] = field(default_factory=Counter)
    actions: Counter[str] = field(default_factory=Counter)
    fallbacks: Counter[str] = field(default_factory=Counter)
    dead_letters: Counter[str] = field(default_factory=Counter)
    scored_append_ms: list[int] = field(default_factory=list)
    model_scores: list[float] = field(default_factory=list)

    def add(self, other: Tally) -> None:
        """Takes over what another tally counted."""
        self.results.update(other.results)
        self.decisions.update(other.decisions)
        self.actions.update(other.actions)
        self.fallbacks.update(other.fallbacks)
        self.dead_letters.update(other.dead_letters)
        self.scored_append_ms.extend(other.scored_append_ms)
        self.model_scores.extend(other.model_scores)


class Batch:
    """An open transaction's content.

    Args:
        assignment: The committed state underneath.
        guard: The dead letter guard as it stands before this batch; the batch keeps its own copy.
        gates: The stream gates, likewise.
        parent: The batch whose transaction has not settled yet; its profiles come before the committed ones.
    """

    def __init__(self, assignment: Assignment, guard: Guard, gates: StreamGates, parent: Batch | None = None) -> None:
        self.assignment = assignment
        self.parent = parent
        self.guard = guard.copy()
        self.gates = gates.copy()
        self.profiles: dict[int, dict[str, Profile | None]] = {}
        self.records: list[Record] = []
        self.outputs: list[Output] = []
        self.changelog: list[Output] | None = None
        """What `profiles` are written as, once that was worked out."""
        self.next_offsets: dict[int, int] = {}
        self.log_times_ms: dict[int, int] = {}
        """By partition, the append time of its last record."""
        self.tally = Tally()
        self.polled_s = 0.0
        """When its first record was polled, in monotonic seconds."""
        self.oldest_ms = 0.0
        """How old its oldest record was then."""
        self.limit: FatalError | None = None
        """Set when the record after the last one of this batch must not be processed."""

    def child(self) -> Batch:
        """A batch on top of this one: what is tried in it can be dropped."""
        return Batch(self.assignment, self.guard, self.gates, parent=self)

    def absorb(self, child: Batch) -> None:
        """Makes what a child did part of this batch."""
        self.changelog = None
        for partition, profiles in child.profiles.items():
            self.profiles.setdefault(partition, {}).update(profiles)
        self.records += child.records
        self.outputs += child.outputs
        self.next_offsets.update(child.next_offsets)
        self.log_times_ms.update(child.log_times_ms)
        self.tally.add(child.tally)
        self.guard, self.gates, self.limit = child.guard, child.gates, child.limit

    def profile(self, partition: int, lead_id: str) -> Profile | None:
        """A lead's profile as this batch has it so far; None for a lead without a state.

        It belongs to the caller, who may change it, and calls `put` if that is to be part of the batch.
        """
        overlay = self.profiles.get(partition)
        if overlay is not None and lead_id in overlay:
            return overlay[lead_id]
        batch = self.parent
        while batch is not None:
            overlay = batch.profiles.get(partition)
            if overlay is not None and lead_id in overlay:
                profile = overlay[lead_id]
                return None if profile is None else profile.copy()
            batch = batch.parent
        packed = self.assignment.partitions[partition].leads.get(lead_id)
        return None if packed is None else unpack(packed)

    def has(self, partition: int, lead_id: str) -> bool:
        """Whether this batch or one that it stands on changes the lead."""
        batch: Batch | None = self
        while batch is not None:
            if lead_id in batch.profiles.get(partition, ()):
                return True
            batch = batch.parent
        return False

    def take(self, records: list[Record]) -> None:
        """Makes records part of this batch, in offset order for each partition."""
        self.records += records
        next_offsets, log_times_ms = self.next_offsets, self.log_times_ms
        for partition, offset, append_ms, _, _, _ in records:
            next_offsets[partition] = offset + 1
            log_times_ms[partition] = append_ms

    def put(self, partition: int, lead_id: str, profile: Profile | None) -> None:
        """Makes a changed profile part of this batch; None forgets the lead."""
        self.changelog = None
        overlay = self.profiles.get(partition)
        if overlay is None:
            overlay = self.profiles[partition] = {}
        overlay[lead_id] = profile

    def apply_to_state(self) -> None:
        """The transaction is committed: makes this batch's profiles and offsets the committed ones.

        Partitions that are not owned any more are passed over.
        """
        for number, next_offset in self.next_offsets.items():
            partition = self.assignment.partitions.get(number)
            if partition is None:
                continue
            partition.next_offset = next_offset
            partition.log_time_ms = max(partition.log_time_ms, self.log_times_ms.get(number, 0))
            for lead_id, profile in self.profiles.get(number, {}).items():
                if profile is None:
                    partition.leads.pop(lead_id, None)
                else:
                    partition.leads[lead_id] = pack(profile)

    @property
    def empty(self) -> bool:
        """Whether there is nothing to commit."""
        return not self.next_offsets

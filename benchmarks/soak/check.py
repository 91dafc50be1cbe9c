"""The invariants in the end: every topic read again and recomputed, one partition at a time, so that it fits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from confluent_kafka import IsolationLevel, Message

from benchmarks.processes import available_bytes, resident_bytes_max
from benchmarks.soak.subscriber import Chain
from consumer.end_offsets import end_offsets
from runtime.config import Settings
from runtime.topic_specs import topic_specs
from scoring.policy import Policy
from tests.invariants import Found, Topics

BYTES_PER_EVENT = 12_000
"""Of an event with all that came of it, as Python objects. Measured with `--rate 1000`: 8 to 10 thousand."""
MEMORY_SHARE = 0.6
"""Of what is available when the soak begins: the rest is for processes that come and grow."""
SKEW = 1.3
"""The largest partition has so many times the average, with thousands of leads."""


class Checked(NamedTuple):
    """What was found.

    Attributes:
        problems: A sentence for each invariant that does not hold; empty if all is well.
        n_events: Input records.
        n_decisions: Decisions.
        n_dead_letters: Dead letters.
        n_duplicates: Records that changed nothing.
        largest_partition: Input records in it.
        memory_mb: The most that this process ever held.
    """

    problems: list[str]
    n_events: int
    n_decisions: int
    n_dead_letters: int
    n_duplicates: int
    largest_partition: int
    memory_mb: float


def events_max(n_partitions: int) -> int:
    """How many events the check has room for on this machine."""
    return int(MEMORY_SHARE * available_bytes() / BYTES_PER_EVENT / SKEW * n_partitions)


class OnePartition(Topics):
    """The same partition of all topics, read as the whole would be."""

    def __init__(self, settings: Settings, number: int) -> None:
        super().__init__(settings)
        self.number = number

    def read(self, topic: str, isolation: str = "read_committed") -> list[Message]:
        """All records of it that are there now."""
        return self._read(topic, isolation, [self.number])

    def ends(self, isolation: IsolationLevel = IsolationLevel.READ_COMMITTED) -> dict[int, int]:
        """Its end in the events topic."""
        return {self.number: super().ends(isolation)[self.number]}


def check(settings: Settings, seen: Mapping[int, Chain]) -> Checked:
    """Checks all partitions.

    Args:
        settings: Those of the instances.
        seen: What a subscriber read while faults went on, by partition.
    """
    problems = hanging_transactions(settings)
    n_events, n_decisions, n_dead_letters, largest = 0, 0, 0, 0
    for number, chain in sorted(seen.items()):
        found = Found(settings, OnePartition(settings, number))
        n_events += len(found.events)
        n_decisions += len(found.decisions)
        n_dead_letters += len(found.dead_letters)
        largest = max(largest, len(found.events))
        try:
            found.check()
        except AssertionError as error:
            problems.append(f"partition {number}: {str(error)[:500] or 'see the traceback'} ({_where(error)})")
        if not chain.begins(message.value() or b"" for message, _ in found.decisions):
            problems.append(f"partition {number}: what the subscriber saw is not how the decisions begin")
        del found
    n_duplicates = n_events - n_decisions - n_dead_letters
    memory_mb = resident_bytes_max() / 1e6
    return Checked(problems, n_events, n_decisions, n_dead_letters, n_duplicates, largest, memory_mb)


def hanging_transactions(settings: Settings) -> list[str]:
    """A sentence for each topic in which a transaction is still open, though nobody writes any more."""
    topics = Topics(settings)
    found = []
    for spec in topic_specs(settings, Policy.load(settings.policy.path or settings.policy.name).decisions):
        numbers = list(range(settings.topics.partitions))
        stable = end_offsets(topics.admin, spec.name, numbers, IsolationLevel.READ_COMMITTED)
        ends = end_offsets(topics.admin, spec.name, numbers, IsolationLevel.READ_UNCOMMITTED)
        if stable != ends:
            found.append(f"{spec.name}: a transaction hangs: {stable} of {ends} can be read")
    return found


def _where(error: AssertionError) -> str:
    """The invariant: the name of the innermost check."""
    names = []
    trace = error.__traceback__
    while trace is not None:
        names.append(trace.tb_frame.f_code.co_name)
        trace = trace.tb_next
    return names[-1].strip("_").replace("_", " ")

"""Forgets leads that count as new at their next event anyway: memory and changelog stay bounded.

What a lead's expiry means is decided when its next event is folded, by append times alone. This only cleans up behind
it, and late enough that it can make no difference: brokers' clocks may differ by less than the grace.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from consumer.assignment import Partition
from consumer.batch import Batch
from scoring.profile import last_seen_at

GRACE_MS_MAX = 24 * 3_600_000
PASS_S_MAX = 3_600.0
LEADS_PER_BATCH = 500
"""Looked at for each transaction: some 0.1 ms."""


class Purge:
    """Walks over all leads in turn, some for each transaction, and adds tombstones for those long expired.

    Args:
        retention_ms: `state.retention_days`; a lead goes after twice as long, or a day later, whatever is less.
    """

    def __init__(self, retention_ms: int) -> None:
        self._after_ms = retention_ms + min(GRACE_MS_MAX, retention_ms)
        self._pass_s = min(PASS_S_MAX, retention_ms / 10_000)
        self._walk: Iterator[tuple[int, str]] = iter(())
        self._next_pass_s = 0.0

    def add_to(self, batch: Batch, log_time_ms: int, now_s: float) -> None:
        """Adds tombstones to a batch that is about to be committed.

        Args:
            batch: Not in flight yet.
            log_time_ms: The latest append time that is known.
            now_s: Monotonic seconds, for the pause between two walks.
        """
        seen = 0
        for number, lead_id in islice(self._walk, LEADS_PER_BATCH):
            seen += 1
            partition = batch.assignment.partitions.get(number)
            packed = None if partition is None else partition.leads.get(lead_id)
            if packed is None or last_seen_at(packed) + self._after_ms > log_time_ms or batch.has(number, lead_id):
                continue
            batch.put(number, lead_id, None)
        if seen == 0 and now_s >= self._next_pass_s:
            self._next_pass_s = now_s + self._pass_s
            self._walk = _leads(batch.assignment.active())


def _leads(partitions: list[Partition]) -> Iterator[tuple[int, str]]:
    for partition in partitions:
        for lead_id in list(partition.leads):  # a copy: the state changes during the walk
            yield partition.number, lead_id

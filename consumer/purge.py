"""Forgets leads that count as new at their next event anyway: memory and changelog stay bounded.

What a lead's expiry means is decided when its next event is folded, by append times alone. This only cleans up behind
it, and late enough that it can make no difference: brokers' clocks may differ by less than the grace.
"""

from __future__ import annotations

from itertools import islice

from consumer.assignment import Partition, Walk
from consumer.batch import Batch
from scoring.profile import last_seen_at

GRACE_MS_MAX = 24 * 3_600_000
PASS_S_MAX = 3_600.0
LEADS_PER_BATCH = 500
"""Looked at for each transaction: some 0.1 ms."""


class Purge:
    """Walks over the leads of each partition in turn, some for each transaction, and adds tombstones for the expired.

    Only partitions whose offset the transaction commits are walked: the broker then refuses it as a whole if they are
    another instance's by now.

    Args:
        retention_ms: `state.retention_days`; a lead goes after twice as long, or a day later, whatever is less.
    """

    def __init__(self, retention_ms: int) -> None:
        self._after_ms = retention_ms + min(GRACE_MS_MAX, retention_ms)
        self._pass_s = min(PASS_S_MAX, retention_ms / 10_000)

    def add_to(self, batch: Batch, now_s: float) -> None:
        """Adds tombstones to a batch that is about to be committed.

        A partition's own log tells the time: with another's, or with ours, a lead of a partition that lags behind would
        be forgotten before its next event, which came in time.

        Args:
            batch: Not in flight yet.
            now_s: Monotonic seconds, for the pause between two walks over a partition.
        """
        share = max(1, LEADS_PER_BATCH // max(1, len(batch.next_offsets)))
        for number in batch.next_offsets:
            partition = batch.assignment.partitions.get(number)
            if partition is not None:
                for lead_id in self._walk(partition, now_s, share):
                    self._consider(batch, partition, lead_id)

    def _walk(self, partition: Partition, now_s: float, leads: int) -> list[str]:
        """The next leads of a partition's walk; a new walk begins when its time has come."""
        walk = partition.walk
        if walk is None or (walk.done and now_s >= walk.began_s + self._pass_s):
            walk = partition.walk = Walk(now_s, iter(list(partition.leads)))
        found = list(islice(walk.leads, leads))
        walk.done = not found
        return found

    def _consider(self, batch: Batch, partition: Partition, lead_id: str) -> None:
        packed = partition.leads.get(lead_id)
        if packed is None or last_seen_at(packed) + self._after_ms > partition.log_time_ms:
            return
        if not batch.has(partition.number, lead_id):
            batch.put(partition.number, lead_id, None)

"""Forgetting leads that count as new anyway."""

from __future__ import annotations

import gc

from consumer.assignment import Assignment
from consumer.batch import Batch
from consumer.dead_letters import Guard
from consumer.purge import LEADS_PER_BATCH, Purge
from scoring.profile import Profile, pack
from scoring.stream_gates import StreamGates

RETENTION_MS = 1000
LONG_AFTER_MS = 10_000


def assignment(**last_seen_ms: int) -> Assignment:
    """One active partition with these leads."""
    found = Assignment()
    found.add([0])
    leads = {lead_id: pack(Profile(last_seen_at=seen)) for lead_id, seen in last_seen_ms.items()}
    found.partitions[0].activate(0, leads)
    return found


def purged(found: Assignment, log_time_ms: int, batch: Batch | None = None, batches: int = 3) -> set[str]:
    """Leads with a tombstone after some batches, with the partition's log at this time."""
    found.partitions[0].log_time_ms = log_time_ms
    purge = Purge(RETENTION_MS)
    gone: set[str] = set()
    for _ in range(batches):
        target = batch or Batch(found, Guard(10, 0.5), StreamGates())
        target.next_offsets[0] = 1
        purge.add_to(target, now_s=0.0)
        gone |= {lead_id for lead_id, profile in target.profiles.get(0, {}).items() if profile is None}
    return gone


def test_a_lead_goes_after_retention_and_grace() -> None:
    """Twice the retention after its last event, where that is less than a day more."""
    found = assignment(old=0, expired=1500, fresh=2500)
    assert purged(found, log_time_ms=2000) == {"old"}


def test_a_lead_stays_as_long_as_the_log_has_not_moved_on() -> None:
    """The log's time counts, and it is not known before a first record."""
    assert purged(assignment(old=0), log_time_ms=0) == set()


def test_a_lead_that_the_batch_changes_stays() -> None:
    """Its new profile is written, not a tombstone."""
    found = assignment(old=0)
    batch = Batch(found, Guard(10, 0.5), StreamGates())
    batch.put(0, "old", Profile())
    assert purged(found, LONG_AFTER_MS, batch) == set()


def test_a_lead_of_a_partition_that_was_revoked_meanwhile_stays() -> None:
    """Its state is another instance's business."""
    found = assignment(old=0)
    purge = Purge(RETENTION_MS)
    batch = Batch(found, Guard(10, 0.5), StreamGates())
    batch.next_offsets[0] = 1
    found.partitions[0].log_time_ms = LONG_AFTER_MS
    found.remove([0])
    purge.add_to(batch, now_s=0.0)
    assert not batch.profiles


def test_all_leads_are_reached_some_at_a_time() -> None:
    """A walk takes as many transactions as it needs, and no more than its share of each."""
    leads = {f"lead-{n}": 0 for n in range(2 * LEADS_PER_BATCH)}
    assert len(purged(assignment(**leads), LONG_AFTER_MS, batches=1)) == LEADS_PER_BATCH
    assert len(purged(assignment(**leads), LONG_AFTER_MS, batches=2)) == 2 * LEADS_PER_BATCH


def test_a_partition_that_the_transaction_does_not_commit_is_left_alone() -> None:
    """Nothing would refuse the tombstone if the partition were somebody else's by now."""
    found = assignment(old=0)
    batch = Batch(found, Guard(10, 0.5), StreamGates())
    batch.next_offsets[1] = 1
    Purge(RETENTION_MS).add_to(batch, now_s=0.0)
    assert not batch.profiles


def test_a_committed_tombstone_removes_the_lead() -> None:
    """It leaves memory with the transaction that carries its tombstone."""
    found = assignment(old=0)
    batch = Batch(found, Guard(10, 0.5), StreamGates())
    batch.put(0, "old", None)
    batch.next_offsets[0] = 1
    batch.apply_to_state()
    assert found.partitions[0].leads == {}


def test_what_was_given_up_is_not_kept() -> None:
    """The walk over a partition's leads ends with it: two states at a time would be twice the memory."""
    found = assignment(old=0)
    purge = Purge(RETENTION_MS)
    batch = Batch(found, Guard(10, 0.5), StreamGates())
    batch.next_offsets[0] = 1
    purge.add_to(batch, now_s=0.0)
    partition = found.partitions[0]
    found.remove([0])
    del batch
    gc.collect()
    assert gc.get_referrers(partition) == []

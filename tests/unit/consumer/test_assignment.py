"""The owned partitions and where each of them is."""

from __future__ import annotations

from consumer.assignment import Assignment, Phase


def test_a_new_partition_is_not_read() -> None:
    """It waits for its state first."""
    assignment = Assignment()
    assignment.add([3])
    assert assignment.active() == []
    assert assignment.partitions[3].phase is Phase.RESTORING


def test_an_activated_partition_reads_from_its_next_offset() -> None:
    """Position and committed offset begin as one."""
    assignment = Assignment()
    assignment.add([3])
    assignment.partitions[3].activate(17, {"l": b"packed"})
    (active,) = assignment.active()
    assert (active.next_offset, active.position, active.leads) == (17, 17, {"l": b"packed"})


def test_adding_again_begins_anew() -> None:
    """What was restored for the earlier ownership is nothing for the new one."""
    assignment = Assignment()
    assignment.add([3])
    earlier = assignment.partitions[3]
    earlier.activate(17, {"l": b"packed"})
    assignment.add([3])
    assert earlier.dropped
    assert assignment.partitions[3] is not earlier
    assert assignment.partitions[3].leads == {}


def test_a_tenure_ends_with_the_assignment_that_began_it() -> None:
    """Two partitions of one assignment share it; its state may be restored meanwhile; being assigned again ends it."""
    assignment = Assignment()
    assignment.add([3, 4])
    first = assignment.partitions[3]
    assert assignment.partitions[4].tenure == first.tenure
    assignment.renew([3])
    assert first.dropped
    assert assignment.partitions[3].tenure == first.tenure
    assignment.add([3])
    assert assignment.partitions[3].tenure > first.tenure


def test_a_removed_partition_tells_its_restore() -> None:
    """A restore under way holds the partition and sees that nobody waits for it."""
    assignment = Assignment()
    assignment.add([1, 2])
    gone = assignment.partitions[1]
    assignment.remove([1])
    assert gone.dropped
    assert [partition.number for partition in assignment.snapshot()] == [2]


def test_removing_what_is_not_owned_does_nothing() -> None:
    """A partition may be revoked and lost."""
    assignment = Assignment()
    assignment.remove([5])
    assert assignment.snapshot() == []


def test_a_snapshot_does_not_follow() -> None:
    """Another thread walks over it while the assignment changes."""
    assignment = Assignment()
    assignment.add([1])
    snapshot = assignment.snapshot()
    assignment.remove([1])
    assert [partition.number for partition in snapshot] == [1]

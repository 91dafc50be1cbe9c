"""What a transaction holds: an overlay over the state that a commit makes part of it and an abort just drops."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.assignment import Assignment
from consumer.batch import Batch, Tally
from consumer.dead_letters import Guard
from consumer.records import Output
from scoring.profile import Profile, pack, unpack
from scoring.stream_gates import StreamGates
from tests.unit.consumer.fakes import record

PARTITIONS = [0, 1]
LEADS = ["a", "b", "c"]
Changes = list[tuple[int, str, Profile | None]]
changes = st.lists(st.tuples(st.sampled_from(PARTITIONS), st.sampled_from(LEADS), st.integers(-1, 9)), max_size=6).map(
    lambda drawn: [(at, lead_id, profile_of(n)) for at, lead_id, n in drawn]
)
State = dict[tuple[int, str], Profile | None]


def profile_of(n: int) -> Profile | None:
    return None if n < 0 else Profile(page_visits=n, last_offset=n)


def assignment(committed: State | None = None) -> Assignment:
    found = Assignment()
    found.add(PARTITIONS)
    for number in PARTITIONS:
        profiles = {lead_id: profile for (at, lead_id), profile in (committed or {}).items() if at == number}
        found.partitions[number].activate(0, {lead_id: pack(p) for lead_id, p in profiles.items() if p is not None})
    return found


def batch(over: Assignment | None = None, parent: Batch | None = None) -> Batch:
    return Batch(over or assignment(), Guard(3, 1.0), StreamGates(), parent)


def put(target: Batch, changed: Changes) -> None:
    for number, lead_id, profile in changed:
        target.put(number, lead_id, None if profile is None else profile.copy())
        target.next_offsets[number] = max(target.next_offsets.get(number, 0), profile.last_offset + 1 if profile else 0)


def seen(through: Batch) -> State:
    return {(number, lead_id): through.profile(number, lead_id) for number in PARTITIONS for lead_id in LEADS}


def committed(found: Assignment) -> State:
    """The committed state, unpacked."""
    return {
        (number, lead_id): unpack(packed) if (packed := found.partitions[number].leads.get(lead_id)) else None
        for number in PARTITIONS
        for lead_id in LEADS
    }


def last_of(*levels: Changes) -> State:
    """What a plain dictionary would hold after all changes in order."""
    state: State = {(number, lead_id): None for number in PARTITIONS for lead_id in LEADS}
    for level in levels:
        state.update({(number, lead_id): profile for number, lead_id, profile in level})
    return state


@given(changes, changes, changes)
def test_the_latest_change_is_seen_through_all_levels(
    base: Changes,
    in_flight: Changes,
    own: Changes,
) -> None:
    """An open batch over one in flight over the state reads like one dictionary, tombstones included."""
    parent = batch(assignment(last_of(base)))
    put(parent, in_flight)
    child = batch(parent.assignment, parent)
    put(child, own)
    assert seen(child) == last_of(base, in_flight, own)


@given(changes, changes)
def test_a_dropped_child_leaves_no_trace(first: Changes, tried: Changes) -> None:
    """Whatever is done in a child, and to the profiles that it reads, the parent is as it was."""
    parent = batch()
    put(parent, first)
    before = seen(parent)
    child = parent.child()
    put(child, tried)
    child.guard.admit(bytearray([1, 1]))
    child.gates.add_update(Profile())
    child.tally.results["scored"] += 1
    child.outputs.append(Output("t", 0, None, None, 0))
    for number, lead_id in before:
        profile = child.profile(number, lead_id)
        if profile is not None:
            profile.page_visits += 1000
    assert seen(parent) == before
    assert parent.guard.admit(bytearray([1, 1, 1])) == 3
    assert parent.gates.ratios() == StreamGates().ratios()
    assert (parent.outputs, parent.tally) == ([], Tally())


@given(changes, changes)
def test_absorbing_a_child_is_as_if_it_was_done_directly(first: Changes, second: Changes) -> None:
    """Profiles and next offsets, before and after the commit."""
    tried, direct = batch(), batch()
    for target in (tried, direct):
        put(target, first)
    child = tried.child()
    put(child, second)
    child.next_offsets.update({k: max(v, tried.next_offsets.get(k, 0)) for k, v in child.next_offsets.items()})
    tried.absorb(child)
    put(direct, second)
    assert (seen(tried), tried.next_offsets) == (seen(direct), direct.next_offsets)
    tried.apply_to_state()
    direct.apply_to_state()
    assert committed(tried.assignment) == committed(direct.assignment)


def test_absorbing_takes_everything_over() -> None:
    """Records, outputs, counts, guard, gates and the limit."""
    parent = batch()
    parent.records.append(record(0))
    parent.tally.results["scored"] += 1
    child = parent.child()
    child.records.append(record(1))
    child.outputs.append(Output("t", 0, b"k", b"v", 5))
    child.tally.results["scored"] += 2
    child.tally.scored_append_ms.append(7)
    child.guard.admit(bytearray([1, 1, 1]))
    child.gates.add_update(Profile())
    child.limit = child.guard.limit_error()
    parent.absorb(child)
    assert [taken.offset for taken in parent.records] == [0, 1]
    assert parent.outputs == [Output("t", 0, b"k", b"v", 5)]
    assert (parent.tally.results["scored"], parent.tally.scored_append_ms) == (3, [7])
    assert parent.guard.admit(bytearray([1])) == 0
    assert parent.gates.ratios().null_headcount == 1.0
    assert parent.limit is child.limit


@given(changes, changes)
def test_a_commit_makes_the_overlay_the_state(base: Changes, own: Changes) -> None:
    """Before it nothing of the batch is in the state, after it all of it; a tombstone removes the lead."""
    found = assignment(last_of(base))
    target = batch(found)
    put(target, own)
    for number in PARTITIONS:
        target.next_offsets[number] = 42
    assert committed(found) == last_of(base)
    target.apply_to_state()
    assert committed(found) == last_of(base, own)
    assert [partition.next_offset for partition in found.snapshot()] == [42, 42]


def test_a_commit_passes_over_what_is_not_owned_any_more() -> None:
    """A partition that was given up while it was committed; the other is applied."""
    found = assignment()
    target = batch(found)
    put(target, [(0, "a", Profile(last_offset=4)), (1, "a", Profile(last_offset=8))])
    found.remove([0])
    target.apply_to_state()
    assert [(partition.number, partition.next_offset) for partition in found.snapshot()] == [(1, 9)]


def test_a_profile_that_was_read_is_the_readers() -> None:
    """Without `put` what is done to it is not part of the batch, be it read from the state or from the parent."""
    parent = batch(assignment({(0, "a"): Profile(page_visits=1)}))
    put(parent, [(0, "b", Profile(page_visits=1))])
    child = parent.child()
    for lead_id in ("a", "b"):
        profile = child.profile(0, lead_id)
        assert profile is not None
        profile.page_visits = 1000
    assert [child.profile(0, lead_id) for lead_id in ("a", "b")] == [Profile(page_visits=1)] * 2


def test_leads_of_two_partitions_are_two() -> None:
    """State is per lead within a partition, should a lead's events ever lie in two."""
    target = batch()
    target.put(0, "a", Profile(page_visits=1))
    assert target.profile(1, "a") is None


def test_a_change_is_found_on_any_level() -> None:
    """`has` sees tombstones and the batch in flight, and is not fooled by the committed state."""
    parent = batch(assignment({(0, "a"): Profile()}))
    parent.put(0, "b", None)
    child = parent.child()
    child.put(1, "c", Profile())
    assert [child.has(0, "a"), child.has(0, "b"), child.has(1, "c"), child.has(1, "b")] == [False, True, True, False]


def test_a_batch_of_offsets_alone_is_not_empty() -> None:
    """Start offsets and ends of caught-up partitions are committed without any output."""
    target = batch()
    assert target.empty
    target.next_offsets[0] = 5
    assert not target.empty


@pytest.mark.parametrize(
    "count",
    [
        lambda tally: tally.results.update(scored=1),
        lambda tally: tally.decisions.update({("nurture", "MODEL"): 1}),
        lambda tally: tally.actions.update(nurture=1),
        lambda tally: tally.fallbacks.update(deadline=1),
        lambda tally: tally.dead_letters.update(oversized=1),
        lambda tally: tally.scored_append_ms.append(1),
        lambda tally: tally.model_scores.append(0.5),
    ],
)
def test_a_tally_takes_every_count_over(count: Callable[[Tally], None]) -> None:
    """One on either side makes two, whatever is counted."""
    left, right, both = Tally(), Tally(), Tally()
    count(left)
    count(right)
    count(both)
    left.add(right)
    both.add(right)
    assert left == both != right

"""The simulated brokers behave as Kafka does, where the service depends on it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from confluent_kafka import KafkaError

from tests.simulation.cluster import DECISIONS, PROFILES, Cluster
from tests.simulation.coordinator import Identity, RefusedError
from tests.simulation.group import Membership
from tests.simulation.kernel import Kernel
from tests.simulation.logs import Entry
from tests.simulation.scenario import scenario_of

HERE = (DECISIONS, 0)
THERE = (PROFILES, 0)


@pytest.fixture
def cluster() -> Cluster:
    return Cluster(Kernel(0), scenario_of(0), pytest.fail)


def test_a_reader_of_committed_records_sees_them_when_their_marker_is_there(cluster: Cluster) -> None:
    """Between the decision and the marker the last stable offset stays before the transaction."""
    identity = _write(cluster, HERE)
    cluster.coordinator.end(identity, commit=True)
    log = cluster.log(HERE)
    assert (log.stable_end, log.end, list(log.committed())) == (0, 1, [])
    _let_pass(cluster)
    assert (log.stable_end, log.end) == (2, 2)
    assert [entry.value for _, entry in log.committed()] == [b"value"]


def test_aborted_records_take_offsets_and_are_not_seen(cluster: Cluster) -> None:
    """What was aborted leaves a gap, and so does its marker."""
    cluster.coordinator.end(_write(cluster, HERE), commit=False)
    _let_pass(cluster)
    cluster.log(HERE).append(Entry(b"key", b"plain", None, 0, None))
    assert [offset for offset, _ in cluster.log(HERE).committed()] == [2]


def test_markers_reach_partitions_one_by_one(cluster: Cluster) -> None:
    """One partition shows a transaction while another still hides it."""
    identity = _write(cluster, HERE, THERE)
    cluster.coordinator.end(identity, commit=True)
    seen = set()

    def look() -> bool:
        seen.add((bool(list(cluster.log(HERE).committed())), bool(list(cluster.log(THERE).committed()))))
        return (True, True) in seen

    cluster.kernel.run(look, every_s=0.0001, until_s=10)
    assert seen & {(True, False), (False, True)}


def test_taking_over_an_id_fences_and_aborts(cluster: Cluster) -> None:
    """The next holder of a transactional id ends what the one before left open, and shuts it out."""
    old = _write(cluster, HERE)
    assert _refusal(lambda: cluster.coordinator.initialise("id")) == KafkaError.CONCURRENT_TRANSACTIONS
    _let_pass(cluster)
    cluster.coordinator.initialise("id")
    assert _refusal(lambda: cluster.coordinator.end(old, commit=True)) == KafkaError.INVALID_PRODUCER_EPOCH
    assert list(cluster.log(HERE).committed()) == []


def test_a_transaction_that_outlives_its_timeout_is_aborted(cluster: Cluster) -> None:
    """And its producer is fenced."""
    identity = _write(cluster, HERE)
    _let_pass(cluster, 60)
    assert _refusal(lambda: cluster.coordinator.end(identity, commit=True)) == KafkaError.INVALID_PRODUCER_EPOCH
    assert cluster.coordinator.open == []


def test_a_late_end_ends_the_next_transaction(cluster: Cluster) -> None:
    """Before KIP-890 an end names no transaction: that is why a slow end must be followed by a new epoch."""
    identity = _write(cluster, HERE)
    cluster.coordinator.end(identity, commit=True)
    _let_pass(cluster)
    _append(cluster, identity, HERE)
    cluster.coordinator.end(identity, commit=True)  # the late copy of the first
    _let_pass(cluster)
    assert len(list(cluster.log(HERE).committed())) == 2


def test_pending_offsets_are_waited_for(cluster: Cluster) -> None:
    """Between the request and its marker the group's offset is not told."""
    group, identity = cluster.group, _write(cluster, HERE)
    write = cluster.coordinator.add_offsets(identity, group)
    group.add_pending(write, Membership("", -1), {0: (7, "")})
    cluster.coordinator.end(identity, commit=True)
    assert _refusal(lambda: group.fetch([0])) == KafkaError.UNSTABLE_OFFSET_COMMIT
    _let_pass(cluster)
    assert group.fetch([0]) == {0: (7, "")}


def test_a_commit_under_another_generation_is_refused(cluster: Cluster) -> None:
    """Who is not a member, or was one before the last rebalance, cannot commit; who names nobody can."""
    write = cluster.coordinator.add_offsets(_write(cluster, HERE), cluster.group)
    stranger = Membership("stranger", 0)
    assert _refusal(lambda: cluster.group.add_pending(write, stranger, {})) == KafkaError.UNKNOWN_MEMBER_ID
    cluster.group.add_pending(write, Membership("", -1), {})


def test_compaction_keeps_the_latest_of_each_key(cluster: Cluster) -> None:
    """And offsets stay where they are."""
    log = cluster.log(THERE)
    for value in (b"1", b"2", b"3"):
        log.append(Entry(b"key", value, None, 0, None))
    log.compact()
    assert [(offset, entry.value) for offset, entry in log.committed()] == [(2, b"3")]
    assert log.end == 3


def _write(cluster: Cluster, *places: tuple[str, int]) -> Identity:
    identity = cluster.coordinator.initialise("id")
    for place in places:
        _append(cluster, identity, place)
    return identity


def _append(cluster: Cluster, identity: Identity, place: tuple[str, int]) -> None:
    cluster.coordinator.add_places(identity, {place})
    cluster.coordinator.append(identity, place, [Entry(b"key", b"value", None, 0, None)])


def _let_pass(cluster: Cluster, seconds: float = 10.0) -> None:
    cluster.kernel.run(lambda: False, every_s=1.0, until_s=cluster.kernel.now_s + seconds)


def _refusal(call: Callable[[], Any]) -> int:
    with pytest.raises(RefusedError) as refused:
        call()
    return refused.value.code

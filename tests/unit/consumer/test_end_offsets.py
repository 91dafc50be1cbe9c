"""The ends of partitions, and a broker that does not tell them."""

from __future__ import annotations

from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import OFFSET_INVALID, IsolationLevel, KafkaError, KafkaException, TopicPartition

from consumer.end_offsets import end_offsets, known_end_offsets


class Admin:
    """Answers `list_offsets` with what it was given."""

    def __init__(self, offsets: dict[int, int], error: KafkaException | None = None) -> None:
        self._offsets, self._error = offsets, error
        self.refreshed = 0

    def list_topics(self, *, timeout: float) -> None:
        assert timeout > 0
        self.refreshed += 1

    def list_offsets(self, asked: dict[TopicPartition, Any], **_: Any) -> dict[TopicPartition, Future[Any]]:
        futures: dict[TopicPartition, Future[Any]] = {}
        for partition in asked:
            futures[partition] = Future()
            if self._error is not None:
                futures[partition].set_exception(self._error)
            elif partition.partition not in self._offsets:
                futures[partition].set_exception(KafkaException(KafkaError(KafkaError.LEADER_NOT_AVAILABLE)))
            else:
                futures[partition].set_result(SimpleNamespace(offset=self._offsets[partition.partition]))
        return futures


def test_ends_are_told_by_partition() -> None:
    """Each partition has its own end, 0 for an empty one."""
    admin: Any = Admin({0: 7, 1: 0})
    assert end_offsets(admin, "events", [0, 1], IsolationLevel.READ_COMMITTED) == {0: 7, 1: 0}


def test_a_silent_broker_is_an_error() -> None:
    """An offset that the client makes up for want of an answer is no end: a restore up to it would restore nothing."""
    admin: Any = Admin({0: 7, 1: OFFSET_INVALID})
    with pytest.raises(KafkaException, match="_TIMED_OUT"):
        end_offsets(admin, "events", [0, 1], IsolationLevel.READ_UNCOMMITTED)


def test_an_error_refreshes_what_the_client_knows() -> None:
    """The client would go on asking with the epoch of a leader that is gone: the next call must know better."""
    admin: Any = Admin({}, KafkaException(KafkaError(KafkaError.FENCED_LEADER_EPOCH)))
    with pytest.raises(KafkaException, match="FENCED_LEADER_EPOCH"):
        end_offsets(admin, "events", [0], IsolationLevel.READ_UNCOMMITTED)
    assert admin.refreshed == 1


def test_silence_refreshes_what_the_client_knows() -> None:
    """Another broker may lead by now: the client would ask the dead one for five minutes."""
    admin: Any = Admin({0: OFFSET_INVALID})
    with pytest.raises(KafkaException, match="no offsets of"):
        end_offsets(admin, "events", [0], IsolationLevel.READ_COMMITTED)
    assert admin.refreshed == 1


def test_what_is_known_is_told_where_that_is_enough() -> None:
    """One partition without a leader hides the ends of no other one; the client looks for its new leader."""
    admin: Any = Admin({0: 7, 1: OFFSET_INVALID})
    assert known_end_offsets(admin, "events", [0, 1, 2]) == {0: 7}
    assert admin.refreshed == 1


def test_where_nothing_is_known_the_error_is_told() -> None:
    """No broker answers."""
    admin: Any = Admin({0: OFFSET_INVALID})
    with pytest.raises(KafkaException, match="LEADER_NOT_AVAILABLE"):
        known_end_offsets(admin, "events", [0, 2])

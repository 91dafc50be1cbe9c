"""A topic is read to its end, and what stands in the way is named."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from confluent_kafka import KafkaError, KafkaException

from consumer.topic_reader import read_topic
from runtime.errors import ConfigurationError, KafkaUnavailableError
from tests.unit.consumer.fakes import TOPIC, FakeConsumer, end, message, told


class Cluster(FakeConsumer):
    """A consumer to whom the brokers tell something about one topic."""

    def __init__(self, *said: object, partitions: tuple[int, ...] = (0,), refusal: int | None = None) -> None:
        super().__init__({(TOPIC, 0): list(said)})  # type: ignore[arg-type]
        error = None if refusal is None else KafkaError(refusal, "so it says")
        self._found = SimpleNamespace(partitions=dict.fromkeys(partitions), error=error)

    def list_topics(self, topic: str, timeout: float) -> SimpleNamespace:
        assert timeout > 0
        return SimpleNamespace(topics={topic: self._found})


def test_it_ends_where_the_topic_ends() -> None:
    """What comes after is not waited for."""
    cluster = Cluster(message(0), message(1), end(2))
    assert [found.offset() for found in read_topic(cluster.client, TOPIC)] == [0, 1]


def test_a_topic_that_is_not_there_is_named_with_the_command_that_creates_it() -> None:
    """Exit code 2."""
    cluster = Cluster(partitions=(), refusal=KafkaError.UNKNOWN_TOPIC_OR_PART)
    with pytest.raises(ConfigurationError, match=f"{TOPIC}: does not exist; `lead-scorer topics create`"):
        list(read_topic(cluster.client, TOPIC))


def test_a_topic_that_may_not_be_seen_is_not_called_missing() -> None:
    """Exit code 3: to create it would not help."""
    cluster = Cluster(partitions=(), refusal=KafkaError.TOPIC_AUTHORIZATION_FAILED)
    with pytest.raises(KafkaUnavailableError, match=f"not authorised to read {TOPIC}"):
        list(read_topic(cluster.client, TOPIC))


def test_a_topic_that_may_be_seen_and_not_read_says_so() -> None:
    """Describe and Read are two rights."""
    cluster = Cluster(told(KafkaError.TOPIC_AUTHORIZATION_FAILED))
    with pytest.raises(KafkaUnavailableError, match=f"not authorised to read {TOPIC}"):
        list(read_topic(cluster.client, TOPIC))


def test_another_error_is_raised_as_it_is() -> None:
    """Nothing is passed over."""
    with pytest.raises(KafkaException):
        list(read_topic(Cluster(told(KafkaError._BAD_MSG)).client, TOPIC))

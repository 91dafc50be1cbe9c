"""How topics are asked for: passing faults are waited out, refusals told, missing rights lived with."""

from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.cimpl import NewTopic
from structlog.testing import capture_logs

from runtime import topics
from runtime.config import Settings
from runtime.errors import ConfigurationError, KafkaUnavailableError
from runtime.topic_specs import topic_specs


def done(result: Any) -> "Future[Any]":
    """A future that has its result, or fails with an error code."""
    future: Future[Any] = Future()
    if isinstance(result, int):
        future.set_exception(KafkaException(KafkaError(result, "as scripted")))
    else:
        future.set_result(result)
    return future


class Cluster:
    """An admin client on a cluster in memory; `faults` are answered first, one for each request.

    A new topic's settings are asked `unheard` times of brokers that have not heard of it yet. With `silent` the broker
    that the client asks says nothing, until the client asks for the metadata and hears of another; with
    `silent_from_creation` it is so from the first creation on.
    """

    def __init__(self, *faults: int, config_fault: int | None = None, create_fault: int | None = None):
        self.faults = list(faults)
        self.config_fault = config_fault
        self.unheard = 0
        self.silent = False
        self.silent_from_creation = False
        self._told: dict[str, int] = {}
        self.create_fault = create_fault
        self.topics: dict[str, NewTopic] = {}

    def describe_topics(self, collection: TopicCollection, **_: Any) -> dict[str, "Future[Any]"]:
        (name,) = collection.topic_names
        if self.silent:
            return {name: done(KafkaError._TIMED_OUT)}
        return {name: done(self.faults.pop(0) if self.faults else self._description(name))}

    def _description(self, name: str) -> Any:
        if name not in self.topics:
            return KafkaError.UNKNOWN_TOPIC_OR_PART
        return SimpleNamespace(topic_id=f"id-{name}", partitions=range(self.topics[name].num_partitions))

    def describe_configs(self, resources: list[Any], **_: Any) -> dict[Any, "Future[Any]"]:
        (resource,) = resources
        if self.config_fault is not None:
            return {resource: done(self.config_fault)}
        self._told[resource.name] = self._told.get(resource.name, 0) + 1
        if self._told[resource.name] <= self.unheard:
            return {resource: done(KafkaError.UNKNOWN_TOPIC_OR_PART)}
        config = {"max.message.bytes": "1048588", "retention.ms": "1", **(self.topics[resource.name].config or {})}
        return {resource: done({name: SimpleNamespace(name=name, value=value) for name, value in config.items()})}

    def list_topics(self, **_: Any) -> None:
        if not self.silent:
            raise KafkaException(KafkaError(KafkaError._TRANSPORT))
        self.silent = False

    def create_topics(
        self, new: list[NewTopic], *, operation_timeout: float, request_timeout: float
    ) -> dict[str, "Future[Any]"]:
        (topic,) = new
        assert operation_timeout < request_timeout < 30.0  # what is asked of the cluster as a whole
        self.silent, self.silent_from_creation = self.silent or self.silent_from_creation, False
        if self.silent:
            return {topic.topic: done(KafkaError._TIMED_OUT)}
        if self.create_fault is not None:
            return {topic.topic: done(self.create_fault)}
        self.topics[topic.topic] = topic
        return {topic.topic: done(None)}


SPECS = topic_specs(Settings(), ["nurture"])


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is waited for."""
    monkeypatch.setattr(topics, "_RETRY_S", 0.0)


def test_what_is_missing_is_created_and_right() -> None:
    """On an empty cluster all topics are created, and then found in order."""
    cluster: Any = Cluster()
    assert topics.create_topics(cluster, SPECS) == [spec.name for spec in SPECS]
    assert topics.check_topics(cluster, SPECS) == []


def test_brokers_that_have_not_heard_of_a_new_topic_are_asked_again() -> None:
    """The next broker may be behind; the dead letters still get what the settings of the events ask for."""
    cluster: Any = Cluster()
    cluster.unheard = 1
    topics.create_topics(cluster, SPECS)
    assert topics.check_topics(cluster, SPECS) == []


def test_a_new_topic_that_stays_unknown_ends_in_3(monkeypatch: pytest.MonkeyPatch) -> None:
    """Then nothing is created by settings that were guessed."""
    monkeypatch.setattr(topics, "PATIENCE_S", 0.0)
    cluster: Any = Cluster()
    cluster._description = lambda _: KafkaError.UNKNOWN_TOPIC_OR_PART
    with pytest.raises(KafkaUnavailableError, match=SPECS[0].name):
        topics.create_topics(cluster, SPECS)
    assert list(cluster.topics) == [SPECS[0].name]


def test_a_passing_fault_is_waited_out() -> None:
    """While a controller is elected or a leader moves, the request is repeated."""
    cluster: Any = Cluster(KafkaError.LEADER_NOT_AVAILABLE, KafkaError._TRANSPORT, KafkaError.REQUEST_TIMED_OUT)
    assert topics.describe(cluster, ["x"]) == {}
    assert cluster.faults == []


def test_one_silent_broker_of_several_is_not_asked_for_ever() -> None:
    """The client learns of others from their metadata, which may be out of reach too for a while."""
    cluster: Any = Cluster(KafkaError._TIMED_OUT, KafkaError.LEADER_NOT_AVAILABLE)
    cluster.silent = True
    assert topics.describe(cluster, ["x"]) == {}
    assert cluster.faults == []


def test_a_creation_that_is_not_answered_is_asked_of_others() -> None:
    """The controller that the client was told of may be the broker that is silent."""
    cluster: Any = Cluster()
    cluster.silent_from_creation = True
    assert topics.create_topics(cluster, SPECS) == [spec.name for spec in SPECS]


def test_a_cluster_that_does_not_answer_ends_in_3() -> None:
    """A fault that does not pass in time is Kafka being unavailable."""
    cluster: Any = Cluster(KafkaError._TIMED_OUT)
    with pytest.raises(KafkaUnavailableError, match="does not answer: as scripted"):
        topics.describe(cluster, ["x"], patience_s=0)


def test_a_principal_without_rights_ends_in_3() -> None:
    """Not even knowing of a topic is not cured by waiting."""
    cluster: Any = Cluster(KafkaError.TOPIC_AUTHORIZATION_FAILED)
    with pytest.raises(KafkaUnavailableError, match=r"does not let us in.* rights on x"):
        topics.describe(cluster, ["x"])


def test_to_ask_for_a_topic_does_not_create_it() -> None:
    """It is described: asked for its metadata, a broker that creates topics by itself makes it up."""
    cluster: Any = Cluster(KafkaError.LEADER_NOT_AVAILABLE)
    assert not topics.exists(cluster, SPECS[0].name)
    topics.create_topics(cluster, SPECS)
    assert topics.exists(cluster, SPECS[0].name)


def test_settings_that_may_not_be_read_are_not_judged() -> None:
    """Without the right to DescribeConfigs a warning is logged for each topic, and the rest is checked."""
    cluster: Any = Cluster()
    topics.create_topics(cluster, SPECS)
    cluster.config_fault = KafkaError.TOPIC_AUTHORIZATION_FAILED
    with capture_logs() as logs:
        assert topics.check_topics(cluster, SPECS) == []
    assert [(line["event"], line["topic"]) for line in logs] == [
        ("topic_settings_not_checked", spec.name) for spec in SPECS
    ]


def test_a_topic_that_another_created_meanwhile_is_no_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two that create at once: each topic is created by one of them, and checked by both."""
    cluster: Any = Cluster()
    first = topics.create_topics

    def overtaken(admin: Any, names: list[str], **given: Any) -> dict[str, topics.Topic]:
        found = describe(admin, names, **given)
        monkeypatch.setattr(topics, "describe", describe)
        first(admin, SPECS)
        cluster.create_fault = KafkaError.TOPIC_ALREADY_EXISTS
        return found

    describe = topics.describe
    monkeypatch.setattr(topics, "describe", overtaken)
    assert topics.create_topics(cluster, SPECS) == []


def test_every_refused_topic_is_told() -> None:
    """What the cluster's policy refuses is a configuration fault, with its words."""
    cluster: Any = Cluster(create_fault=KafkaError.POLICY_VIOLATION)
    with pytest.raises(ConfigurationError) as raised:
        topics.create_topics(cluster, SPECS)
    assert raised.value.faults == (f"{SPECS[0].name}: cannot be created: as scripted",)

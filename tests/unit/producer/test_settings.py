from typing import Any

import pytest

from producer.settings import ProducerSettings
from runtime.config import Kafka, Settings, Topics
from runtime.errors import ConfigurationError
from runtime.kafka import producer_properties


def test_all_faults_are_reported_at_once() -> None:
    """Each with its name."""
    wrong: dict[str, Any] = {"source": "", "topic": "a b", "queue_timeout_s": 0, "client": {"acks": 1}}
    with pytest.raises(ConfigurationError) as caught:
        ProducerSettings(**wrong)
    assert len(caught.value.faults) == 4


@pytest.mark.parametrize("name", ["acks", "enable.idempotence", "partitioner", "retries"])
def test_what_the_guarantee_rests_on_cannot_be_changed(name: str) -> None:
    """Idempotence and Java's partitions are refused by name."""
    with pytest.raises(ConfigurationError, match=name):
        ProducerSettings(source="s", client={name: "1"})


def test_client_properties_pass_through_over_the_defaults() -> None:
    """Batching and time limits are the user's."""
    settings = ProducerSettings(source="s", client={"linger.ms": 50, "client.id": "shop"})
    properties = producer_properties(settings.configuration)
    assert (properties["linger.ms"], properties["client.id"]) == ("50", "shop")


def test_the_producer_is_idempotent_and_partitions_as_java_does() -> None:
    """Whatever else is set."""
    properties = producer_properties(ProducerSettings(source="s").configuration)
    assert (properties["enable.idempotence"], properties["partitioner"]) == ("true", "murmur2")


def test_secrets_are_not_shown() -> None:
    """Settings end up in logs and tracebacks."""
    settings = ProducerSettings(
        source="s", client={"sasl.password": "hush"}, registry_url="http://me:hush@host", registry_client={"a": "hush"}
    )
    assert "hush" not in repr(settings)


def test_a_scorers_configuration_gives_the_same_brokers_and_topic() -> None:
    """The commands use the one that the scorer has."""
    scorer = Settings(kafka=Kafka(bootstrap_servers="k:1"), topics=Topics(events="e"))
    settings = ProducerSettings.of_scorer(scorer, source="s")
    assert (settings.bootstrap_servers, settings.topic) == ("k:1", "e")

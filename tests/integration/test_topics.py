"""Topics on a real broker: created as contract 2 says, checked, and created only once."""

import pytest
from confluent_kafka.admin import AdminClient
from typer.testing import CliRunner

from cli.main import app
from runtime import kafka, topics
from runtime.config import Settings, load
from runtime.errors import ConfigurationError
from runtime.kafka import Admin
from runtime.topic_specs import DAY_MS, UNBOUNDED_MS
from tests.kafka import Namespace

DECISIONS = ["disqualify", "nurture", "contact_now", "manual_review"]


@pytest.fixture
def settings(namespace: Namespace) -> Settings:
    """Three partitions and names of the test's own."""
    return load(None, {**namespace.environ(), "LEAD_SCORER__TOPICS__PARTITIONS": "3"})


@pytest.fixture
def admin(settings: Settings) -> Admin:
    return kafka.admin(settings)


def effective(admin: AdminClient, name: str) -> topics.Topic:
    return topics.describe(admin, [name])[name]


def test_all_topics_are_created_with_their_settings(admin: Admin, settings: Settings) -> None:
    """A fresh cluster gets every topic of contract 2, with partitions, policy, timestamps, size and retention."""
    created = topics.create_topics(admin, topics.topic_specs(settings, DECISIONS))
    assert set(created) == {
        settings.topics.events,
        settings.topics.decisions,
        settings.topics.profiles,
        settings.topics.dead_letters,
        *(settings.topics.action(decision) for decision in DECISIONS),
    }
    found = topics.describe(admin, created)
    assert {topic.partitions for topic in found.values()} == {3}
    configs = {name: topic.config or {} for name, topic in found.items()}
    events, dead_letters = configs[settings.topics.events], configs[settings.topics.dead_letters]
    assert (events["message.timestamp.type"], events["cleanup.policy"]) == ("LogAppendTime", "delete")
    assert configs[settings.topics.profiles]["cleanup.policy"] == "compact"
    assert configs[settings.topics.action("contact_now")]["message.timestamp.after.max.ms"] == str(UNBOUNDED_MS)
    assert int(dead_letters["max.message.bytes"]) == int(events["max.message.bytes"]) + 65_536
    assert int(dead_letters["retention.ms"]) == int(events["retention.ms"]) + 14 * DAY_MS == 28 * DAY_MS


def test_creating_again_changes_nothing(admin: Admin, settings: Settings) -> None:
    """The second call finds everything in order and creates nothing."""
    specs = topics.topic_specs(settings, DECISIONS)
    topics.create_topics(admin, specs)
    assert topics.create_topics(admin, specs) == []
    assert topics.check_topics(admin, specs) == []


def test_only_what_is_missing_is_created(admin: Admin, settings: Settings) -> None:
    """A new decision of the policy gets its topic beside those that exist."""
    topics.create_topics(admin, topics.topic_specs(settings, DECISIONS[:1]))
    assert topics.create_topics(admin, topics.topic_specs(settings, DECISIONS[:2])) == [
        settings.topics.action("nurture")
    ]


def test_wrong_topics_are_all_named_and_nothing_is_created(
    namespace: Namespace, admin: Admin, settings: Settings
) -> None:
    """Each wrong setting is told with topic, setting, what it is and what it must be; missing topics stay missing."""
    events = namespace.create("events", partitions=2, config={"message.timestamp.type": "CreateTime"})
    profiles = namespace.create("profiles", partitions=3)
    with pytest.raises(ConfigurationError) as raised:
        topics.create_topics(admin, topics.topic_specs(settings, DECISIONS))
    assert set(raised.value.faults) == {
        f"{events}: partitions is 2, must be 3 (topics.partitions)",
        f"{events}: message.timestamp.type is CreateTime, must be LogAppendTime",
        f"{events}: retention.ms is 604800000, must be at least 1209600000 (topics.retention_days)",
        f"{profiles}: cleanup.policy is delete, must be compact",
        f"{profiles}: message.timestamp.after.max.ms is 3600000, must be {UNBOUNDED_MS}",
    }
    assert settings.topics.decisions not in topics.describe(admin, [settings.topics.decisions])


def test_missing_topics_name_the_command_that_creates_them(admin: Admin, settings: Settings) -> None:
    """At start each missing topic is a fault that tells what to do."""
    faults = topics.check_topics(admin, topics.topic_specs(settings, []))
    assert faults == [
        f"{name}: does not exist; `lead-scorer topics create` creates it"
        for name in (
            settings.topics.events,
            settings.topics.decisions,
            settings.topics.profiles,
            settings.topics.dead_letters,
        )
    ]


def test_dead_letters_follow_the_size_of_an_existing_events_topic(
    namespace: Namespace, admin: Admin, settings: Settings
) -> None:
    """The dead letters take 64 KiB more than the events topic that is there, and outlive it by 14 days."""
    namespace.create(
        "events",
        partitions=3,
        config={
            "message.timestamp.type": "LogAppendTime",
            "max.message.bytes": "2000000",
            "retention.ms": str(20 * DAY_MS),
        },
    )
    topics.create_topics(admin, topics.topic_specs(settings, DECISIONS))
    config = effective(admin, settings.topics.dead_letters).config or {}
    assert (config["max.message.bytes"], config["retention.ms"]) == ("2065536", str(34 * DAY_MS))


def test_what_the_cluster_refuses_is_told(admin: Admin, settings: Settings) -> None:
    """More replicas than brokers: the topic, and the cluster's words."""
    greedy = settings.model_copy(update={"topics": settings.topics.model_copy(update={"replication_factor": 50})})
    with pytest.raises(ConfigurationError, match=rf"{settings.topics.events}: cannot be created: .*replication factor"):
        topics.create_topics(admin, topics.topic_specs(greedy, []))


def test_a_topic_has_an_id_for_life(namespace: Namespace, admin: Admin) -> None:
    """A topic that is deleted and created anew has another id."""
    name = namespace.create("events")
    before = effective(admin, name).topic_id
    assert effective(admin, name).topic_id == before
    namespace.delete()
    namespace.create("events")
    assert effective(admin, name).topic_id != before


def test_a_broker_that_is_there_is_found(admin: Admin) -> None:
    """`wait_for_broker` returns at once."""
    kafka.wait_for_broker(admin, timeout_s=10)


def test_the_command_creates_checks_and_tells(namespace: Namespace, monkeypatch: pytest.MonkeyPatch) -> None:
    """`topics create` lists what it created; again, what exists; and a topic that was changed is a fault."""
    environ = {**namespace.environ(), "LEAD_SCORER__TOPICS__PARTITIONS": "2"}
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    first, second = (CliRunner().invoke(app, ["topics", "create"]) for _ in range(2))
    assert (first.exit_code, second.exit_code) == (0, 0)
    assert (first.stdout.count("created"), first.stdout.count("exists")) == (8, 0)
    assert (second.stdout.count("created"), second.stdout.count("exists")) == (0, 8)
    assert f"{namespace.name('actions.manual-review')} " in first.stdout
    monkeypatch.setenv("LEAD_SCORER__TOPICS__PARTITIONS", "3")
    error = CliRunner().invoke(app, ["topics", "create"]).exception
    assert isinstance(error, ConfigurationError)
    assert len(error.faults) == 8

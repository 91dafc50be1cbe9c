"""What topics must be, judged without a broker."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.config import Settings, Topics
from runtime.errors import ConfigurationError
from runtime.topic_specs import (
    DAY_MS,
    UNBOUNDED_MS,
    Topic,
    TopicSpec,
    batch_bytes,
    creation_config,
    topic_faults,
    topic_specs,
)

EVENTS, DECISIONS, PROFILES, DEAD = "lead.events", "lead.decisions", "lead.profiles", "lead.events.dead-letter"
ACTION = "lead.actions.nurture"


def specs(**topics: object) -> list[TopicSpec]:
    return topic_specs(Settings(topics=Topics.model_validate(topics)), ["nurture"])


def right(of: list[TopicSpec]) -> dict[str, Topic]:
    """A cluster on which everything is as it must be."""
    broker = {"max.message.bytes": "1048588", "retention.ms": str(7 * DAY_MS), "min.insync.replicas": "1"}
    events = Topic(EVENTS, "id", of[0].partitions, {**broker, **of[0].config})
    return {
        spec.name: Topic(spec.name, "id", spec.partitions, {**broker, **creation_config(spec, events)}) for spec in of
    }


def changed(found: dict[str, Topic], name: str, **config: str) -> dict[str, Topic]:
    settings = {**(found[name].config or {}), **{key.replace("_", "."): value for key, value in config.items()}}
    return {**found, name: replace(found[name], config=settings)}


def test_what_is_created_is_right() -> None:
    """Topics made from the specifications have no fault."""
    assert topic_faults(specs(), right(specs()), as_configured=True) == []


def test_the_events_are_the_first() -> None:
    """They are created before the dead letters, whose settings depend on them."""
    assert [spec.role for spec in specs()] == ["events", "decisions", "profiles", "dead_letters", "actions"]


@pytest.mark.parametrize(
    ("name", "setting", "wrong", "must"),
    [
        (EVENTS, "cleanup.policy", "compact", "delete"),
        (EVENTS, "message.timestamp.type", "CreateTime", "LogAppendTime"),
        (DECISIONS, "message.timestamp.type", "LogAppendTime", "CreateTime"),
        (DECISIONS, "message.timestamp.after.max.ms", "3600000", str(UNBOUNDED_MS)),
        (ACTION, "cleanup.policy", "compact,delete", "delete"),
        (PROFILES, "cleanup.policy", "compact,delete", "compact"),
        (PROFILES, "message.timestamp.after.max.ms", "3600000", str(UNBOUNDED_MS)),
        (DEAD, "message.timestamp.before.max.ms", "1000", str(UNBOUNDED_MS)),
        (DEAD, "max.message.bytes", "1048588", "at least 1114124 (65536 over that of lead.events)"),
        (DEAD, "retention.ms", str(27 * DAY_MS), f"at least {28 * DAY_MS} (14 days over that of lead.events)"),
    ],
)
def test_a_wrong_setting_is_told(name: str, setting: str, wrong: str, must: str) -> None:
    """The topic, the setting, what it is and what it must be; at every start."""
    found = changed(right(specs()), name, **{setting.replace(".", "_"): wrong})
    assert topic_faults(specs(), found) == [f"{name}: {setting} is {wrong}, must be {must}"]


def test_partitions_must_agree_with_the_events() -> None:
    """At start the events topic that is there tells the number, not the configuration."""
    found = {name: replace(topic, partitions=3) for name, topic in right(specs()).items()}
    assert topic_faults(specs(), found) == []
    found[DECISIONS] = replace(found[DECISIONS], partitions=4)
    assert topic_faults(specs(), found) == [f"{DECISIONS}: partitions is 4, must be 3 (as lead.events has)"]


def test_creating_wants_the_partitions_that_are_configured() -> None:
    """`topics create` tells where an existing topic is not what the configuration says."""
    found = right(specs())
    found[EVENTS] = replace(found[EVENTS], partitions=3)
    assert topic_faults(specs(), found, as_configured=True) == [
        f"{EVENTS}: partitions is 3, must be 12 (topics.partitions)"
    ]


def test_retention_is_the_operators_choice_at_start() -> None:
    """A shorter retention is told when topics are created, and does not keep a scorer from running."""
    found = changed(right(specs()), DECISIONS, retention_ms="1000")
    assert topic_faults(specs(), found) == []
    assert topic_faults(specs(), found, as_configured=True) == [
        f"{DECISIONS}: retention.ms is 1000, must be at least {14 * DAY_MS} (topics.retention_days)"
    ]


@pytest.mark.parametrize("retention_ms", [str(100 * DAY_MS), "-1"])
def test_a_longer_retention_is_right(retention_ms: str) -> None:
    """Keeping more than configured, or everything, is no fault."""
    found = changed(right(specs()), DECISIONS, retention_ms=retention_ms)
    assert topic_faults(specs(), found, as_configured=True) == []


def test_events_kept_for_ever_want_dead_letters_kept_for_ever() -> None:
    """An endless retention of the events has no 14 days on top."""
    found = changed(right(specs()), EVENTS, retention_ms="-1")
    assert topic_faults(specs(), found) == [
        f"{DEAD}: retention.ms is {28 * DAY_MS}, must be -1 (14 days over that of lead.events)"
    ]
    assert topic_faults(specs(), changed(found, DEAD, retention_ms="-1")) == []


@pytest.mark.parametrize("stamped_by", ["CreateTime", "LogAppendTime"])
def test_producers_timestamps_are_accepted_when_asked_for(stamped_by: str) -> None:
    """`topics.timestamps = producer`: either type of the events topic will do."""
    wanted = specs(timestamps="producer")
    found = changed(right(wanted), EVENTS, message_timestamp_type=stamped_by)
    assert topic_faults(wanted, found, as_configured=True) == []


def test_settings_that_cannot_be_read_are_not_judged() -> None:
    """Without the right to DescribeConfigs the number of partitions is still checked."""
    found = {name: replace(topic, config=None) for name, topic in right(specs()).items()}
    assert topic_faults(specs(), found, as_configured=True) == []
    found[PROFILES] = replace(found[PROFILES], partitions=1)
    assert topic_faults(specs(), found) == [f"{PROFILES}: partitions is 1, must be 12 (as lead.events has)"]


def test_three_replicas_want_two_in_sync() -> None:
    """What is committed then survives the loss of a broker."""
    assert all(spec.config["min.insync.replicas"] == "2" for spec in specs(replication_factor=3))
    assert all("min.insync.replicas" not in spec.config for spec in specs(replication_factor=1))


def test_two_topics_of_one_name_are_refused() -> None:
    """Also where an action topic meets another by its prefix."""
    with pytest.raises(ConfigurationError, match=r"lead\.actions\.nurture: two topics would have this name"):
        specs(decisions=ACTION)


def test_a_decision_that_makes_no_topic_name_is_refused() -> None:
    """The policy's decisions become names of topics."""
    with pytest.raises(ConfigurationError, match=r"lead\.actions\.call me: is no legal topic name"):
        topic_specs(Settings(), ["call me"])


def test_a_batch_fits_into_the_smallest_output() -> None:
    """Brokers judge the batch: the events' limit does not matter, the outputs' do."""
    found = changed(right(specs()), EVENTS, max_message_bytes="1000")
    assert batch_bytes(specs(), found) == 1_000_000
    assert batch_bytes(specs(), changed(found, PROFILES, max_message_bytes="200000")) == 200_000


@given(events_bytes=st.integers(1000, 2**31 - 1), retention_ms=st.integers(-1, UNBOUNDED_MS))
def test_dead_letters_made_for_any_events_topic_are_right(events_bytes: int, retention_ms: int) -> None:
    """Creation and check agree, whatever the events topic is like."""
    found = right(specs())
    found = changed(found, EVENTS, max_message_bytes=str(events_bytes), retention_ms=str(retention_ms))
    spec = next(spec for spec in specs() if spec.role == "dead_letters")
    found[DEAD] = replace(found[DEAD], config=creation_config(spec, found[EVENTS]))
    assert topic_faults(specs(), found) == []

"""What the topics must be (contract 2), as data: for creating them and for checking those that exist.

What the delivery of decisions rests on is always checked; what an operator may choose in his configuration (number of
partitions, retention) only by `topics create`, against that configuration.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from runtime.config import Settings
from runtime.errors import ConfigurationError

Role = Literal["events", "decisions", "actions", "profiles", "dead_letters"]

DAY_MS = 86_400_000
UNBOUNDED_MS = 9_223_372_036_854_775_807
#: Dead letters outlive the events by so much: their timestamps are the events', and someone must find the time.
DEAD_LETTER_GRACE_MS = 14 * DAY_MS
#: Room for the seven headers that a dead letter has more than its event.
DEAD_LETTER_ROOM_BYTES = 65_536
# What Apache Kafka uses where nothing is set, for brokers that do not tell.
BROKER_MESSAGE_BYTES = 1_048_588
BROKER_RETENTION_MS = 7 * DAY_MS
# A producer's batch is limited by size, and the broker judges the batch, not the record: librdkafka's default.
BATCH_MAX_BYTES = 1_000_000

_LEGAL_NAME = re.compile(r"[A-Za-z0-9._-]{1,249}")


@dataclass(frozen=True)
class TopicSpec:
    """What one topic must be.

    Attributes:
        name: The topic.
        role: What it is for; it decides what is checked.
        partitions: As configured; every topic has the same number.
        replication_factor: Asked for when it is created; not checked.
        config: Settings it is created with; those of the dead letters also depend on the events (`creation_config`).
        producer_timestamps: An events topic with CreateTime is accepted.
    """

    name: str
    role: Role
    partitions: int
    replication_factor: int
    config: Mapping[str, str]
    producer_timestamps: bool = False


@dataclass(frozen=True)
class Topic:
    """A topic that exists.

    Attributes:
        name: The topic.
        topic_id: The id that it has for life: a topic of the same name created anew has another.
        partitions: Their number.
        config: Its effective settings; None: we may not read them.
    """

    name: str
    topic_id: str
    partitions: int
    config: Mapping[str, str] | None


def topic_specs(settings: Settings, decisions: Sequence[str]) -> list[TopicSpec]:
    """The topics that the scorer needs, the events first.

    Args:
        settings: The configuration.
        decisions: All that the policy can give; each has an action topic.

    Raises:
        ConfigurationError: Two topics would have one name, or a name would be illegal.
    """
    topics = settings.topics
    roles: list[tuple[str, Role]] = [
        (topics.events, "events"),
        (topics.decisions, "decisions"),
        (topics.profiles, "profiles"),
        (topics.dead_letters, "dead_letters"),
        *((topics.action(decision), "actions") for decision in dict.fromkeys(decisions)),
    ]
    _refuse_bad_names([name for name, _ in roles])
    return [
        TopicSpec(
            name,
            role,
            topics.partitions,
            topics.replication_factor,
            _config(settings, role),
            producer_timestamps=topics.timestamps == "producer",
        )
        for name, role in roles
    ]


def creation_config(spec: TopicSpec, events: Topic) -> dict[str, str]:
    """The settings to create a topic with; dead letters take their size and retention from the events topic."""
    if spec.role != "dead_letters" or events.config is None:
        return dict(spec.config)
    return {
        **spec.config,
        "max.message.bytes": str(_dead_letter_bytes(events.config)),
        "retention.ms": str(_dead_letter_retention_ms(events.config)),
    }


def topic_faults(specs: Sequence[TopicSpec], found: Mapping[str, Topic], *, as_configured: bool = False) -> list[str]:
    """Everything that is wrong with the topics, a line each: the topic, the setting, what it is, what it must be.

    Args:
        specs: From `topic_specs`.
        found: The topics that exist, by name.
        as_configured: Also judge what the configuration chooses: the number of partitions and the retention.
    """
    events = next((found[spec.name] for spec in specs if spec.role == "events" and spec.name in found), None)
    faults: list[str] = []
    for spec in specs:
        topic = found.get(spec.name)
        if topic is None:
            faults.append(f"{spec.name}: does not exist; `lead-scorer topics create` creates it")
            continue
        faults += _partition_faults(spec, topic, events, as_configured)
        if topic.config is not None:
            faults += _setting_faults(spec, topic.config, events, as_configured)
    return faults


def batch_bytes(specs: Sequence[TopicSpec], found: Mapping[str, Topic]) -> int:
    """The largest batch that every topic written to takes (`batch.size`): brokers refuse a batch that is larger."""
    configs = [found[spec.name].config for spec in specs if spec.role != "events" and spec.name in found]
    limits = (int(config["max.message.bytes"]) for config in configs if config and "max.message.bytes" in config)
    return min(BATCH_MAX_BYTES, *limits, BATCH_MAX_BYTES)


def _config(settings: Settings, role: Role) -> dict[str, str]:
    durable = {"min.insync.replicas": "2"} if settings.topics.replication_factor >= 3 else {}
    retention = {"retention.ms": str(round(settings.topics.retention_days * DAY_MS))}
    if role == "events":
        stamped_by = "LogAppendTime" if settings.topics.timestamps == "broker" else "CreateTime"
        return {"cleanup.policy": "delete", "message.timestamp.type": stamped_by, **retention, **durable}
    written = {"message.timestamp.type": "CreateTime", **_NO_BOUNDS, **durable}
    if role == "profiles":
        return {"cleanup.policy": "compact", **written}
    return {"cleanup.policy": "delete", **written, **retention}


# A clock fault must not end in endless aborts; and dead letters are as old or young as their originals.
_NO_BOUNDS = {
    "message.timestamp.after.max.ms": str(UNBOUNDED_MS),
    "message.timestamp.before.max.ms": str(UNBOUNDED_MS),
}
# Always checked, by role; what the other settings are is the operator's affair.
_MUST: dict[Role, tuple[str, ...]] = {
    "events": ("cleanup.policy", "message.timestamp.type"),
    "decisions": ("cleanup.policy", "message.timestamp.type", *_NO_BOUNDS),
    "actions": ("cleanup.policy", "message.timestamp.type", *_NO_BOUNDS),
    "profiles": ("cleanup.policy", *_NO_BOUNDS),
    "dead_letters": ("cleanup.policy", "message.timestamp.type", *_NO_BOUNDS),
}


def _refuse_bad_names(names: Sequence[str]) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    illegal = sorted(name for name in set(names) if not _LEGAL_NAME.fullmatch(name) or name in (".", ".."))
    faults = [f"{name}: two topics would have this name" for name in twice]
    faults += [f"{name}: is no legal topic name (1 to 249 of A-Z a-z 0-9 . _ -)" for name in illegal]
    if faults:
        raise ConfigurationError("the topics' names are wrong; change them in [topics] or in the policy:", faults)


def _partition_faults(spec: TopicSpec, topic: Topic, events: Topic | None, as_configured: bool) -> Iterator[str]:
    if as_configured:
        must, why = spec.partitions, "topics.partitions"
    elif events is not None:
        must, why = events.partitions, f"as {events.name} has"
    else:
        return
    if topic.partitions != must:
        yield f"{spec.name}: partitions is {topic.partitions}, must be {must} ({why})"


def _setting_faults(
    spec: TopicSpec, config: Mapping[str, str], events: Topic | None, as_configured: bool
) -> Iterator[str]:
    for setting in _MUST[spec.role]:
        must = spec.config[setting]
        if setting == "message.timestamp.type" and spec.role == "events" and spec.producer_timestamps:
            continue
        if config.get(setting, must) != must:
            yield f"{spec.name}: {setting} is {config[setting]}, must be {must}"
    if spec.role == "dead_letters":
        if events is not None and events.config is not None:
            yield from _dead_letter_faults(spec.name, config, events)
    elif as_configured and "retention.ms" in spec.config:
        yield from _at_least(
            spec.name, config, "retention.ms", int(spec.config["retention.ms"]), "topics.retention_days"
        )


def _dead_letter_faults(name: str, config: Mapping[str, str], events: Topic) -> Iterator[str]:
    assert events.config is not None
    room = f"{DEAD_LETTER_ROOM_BYTES} over that of {events.name}"
    yield from _at_least(name, config, "max.message.bytes", _dead_letter_bytes(events.config), room)
    grace = f"14 days over that of {events.name}"
    yield from _at_least(name, config, "retention.ms", _dead_letter_retention_ms(events.config), grace)


def _at_least(name: str, config: Mapping[str, str], setting: str, minimum: int, why: str) -> Iterator[str]:
    """A retention of -1 is endless, whether it is what is there or what is wanted."""
    actual = int(config.get(setting, minimum))
    if actual == -1 or actual >= minimum != -1:
        return
    must = "-1" if minimum == -1 else f"at least {minimum}"
    yield f"{name}: {setting} is {actual}, must be {must} ({why})"


def _dead_letter_bytes(events: Mapping[str, str]) -> int:
    return int(events.get("max.message.bytes", BROKER_MESSAGE_BYTES)) + DEAD_LETTER_ROOM_BYTES


def _dead_letter_retention_ms(events: Mapping[str, str]) -> int:
    retention_ms = int(events.get("retention.ms", BROKER_RETENTION_MS))
    return -1 if retention_ms == -1 else min(retention_ms + DEAD_LETTER_GRACE_MS, UNBOUNDED_MS)

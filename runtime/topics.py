"""Creates the topics and checks those that exist; what they must be stands in topic_specs."""

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from functools import partial
from typing import Any

from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._config import ConfigResource
from confluent_kafka.cimpl import NewTopic

from runtime.errors import ConfigurationError, KafkaUnavailableError
from runtime.kafka import REFUSALS, refresh_metadata
from runtime.logging import get_logger
from runtime.topic_specs import Topic, TopicSpec, batch_bytes, creation_config, topic_faults, topic_specs

__all__ = [
    "Topic",
    "TopicSpec",
    "batch_bytes",
    "check_topics",
    "create_topics",
    "describe",
    "exists",
    "topic_faults",
    "topic_specs",
]

log = get_logger(__name__)

REQUEST_TIMEOUT_S = 5.0
_CREATION_TIMEOUT_S = 10.0
#: For all that is asked of the cluster; while a controller is elected, requests fail for some seconds.
PATIENCE_S = 30.0
_RETRY_S = 0.1


def describe(admin: AdminClient, names: Sequence[str], *, patience_s: float = PATIENCE_S) -> dict[str, Topic]:
    """The topics of these names that exist, by name.

    Where their settings may not be read (no right to DescribeConfigs), a warning is logged and `config` is None.

    Raises:
        KafkaUnavailableError: The cluster does not answer in `patience_s`, or we may not know of a topic at all.
    """
    deadline = time.monotonic() + patience_s
    found: dict[str, Topic] = {}
    for name in names:
        description = _description(admin, name, deadline)
        if description is not None:
            config = _config(admin, name, deadline)
            found[name] = Topic(name, str(description.topic_id), len(description.partitions), config)
    return found


def exists(admin: AdminClient, name: str, *, patience_s: float = PATIENCE_S) -> bool:
    """Whether there is a topic of this name.

    It is described rather than looked up in the metadata: to be asked for those of one topic makes a broker with
    `auto.create.topics.enable`, its default, create it.

    Raises:
        KafkaUnavailableError: The cluster does not answer in `patience_s`, or we may not know of the topic.
    """
    return _description(admin, name, time.monotonic() + patience_s) is not None


def check_topics(admin: AdminClient, specs: Sequence[TopicSpec]) -> list[str]:
    """What is wrong with the topics, a line each, as `run` needs them; empty: nothing.

    Raises:
        KafkaUnavailableError: The cluster does not answer, or we may not know of a topic.
    """
    return topic_faults(specs, describe(admin, [spec.name for spec in specs]))


def create_topics(admin: AdminClient, specs: Sequence[TopicSpec]) -> list[str]:
    """Creates the topics that are missing; calling it again changes nothing.

    Returns:
        The names of those that were created.

    Raises:
        ConfigurationError: An existing topic is wrong (then nothing was created), or the cluster refuses one; with all
            faults.
        KafkaUnavailableError: The cluster does not answer, or we may not create topics.
    """
    names = [spec.name for spec in specs]
    found = describe(admin, names)
    _raise_if(topic_faults([spec for spec in specs if spec.name in found], found, as_configured=True))
    created: list[str] = []
    # The events first: the settings of the dead letters are told by what the cluster makes of them.
    for group in ([spec for spec in specs if spec.role == "events"], [spec for spec in specs if spec.role != "events"]):
        missing = [spec for spec in group if spec.name not in found]
        events = next((found[spec.name] for spec in specs if spec.role == "events" and spec.name in found), None)
        created += _create(admin, [_new_topic(spec, events) for spec in missing])
        found |= _await(admin, [spec.name for spec in missing])
    _raise_if(topic_faults(specs, found, as_configured=True))
    return created


def _raise_if(faults: Sequence[str]) -> None:
    if faults:
        raise ConfigurationError(
            "topics are not as they must be; change them, or the [topics] section of the configuration:", faults
        )


def _new_topic(spec: TopicSpec, events: Topic | None) -> NewTopic:
    config = creation_config(spec, events) if events is not None else dict(spec.config)
    return NewTopic(spec.name, spec.partitions, spec.replication_factor, config=config)


def _create(admin: AdminClient, topics: Sequence[NewTopic]) -> list[str]:
    """Asks for topics and gives the names of those that this call created."""
    deadline = time.monotonic() + PATIENCE_S
    created, faults = [], []
    for topic in topics:
        try:
            _retried(admin, partial(_create_topic, topic=topic), deadline)
            created.append(topic.topic)
        except KafkaException as exception:
            error: KafkaError = exception.args[0]
            if error.code() != KafkaError.TOPIC_ALREADY_EXISTS:  # created meanwhile: it is checked like any other
                faults.append(f"{topic.topic}: cannot be created: {error.str()}")
    _raise_if(faults)
    return created


def _await(admin: AdminClient, names: Sequence[str]) -> Mapping[str, Topic]:
    """The topics once all are known: brokers learn of a new one some time after it was created."""
    deadline = time.monotonic() + PATIENCE_S
    while len(found := describe(admin, names)) < len(names):
        if time.monotonic() >= deadline:
            missing = ", ".join(sorted(set(names) - found.keys()))
            raise KafkaUnavailableError(
                f"Kafka does not know of what it has created {PATIENCE_S:.0f} s ago: {missing}."
            )
        time.sleep(_RETRY_S)
    return found


def _create_topic(admin: AdminClient, topic: NewTopic) -> "Future[Any]":
    # The brokers' own time-out is the one that is heard, unless who is asked says nothing at all.
    timeout_s = _CREATION_TIMEOUT_S + 1.0
    return admin.create_topics([topic], operation_timeout=_CREATION_TIMEOUT_S, request_timeout=timeout_s)[topic.topic]


def _description(admin: AdminClient, name: str, deadline: float) -> Any:
    """What the cluster says about a topic; None if it has none of this name."""
    ask = partial(_describe_topic, name=name)
    return _retried(admin, ask, deadline, topic=name, missing=KafkaError.UNKNOWN_TOPIC_OR_PART)


def _describe_topic(admin: AdminClient, name: str) -> "Future[Any]":
    return admin.describe_topics(TopicCollection([name]), request_timeout=REQUEST_TIMEOUT_S)[name]


def _describe_config(admin: AdminClient, name: str) -> "Future[Any]":
    resource = ConfigResource(ConfigResource.Type.TOPIC, name)
    return admin.describe_configs([resource], request_timeout=REQUEST_TIMEOUT_S)[resource]


def _config(admin: AdminClient, name: str, deadline: float) -> dict[str, str] | None:
    try:
        entries = _retried(admin, partial(_describe_config, name=name), deadline, refused_is_fatal=False)
    except KafkaException as exception:
        log.warning(
            "topic_settings_not_checked",
            topic=name,
            reason=exception.args[0].str(),
            next="going on; `lead-scorer topics create` with a principal that may DescribeConfigs checks them",
        )
        return None
    return {entry.name: entry.value for entry in entries.values()}


def _retried(
    admin: AdminClient,
    ask: Callable[[AdminClient], "Future[Any]"],
    deadline: float,
    *,
    topic: str = "",
    missing: int | None = None,
    refused_is_fatal: bool = True,
) -> Any:
    """The result of a request, asked for again while the fault is a passing one; None for the error `missing`."""
    while True:
        try:
            return ask(admin).result()
        except KafkaException as exception:
            error: KafkaError = exception.args[0]
            if error.code() == missing:
                return None
            if error.code() in REFUSALS:
                if not refused_is_fatal:
                    raise
                remedy = f". Check the principal's rights on {topic}." if topic else "."
                raise KafkaUnavailableError(f"Kafka does not let us in: {error.str()}{remedy}") from exception
            if not _passing(error):
                raise
            if time.monotonic() >= deadline:
                raise KafkaUnavailableError(f"Kafka does not answer: {error.str()}.") from exception
            if error.code() == KafkaError._TIMED_OUT:
                refresh_metadata(admin)
            time.sleep(_RETRY_S)


def _passing(error: KafkaError) -> bool:
    return error.retriable() or error.code() in {
        KafkaError._TIMED_OUT,
        KafkaError._TRANSPORT,
        KafkaError._ALL_BROKERS_DOWN,
        KafkaError.UNKNOWN_TOPIC_OR_PART,  # by a broker that has not heard yet of what another one knows
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.NOT_CONTROLLER,
        KafkaError.REQUEST_TIMED_OUT,
        KafkaError.THROTTLING_QUOTA_EXCEEDED,
    }

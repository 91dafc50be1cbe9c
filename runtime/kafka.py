"""Factories of Kafka clients: one starting configuration, the operator's properties, and what cannot be changed.

The starting values and their reasons were measured; docs/configuration.md tells which of them `kafka.client` changes.
"""

import logging
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Protocol, TypeVar

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer
from confluent_kafka.admin import AdminClient

from runtime.client_properties import CONSUMER_ONLY, PRODUCER_ONLY, for_client
from runtime.config import Settings
from runtime.errors import ConfigurationError, KafkaUnavailableError
from runtime.logging import KAFKA_LOGGER, get_logger
from runtime.redaction import redacted

log = get_logger(__name__)
Client = TypeVar("Client")

#: Contract 11 gives a broker 30 s at start; what is left of them is for starting and ending the process.
CONNECT_TIMEOUT_S = 25.0
_ANSWER_TIMEOUT_S = 2.0

CONSUMER_DEFAULTS: dict[str, str] = {
    "session.timeout.ms": "10000",
    "max.poll.interval.ms": "60000",
    "fetch.wait.max.ms": "50",
    # Both low together: with its default of 1000 ms the back-off would stall a queue this short.
    "queued.min.messages": "2000",
    "fetch.queue.backoff.ms": "20",
    "queued.max.messages.kbytes": "16384",
    "check.crcs": "true",
}
CONSUMER_FIXED: dict[str, str] = {
    "enable.auto.commit": "false",
    "enable.auto.offset.store": "false",
    "auto.offset.reset": "error",
    "isolation.level": "read_committed",
}
# KIP-848: the broker assigns and keeps the session; librdkafka refuses these properties then.
CLASSIC_ONLY = ("session.timeout.ms", "heartbeat.interval.ms", "partition.assignment.strategy")

PRODUCER_DEFAULTS: dict[str, str] = {
    "linger.ms": "0",
    # After a commit the coordinator is busy for some milliseconds; the default of 100 would be paid every time.
    "retry.backoff.ms": "1",
    "retry.backoff.max.ms": "100",
    "compression.type": "lz4",
    # The client's own limit (1,000,000) is below what brokers take by default: they judge the size, not we.
    "message.max.bytes": "100000000",
}
PRODUCER_FIXED: dict[str, str] = {
    "enable.idempotence": "true",
    # Java's hash. Records without a key, which only the simulator writes, all go to one partition: with
    # `murmur2_random` the same simulation would not be the same twice.
    "partitioner": "murmur2",
}
TRANSACTION_DEFAULTS: dict[str, str] = {"transaction.timeout.ms": "15000"}


def consumer(settings: Settings, **overrides: Any) -> Consumer:
    """A consumer of the scorer's group: read committed, offsets never stored or reset by the client.

    Args:
        settings: The configuration.
        overrides: Properties that stand over all others, as `**{"enable.partition.eof": True}`; a `group.id` here
            makes it a reader beside the group.

    Raises:
        ConfigurationError: librdkafka refuses a property of `kafka.client`.
    """
    return _created(Consumer, consumer_properties(settings, overrides))


def producer(settings: Settings, **overrides: Any) -> Producer:
    """An idempotent producer without transactions; keys are partitioned as Java's clients do (murmur2).

    Raises:
        ConfigurationError: librdkafka refuses a property of `kafka.client`.
    """
    return _created(Producer, producer_properties(settings, overrides))


def transactional_producer(settings: Settings, **overrides: Any) -> Producer:
    """The producer of the scorer's transactions; `init_transactions()` is the caller's.

    Raises:
        ConfigurationError: librdkafka refuses a property of `kafka.client`.
    """
    return _created(Producer, transactional_properties(settings, overrides))


class Admin(AdminClient):
    """An admin client that remembers its address and its last error: without them a timeout tells nothing."""

    def __init__(self, properties: dict[str, Any]):
        self.bootstrap_servers: str = properties["bootstrap.servers"]
        self._errors = _LastError()
        # No method of its own: client and callback would hold each other, and neither threads nor sockets would go
        # before the garbage collector comes, which is seldom (runtime/interpreter.py).
        own: dict[str, Any] = {"error_cb": self._errors}
        super().__init__({**properties, **own})

    @property
    def last_error(self) -> KafkaError | None:
        """What the client said last; `poll` brings it."""
        return self._errors.last


class _LastError:
    def __init__(self) -> None:
        self.last: KafkaError | None = None

    def __call__(self, error: KafkaError) -> None:
        # "All brokers are down" follows the error that says why, and would hide it.
        if error.code() != KafkaError._ALL_BROKERS_DOWN:
            self.last = error


def admin(settings: Settings) -> Admin:
    """An admin client.

    Raises:
        ConfigurationError: librdkafka refuses a property of `kafka.client`.
    """
    own = for_client(settings.kafka.client, CONSUMER_ONLY | PRODUCER_ONLY)
    return _created(Admin, {**_common(settings), **own})


def wait_for_broker(client: Admin, timeout_s: float = CONNECT_TIMEOUT_S) -> None:
    """Returns once the cluster answers.

    Raises:
        KafkaUnavailableError: It did not in `timeout_s`, or does not let us in; the message names the address.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        asked = client.describe_cluster(request_timeout=_answer_timeout_s(deadline))
        while not asked.done():
            client.poll(0.05)  # serves the error callback
        try:
            asked.result()
        except KafkaException as exception:
            _give_up_if_refused(client, exception.args[0])
            if time.monotonic() >= deadline:
                raise KafkaUnavailableError(_unreachable(client, timeout_s)) from exception
            refresh_metadata(client, _answer_timeout_s(deadline))
        else:
            return


def _answer_timeout_s(deadline: float) -> float:
    return min(_ANSWER_TIMEOUT_S, max(0.1, deadline - time.monotonic()))


class HasMetadata(Protocol):
    """An admin client, or what stands for one."""

    def list_topics(self, *, timeout: float) -> Any:
        """The metadata of all topics, of any broker that is there."""


def refresh_metadata(client: HasMetadata, timeout_s: float = _ANSWER_TIMEOUT_S) -> None:
    """Asks any broker who is there and who leads, for a client whose question failed; it may fail too.

    Until it is told of another broker, a client asks the one that it was told of, however long that is silent, or a
    leader that is gone or back with an epoch that is old (FENCED_LEADER_EPOCH): by itself it asks after 5 minutes.
    """
    # Of all topics: to be asked for those of one makes a broker with automatic creation create it.
    with suppress(KafkaException):
        client.list_topics(timeout=timeout_s)


def _give_up_if_refused(client: Admin, error: KafkaError) -> None:
    for reason in (error, client.last_error):
        if reason is not None and reason.code() in REFUSALS:
            raise KafkaUnavailableError(
                f"Kafka at {client.bootstrap_servers} does not let us in: {reason.str()}. "
                "Check the credentials in kafka.client and the principal's rights."
            )


#: The principal is known and lacks a right.
UNAUTHORISED = frozenset(
    {
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.GROUP_AUTHORIZATION_FAILED,
        KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
    }
)

#: What no waiting cures.
REFUSALS = UNAUTHORISED | {
    KafkaError._AUTHENTICATION,
    KafkaError.SASL_AUTHENTICATION_FAILED,
    KafkaError.UNSUPPORTED_SASL_MECHANISM,
}

#: For the operator; docs/configuration.md has the table.
RIGHTS = (
    "The principal needs Read on the events and profiles topics and the group, and Write on the decisions, profiles, "
    "action and dead letter topics and on the transactional id"
)


def _unreachable(client: Admin, timeout_s: float) -> str:
    why = f" ({client.last_error.str()})" if client.last_error else ""
    return (
        f"Kafka cannot be reached at {client.bootstrap_servers}: no answer for {timeout_s:.0f} s{why}. "
        "Check kafka.bootstrap_servers, the network and, for TLS or SASL, kafka.client."
    )


# To the client SASL without a mechanism is Kerberos, which the wheels are not built with.
_NEVER_ALONE = {"security.protocol"}


def client_faults(settings: Settings) -> list[str]:
    """What librdkafka says against `kafka.client`, property by property, or else about all of them together.

    It knows names, values and combinations better than any list of ours. Nothing is connected to.
    """
    faults = []
    for name, value in settings.kafka.client.items():
        if name in _NEVER_ALONE:
            continue
        kind: Callable[[dict[str, Any]], Any] = Consumer if name in CONSUMER_ONLY else Producer
        alone = {**for_client({name: value}, frozenset()), **({"group.id": "check"} if kind is Consumer else {})}
        shown = redacted(name, str(value))
        faults += [f"kafka.client.{name} = {shown}: {why}" for why in _refusal(kind, alone)]
    if not faults:
        together = _refusal(Consumer, consumer_properties(settings)) or _refusal(
            Producer, transactional_properties(settings)
        )
        faults = [f"kafka.client: {why}" for why in together]
    return faults


def _refusal(kind: Callable[[dict[str, Any]], Any], properties: dict[str, Any]) -> list[str]:
    silent = {"log_level": "0", "logger": logging.getLogger(KAFKA_LOGGER)}
    offline = {name: value for name, value in properties.items() if name != "bootstrap.servers"}
    try:
        kind({**offline, **silent}).close()
    except KafkaException as exception:
        return [_reason(exception)]
    return []


def consumer_properties(settings: Settings, overrides: dict[str, Any] | None = None) -> dict[str, Any]:
    """What `consumer` hands to librdkafka: for tests and documentation."""
    own = for_client(settings.kafka.client, PRODUCER_ONLY)
    chosen: dict[str, Any] = {"partition.assignment.strategy": "cooperative-sticky", **CONSUMER_DEFAULTS, **own}
    if own.get("group.protocol", "classic").lower() == "consumer":
        chosen = {name: value for name, value in chosen.items() if name not in CLASSIC_ONLY}
    group = {"group.id": settings.kafka.group_id}
    return {**_common(settings), **group, **chosen, **CONSUMER_FIXED, **(overrides or {})}


def producer_properties(
    settings: Settings, overrides: dict[str, Any] | None = None, defaults: dict[str, str] | None = None
) -> dict[str, Any]:
    """What `producer` hands to librdkafka: for tests and documentation."""
    left_out = CONSUMER_ONLY if defaults else CONSUMER_ONLY | {"transaction.timeout.ms"}
    own = for_client(settings.kafka.client, left_out)
    return {**_common(settings), **PRODUCER_DEFAULTS, **(defaults or {}), **own, **PRODUCER_FIXED, **(overrides or {})}


def transactional_properties(settings: Settings, overrides: dict[str, Any] | None = None) -> dict[str, Any]:
    """What `transactional_producer` hands to librdkafka: for tests and documentation.

    A message is given up while its transaction can still be aborted in time: `message.timeout.ms` is two thirds of
    `transaction.timeout.ms`, unless a lower one is given.
    """
    fixed = {"transactional.id": settings.transactional_id, **(overrides or {})}
    properties = producer_properties(settings, fixed, TRANSACTION_DEFAULTS)
    transaction, message = str(properties["transaction.timeout.ms"]), str(properties.get("message.timeout.ms", "0"))
    if transaction.isdecimal() and message.isdecimal() and not 0 < int(message) < int(transaction):
        properties["message.timeout.ms"] = str(int(transaction) * 2 // 3)
    return properties


def _common(settings: Settings) -> dict[str, Any]:
    return {
        "bootstrap.servers": settings.kafka.bootstrap_servers,
        "client.id": settings.transactional_id,
        "logger": logging.getLogger(KAFKA_LOGGER),
        "error_cb": log_error,
    }


def log_error(error: KafkaError) -> None:
    """Logs what a client cannot recover from; what it can, it tries again, and its own log says so."""
    level = log.error if error.fatal() else log.debug
    level("kafka_client_error", code=error.name(), reason=error.str(), fatal=error.fatal())


def _created(kind: Callable[[dict[str, Any]], Client], properties: dict[str, Any]) -> Client:
    try:
        return kind(properties)
    except KafkaException as exception:
        raise ConfigurationError(
            "the Kafka client refuses its configuration:", [f"kafka.client: {_reason(exception)}"]
        ) from exception


def _reason(exception: KafkaException) -> str:
    error = exception.args[0]
    return str(error.str()) if isinstance(error, KafkaError) else str(error)

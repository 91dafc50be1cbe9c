"""Which librdkafka properties `kafka.client` may set, and which client each goes to.

The delivery guarantee (contract 2) rests on some of them: those are refused by name, with the reason. The others pass
through; librdkafka itself judges their values. Names and scopes are those of librdkafka 2.16's CONFIGURATION.md.
"""

from collections.abc import Iterable, Mapping

Properties = Mapping[str, str | int | float | bool]

_OWN_KEY = "has its own key, {}"
_TRANSACTION = "offsets are committed in the transaction of their results and nowhere else"
_IDEMPOTENT = "the transactional producer needs the value it has; another could reorder, repeat or lose records"
_PROGRAM = "belongs to the program, which serves callbacks, events and logs itself"

#: Property -> why it cannot be set.
REFUSED: dict[str, str] = {
    "bootstrap.servers": _OWN_KEY.format("kafka.bootstrap_servers"),
    "metadata.broker.list": _OWN_KEY.format("kafka.bootstrap_servers"),
    "group.id": _OWN_KEY.format("kafka.group_id"),
    "transactional.id": "is `<kafka.group_id>-<kafka.instance_id>`: it fences an instance's own past and no other's",
    "group.instance.id": "a static member does not leave the group when it stops, so nobody would take over in time; "
    "kafka.instance_id names the process",
    "group.protocol.type": "is always consumer",
    "partition.assignment.strategy": "partitions are assigned and revoked one by one, which needs cooperative-sticky "
    "(or group.protocol=consumer)",
    "enable.auto.commit": _TRANSACTION,
    "auto.commit.enable": _TRANSACTION,
    "auto.commit.interval.ms": _TRANSACTION,
    "enable.auto.offset.store": _TRANSACTION,
    "offset.store.method": _TRANSACTION,
    "offset.store.path": _TRANSACTION,
    "offset.store.sync.interval.ms": _TRANSACTION,
    "auto.offset.reset": "a start offset is resolved explicitly: an offset out of range stops, it never skips",
    "isolation.level": "input is read read_committed: aborted upstream events do not exist",
    "enable.partition.eof": "restoring the state relies on it",
    "allow.auto.create.topics": "a topic that the broker makes up has the wrong timestamps and cleanup policy",
    "enable.idempotence": _IDEMPOTENT,
    "enable.gapless.guarantee": _IDEMPOTENT,
    "acks": _IDEMPOTENT,
    "request.required.acks": _IDEMPOTENT,
    "max.in.flight": _IDEMPOTENT,
    "max.in.flight.requests.per.connection": _IDEMPOTENT,
    "retries": _IDEMPOTENT,
    "message.send.max.retries": _IDEMPOTENT,
    "queuing.strategy": _IDEMPOTENT,
    "msg_order_cmp": _IDEMPOTENT,
    "partitioner": "results go to the partition of their input, events to the partition that Java's clients choose",
    "delivery.report.only.error": "deliveries are counted by their reports",
    **dict.fromkeys(
        (
            "background_event_cb",
            "closesocket_cb",
            "connect_cb",
            "consume_cb",
            "default.topic.config",
            "default_topic_conf",
            "dr_cb",
            "dr_msg_cb",
            "enabled_events",
            "error_cb",
            "interceptors",
            "log.queue",
            "log_cb",
            "logger",
            "oauth_cb",
            "oauthbearer_token_refresh_cb",
            "offset_commit_cb",
            "on_commit",
            "on_delivery",
            "opaque",
            "open_cb",
            "partitioner_cb",
            "rebalance_cb",
            "resolve_cb",
            "socket_cb",
            "ssl.certificate.verify_cb",
            "stats_cb",
            "throttle_cb",
        ),
        _PROGRAM,
    ),
}

# A property of the other kind of client is not an error to librdkafka but a warning in every log.
CONSUMER_ONLY = frozenset(
    {
        "check.crcs",
        "client.rack",
        "consume.callback.max.messages",
        "coordinator.query.interval.ms",
        "fetch.error.backoff.ms",
        "fetch.max.bytes",
        "fetch.message.max.bytes",
        "fetch.min.bytes",
        "fetch.queue.backoff.ms",
        "fetch.wait.max.ms",
        "group.protocol",
        "group.remote.assignor",
        "heartbeat.interval.ms",
        "max.partition.fetch.bytes",
        "max.poll.interval.ms",
        "queued.max.messages.kbytes",
        "queued.min.messages",
        "session.timeout.ms",
    }
)
PRODUCER_ONLY = frozenset(
    {
        "batch.num.messages",
        "batch.size",
        "compression.codec",
        "compression.level",
        "compression.type",
        "delivery.timeout.ms",
        "linger.ms",
        "message.timeout.ms",
        "queue.buffering.backpressure.threshold",
        "queue.buffering.max.kbytes",
        "queue.buffering.max.messages",
        "queue.buffering.max.ms",
        "request.timeout.ms",
        "sticky.partitioning.linger.ms",
        "transaction.timeout.ms",
    }
)

# librdkafka takes either name of a pair; to set both, ours and the operator's, would leave the winner to chance.
ALIASES = {
    "compression.codec": "compression.type",
    "delivery.timeout.ms": "message.timeout.ms",
    "max.partition.fetch.bytes": "fetch.message.max.bytes",
    "queue.buffering.max.ms": "linger.ms",
    "sasl.mechanisms": "sasl.mechanism",
}


def refusals(names: Iterable[str]) -> list[tuple[str, str]]:
    """The names that cannot be set, each with the reason.

    >>> refusals(["session.timeout.ms", "group.protocol.type"])
    [('group.protocol.type', 'is always consumer')]
    """
    return [(name, REFUSED[name]) for name in names if name in REFUSED]


def for_client(properties: Properties, other_kind: frozenset[str]) -> dict[str, str]:
    """The properties for one client: without those of the other kind, as librdkafka's strings, one name each.

    >>> for_client({"linger.ms": 5, "check.crcs": True}, PRODUCER_ONLY)
    {'check.crcs': 'true'}
    """
    return {ALIASES.get(name, name): _text(value) for name, value in properties.items() if name not in other_kind}


def _text(value: str | float | bool) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)

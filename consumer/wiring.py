"""Connects to Kafka and puts the parts of the service together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from typing import Any

import structlog
from confluent_kafka import Consumer, Producer

from consumer.aborts import Aborts
from consumer.assignment import Phase
from consumer.attempt import Undelivered
from consumer.changelog import ChangelogReader
from consumer.dead_letters import Guard
from consumer.drills import At, PassingScorer, nowhere
from consumer.end_offsets import OffsetLister
from consumer.endings import Endings
from consumer.fencing import Fencing
from consumer.hanging import HangingTransactions
from consumer.input import KafkaInput
from consumer.lag import LagMonitor
from consumer.loop import Loop
from consumer.offsets import SILENT_S, GroupOffsets
from consumer.processor import Destinations, Processor
from consumer.purge import Purge
from consumer.reader import Reader
from consumer.rebuild import Rebuilder, Sources
from consumer.renewed_admin import RenewedAdmin
from consumer.restore import BackgroundRestorer
from consumer.serving import Serving
from consumer.sightings import Sightings
from consumer.start import TopicIds
from consumer.telemetry import MetricsTelemetry
from consumer.transactions import Transactor
from runtime import kafka
from runtime.clock import Clock
from runtime.config import Settings
from runtime.errors import ConfigurationError
from runtime.metrics import Metrics
from runtime.topic_specs import BROKER_MESSAGE_BYTES, Topic, batch_bytes, topic_faults, topic_specs
from runtime.topics import describe
from schemas.codec import Codec, RegistryUnavailableError, decision_codec, lead_event_codec, lead_profile_codec
from schemas.errors import RegistryRefusedError
from scoring.batching import BatchController
from scoring.fold import Memory
from scoring.policy import Policy
from scoring.stream_gates import StreamGates

log = structlog.get_logger(__name__)

DAY_MS = 86_400_000
REGISTRY_RETRY_S = 1.0


@dataclass(frozen=True, slots=True)
class Parts:
    """A connected instance."""

    loop: Loop
    source: KafkaInput
    transactor: Transactor
    restorer: BackgroundRestorer
    lag: LagMonitor

    def assignment_status(self) -> list[dict[str, Any]]:
        """`assignment` of /status: partitions whose state is restored, and those that wait for it."""
        lags = self.lag.lags
        rows = []
        for partition in sorted(self.loop.assignment.snapshot(), key=lambda p: p.number):
            lag = lags.get(partition.number)
            rows.append(
                {
                    "partition": partition.number,
                    "next_offset": partition.next_offset if partition.phase is Phase.ACTIVE else None,
                    "lag_records": None if lag is None else lag.records,
                    "lag_seconds": None if lag is None else lag.seconds,
                }
            )
        return rows

    def close(self) -> None:
        """Leaves the group and ends the threads; nothing more is committed."""
        self.lag.close()
        self.restorer.close()
        self.transactor.close()
        self.loop.ending = True
        self.source.close()


def connect(
    settings: Settings,
    serving: Serving,
    policy: Policy,
    telemetry: MetricsTelemetry,
    metrics: Metrics,
    clock: Clock,
    *,
    rebuild_state: bool = False,
    at: At = nowhere,
) -> Parts:
    """Reaches Kafka, checks the topics and takes over the transactional id.

    Raises:
        KafkaUnavailableError: Kafka cannot be reached for 30 s, or does not let us in.
        ConfigurationError: Topics are missing or wrong, or the registry refuses a schema.
    """
    telemetry.turned("connect")
    admin = kafka.admin(settings)
    kafka.wait_for_broker(admin)
    specs = topic_specs(settings, policy.decisions)
    found = describe(admin, [spec.name for spec in specs])
    faults = topic_faults(specs, found)
    if faults:
        raise ConfigurationError("topics are not as they must be:", faults)
    events_codec, decisions_codec, profiles_codec = _codecs(settings, policy, telemetry, clock)
    topics = settings.topics
    ids = TopicIds(found[topics.events].topic_id, found[topics.profiles].topic_id)
    lister = RenewedAdmin(admin, lambda: kafka.admin(settings), clock)
    offsets = group_offsets(settings, lister)
    limit_bytes = _dead_letter_bytes(found[topics.dead_letters])
    transactor = make_transactor(settings, lister, offsets, clock, ids.to_metadata, batch_bytes(specs, found), at)
    telemetry.turned("init_transactions")
    transactor.open()
    reader = Reader(lambda: _consumer(settings), clock)
    changelog = ChangelogReader(
        reader,
        lister,
        profiles_codec,
        topics.profiles,
        settings.kafka.group_id,
        dedup_window=settings.state.dedup_window,
        at=at,
    )
    memory = Memory(settings.state.dedup_window, int(settings.state.retention_days * DAY_MS))
    sources = Sources(topics.events, topics.decisions, topics.dead_letters, events_codec, decisions_codec)
    rebuilder = Rebuilder(reader, lister, sources, ids, policy, memory) if rebuild_state else None
    restorer = BackgroundRestorer(offsets, changelog, ids, rebuilder, clock, metrics.set_restore_seconds)
    processor = Processor(
        codecs=(events_codec, decisions_codec, profiles_codec),
        destinations=Destinations(
            group_id=settings.kafka.group_id,
            events=topics.events,
            decisions=topics.decisions,
            profiles=topics.profiles,
            dead_letters=topics.dead_letters,
            actions={decision: topics.action(decision) for decision in policy.decisions},
            dead_letter_max_bytes=limit_bytes,
            producer_max_bytes=int(kafka.producer_properties(settings)["message.max.bytes"]),
        ),
        policy=policy,
        scorer=PassingScorer(serving.scorer, at),
        baseline_engagement=lambda: serving.baseline_engagement,
        clock=clock,
        stages=telemetry,
        memory=memory,
    )
    source = KafkaInput(lambda: _consumer(settings), topics.events, at, clock)
    loop = Loop(
        source=source,
        transactions=transactor,
        restorer=restorer,
        processor=processor,
        telemetry=telemetry,
        clock=clock,
        guard=Guard(settings.dead_letters.max_consecutive, settings.dead_letters.max_ratio),
        gates=StreamGates(),
        controller=BatchController(settings.budget.p95_ms, settings.budget.max_batch),
        purge=Purge(memory.retention_ms),
        limits=Aborts(),
    )
    lag = LagMonitor(
        admin=lister,
        consumer=_consumer(settings),
        topic=topics.events,
        partitions=loop.assignment.snapshot,
        read_to=loop.read_to,
        hindered_s=loop.hindered_s,
        oldest_unprocessed_ms=loop.oldest_unprocessed_ms,
        metrics=metrics,
        clock=clock,
    )
    return Parts(loop, source, transactor, restorer, lag)


def group_offsets(settings: Settings, admin: OffsetLister) -> GroupOffsets:
    """Reads what the group has committed of the events topic.

    Only a client whose connection has ended looks for another coordinator: with its own patience, 60 s, one that stands
    still is asked for minutes while others have its work.
    """
    impatient = {"socket.timeout.ms": int(1000 * SILENT_S)}
    hasty = _consumer(settings, **impatient, **{"isolation.level": "read_uncommitted"})
    return GroupOffsets(_consumer(settings, **impatient), hasty, admin, settings.topics.events)


def make_transactor(
    settings: Settings,
    admin: OffsetLister,
    offsets: GroupOffsets,
    clock: Clock,
    metadata: Callable[[str], str],
    batch_bytes_max: int,
    at: At = nowhere,
) -> Transactor:
    """Not opened yet: nothing is asked of the brokers.

    Args:
        settings: The configuration.
        admin: The cluster.
        offsets: Of the group.
        clock: Times patience.
        metadata: What is committed beside the offset of a partition.
        batch_bytes_max: So much of one partition the producer may send at a time.
        at: Told of the points that are passed.
    """
    reader = Reader(lambda: _consumer(settings, **{"auto.offset.reset": "earliest"}), clock)
    return Transactor(
        make_producer=lambda undelivered: _producer(settings, batch_bytes_max, undelivered),
        endings=Endings(offsets, HangingTransactions(admin, clock).find, Sightings(reader, admin).look),
        events_topic=settings.topics.events,
        changelog_topic=settings.topics.profiles,
        metadata=metadata,
        clock=clock,
        fencing=Fencing(float(settings.kafka.client.get("transaction.timeout.ms", 15_000)) / 1000.0),
        at=at,
    )


def _codecs(
    settings: Settings, policy: Policy, telemetry: MetricsTelemetry, clock: Clock
) -> tuple[Codec, Codec, Codec]:
    """Codecs with their schemas registered, if there is a registry; it is waited for, and to wait is progress.

    Raises:
        ConfigurationError: The registry refuses a schema.
    """
    topics, registry = settings.topics, None
    if settings.schema_registry.url:
        from schemas.registry import Registry  # its HTTP client takes a fifth of the time to start

        registry = Registry(settings.schema_registry.url, settings.schema_registry.client)
    codecs = (
        lead_event_codec(f"{topics.events}-value", registry),
        decision_codec(f"{topics.decisions}-value", registry),
        lead_profile_codec(f"{topics.profiles}-value", registry),
    )
    actions = [decision_codec(f"{topics.action(decision)}-value", registry) for decision in policy.decisions]
    for tries in count(1):
        try:
            for codec in (*codecs[1:], *actions):
                telemetry.turned("register")
                codec.register()
        except RegistryUnavailableError as error:
            telemetry.failed("registry")
            if tries.bit_count() == 1:  # the first, and then ever more rarely
                next_step = "tries again; nothing is read before"
                log.warning("registry_unavailable", error=str(error), tries=tries, next=next_step)
            clock.sleep(REGISTRY_RETRY_S)
        except RegistryRefusedError as error:
            raise ConfigurationError(f"the schema registry refuses a schema: {error}") from error
        else:
            break
    return codecs


def _dead_letter_bytes(topic: Topic) -> int:
    """The largest dead letter that its topic takes."""
    return int((topic.config or {}).get("max.message.bytes", BROKER_MESSAGE_BYTES))


def _consumer(settings: Settings, **overrides: Any) -> Consumer:
    """A member of the group once it subscribes; one that never does has the group's id to read offsets."""
    return kafka.consumer(settings, **{"enable.partition.eof": True, **overrides})


def _producer(settings: Settings, batch_bytes_max: int, undelivered: Undelivered) -> Producer:
    own = {"batch.size": batch_bytes_max, "on_delivery": undelivered, "delivery.report.only.error": True}
    return kafka.transactional_producer(settings, **own)

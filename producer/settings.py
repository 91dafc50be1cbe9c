"""What a program that writes lead events has to say: where to, under which name, and how long to wait."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Self

from runtime.config import Scalar, Settings
from runtime.config_faults import model_faults
from runtime.errors import ConfigurationError

_CLIENT_DEFAULTS: Final[Mapping[str, Scalar]] = {
    "client.id": "lead-events",
    "linger.ms": 5,  # an upstream cares for throughput; the scorer's 0 is for its latency
    "message.timeout.ms": 120_000,  # as in Java; librdkafka's five minutes are long to hear nothing
    # A broker that stands still is left for the one that leads now after so long, and not after librdkafka's minute,
    # which is longer than `flush` waits.
    "socket.timeout.ms": 10_000,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ProducerSettings:
    """Settings of a `LeadEventProducer`; only `source` has no default.

    Attributes:
        source: The name of the system that the events come from, unless an event says otherwise.
        bootstrap_servers: Brokers to begin with, `host:port`, separated by commas.
        topic: Where lead events go.
        client: librdkafka properties to pass through: TLS, SASL, timeouts, batching.
        registry_url: Address of the schema registry; empty: values in Avro single-object encoding.
        registry_client: Properties of the registry's client.
        queue_timeout_s: How long a call waits for room in the client's queue.
        flush_timeout_s: How long `flush` and leaving the `with` block wait for the brokers' acknowledgement.
        configuration: The same as the scorer's configuration has it; made of the others.

    Raises:
        ConfigurationError: With every fault in the values, secrets redacted.
    """

    source: str
    bootstrap_servers: str = "localhost:9092"
    topic: str = "lead.events"
    client: Mapping[str, Scalar] = field(default_factory=dict, repr=False)  # may hold a password
    registry_url: str = field(default="", repr=False)  # so may the address
    registry_client: Mapping[str, Scalar] = field(default_factory=dict, repr=False)
    queue_timeout_s: float = 30.0
    flush_timeout_s: float = 30.0
    configuration: Settings = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        data = {
            "kafka": {"bootstrap_servers": self.bootstrap_servers, "client": {**_CLIENT_DEFAULTS, **self.client}},
            "topics": {"events": self.topic},
            "schema_registry": {"url": self.registry_url, "client": dict(self.registry_client)},
        }
        configuration, faults, _ = model_faults(Settings, data, {})
        faults += [] if self.source else ["source: must not be empty"]
        faults += [
            f"{name} = {getattr(self, name)}: must be over 0, up to 3600"
            for name in ("queue_timeout_s", "flush_timeout_s")
            if not 0 < getattr(self, name) <= 3600
        ]
        if faults:
            raise ConfigurationError("The producer's settings cannot be used:", faults)
        object.__setattr__(self, "configuration", configuration)

    @classmethod
    def of_scorer(cls, settings: Settings, *, source: str) -> Self:
        """The same brokers, topic and registry as a scorer's configuration names."""
        return cls(
            source=source,
            bootstrap_servers=settings.kafka.bootstrap_servers,
            topic=settings.topics.events,
            client=settings.kafka.client,
            registry_url=settings.schema_registry.url,
            registry_client=settings.schema_registry.client,
        )

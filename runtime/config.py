"""The configuration (contract 1.1): one validated model; each field has a type, a unit, a default, a range, a sentence.

The tables of docs/configuration.md and the faults are made from what stands here.
"""

import re
import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from runtime.client_properties import for_client, refusals
from runtime.config_faults import Rule, check_rules, model_faults
from runtime.config_sources import Source, merge, read_environment, read_file
from runtime.errors import ConfigurationError

DEFAULT_FILE = Path("lead-scorer.toml")
Scalar = str | int | float | bool

_HTTP_ADDRESS = re.compile(r"(https?|mock)://\S+")
_ADDRESS = re.compile(r"(\w+://)?(\[[0-9A-Fa-f:.]+\]|[^\s:/\[\],]+)(:\d{1,5})?")


def _host_name() -> str:
    return socket.gethostname()


def _addresses(value: str) -> str:
    if not all(_ADDRESS.fullmatch(part.strip()) for part in value.split(",")):
        raise PydanticCustomError("addresses", "not addresses")
    return value


def _not_refused(client: dict[str, Scalar]) -> dict[str, Scalar]:
    if refused := refusals(client):
        raise PydanticCustomError("refused", "refused properties", {"refused": refused})
    return client


def _no_url(client: dict[str, Scalar]) -> dict[str, Scalar]:
    if "url" in client:
        raise PydanticCustomError("refused", "refused", {"refused": [("url", "has its own key, schema_registry.url")]})
    return client


def _http_addresses(url: str) -> str:
    for address in map(str.strip, url.split(",") if url else ()):
        if not _HTTP_ADDRESS.fullmatch(address) or not (parts := urlsplit(address)).hostname or parts.port == 0:
            raise ValueError(address)
    return url


def _as_path(value: Any) -> Any:
    return Path(value) if isinstance(value, str) and value else value or None


_Lowered = BeforeValidator(lambda value: value.lower() if isinstance(value, str) else value)
_AsPath = BeforeValidator(_as_path)
_Topic = Annotated[
    str,
    Field(
        pattern=r"^[A-Za-z0-9._-]{0,248}[A-Za-z0-9_-]$",
        json_schema_extra={"allowed": "a topic name: up to 249 of A-Z a-z 0-9 . _ -"},
    ),
]
_Id = Annotated[
    str, Field(pattern=r"^\S{1,200}$", json_schema_extra={"allowed": "1 to 200 characters without white space"})
]


class Section(BaseModel):
    """A section of the configuration: nothing is converted silently, nothing unknown is ignored."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", allow_inf_nan=False)


class Kafka(Section):
    """How to reach Kafka, and who this process is there."""

    bootstrap_servers: Annotated[
        str,
        AfterValidator(_addresses),
        Field(json_schema_extra={"allowed": "addresses host:port, separated by commas"}),
    ] = Field(default="localhost:9092", description="Brokers to begin with.")
    group_id: _Id = Field(default="lead-scorer", description="The consumer group; it owns the profiles topic.")
    instance_id: _Id = Field(
        default_factory=_host_name,
        description="Names this process: each process needs its own, and the same one again after a restart. The "
        "transactional id is `<group_id>-<instance_id>`. It is not `group.instance.id`.",
        json_schema_extra={"default": "the host name"},
    )
    client: Annotated[dict[str, Scalar], AfterValidator(_not_refused)] = Field(
        default_factory=dict,
        repr=False,
        description="librdkafka properties that are passed through: TLS, SASL, OAUTHBEARER, timeouts; see below.",
        json_schema_extra={"allowed": "a table of librdkafka properties, each a text, number or boolean"},
    )


class Topics(Section):
    """Names and settings of the topics (contract 2)."""

    events: _Topic = Field(default="lead.events", description="Lead events: the input.")
    decisions: _Topic = Field(default="lead.decisions", description="One decision for every scored event.")
    profiles: _Topic = Field(default="lead.profiles", description="Changelog of the state; belongs to one group.")
    dead_letters: _Topic = Field(
        default_factory=lambda data: f"{data['events']}.dead-letter",
        description="Records that could not be scored, byte for byte.",
        json_schema_extra={"default": "`<events>.dead-letter`"},
    )
    actions_prefix: str = Field(
        default="lead.actions.",
        pattern=r"^[A-Za-z0-9._-]{1,200}$",
        description="Begins the name of each action topic; the decision follows, with `-` for `_`.",
        json_schema_extra={"allowed": "the beginning of a topic name: 1 to 200 of A-Z a-z 0-9 . _ -"},
    )
    partitions: int = Field(default=12, ge=1, le=10_000, description="Partitions of every topic, all the same.")
    replication_factor: int = Field(
        default=1,
        ge=1,
        le=100,
        description="Replicas of each partition that `topics create` asks for; 3 in production.",
    )
    retention_days: float = Field(
        default=14,
        gt=0,
        le=36_500,
        description="How long events, decisions and actions are kept; dead letters 14 days longer than events.",
    )
    timestamps: Literal["broker", "producer"] = Field(
        default="broker",
        description="Whose clock stamps events: `broker` requires LogAppendTime, `producer` accepts CreateTime too; "
        "then latency, lag in seconds, the gate on future events and the memory of leads are as good as the producers' "
        "clocks: keep `message.timestamp.after.max.ms` of the topic at 1 h (the default since Kafka 4, before it there "
        "was no bound), and timestamps of one partition within a day of each other, or `state.retention_days` if less; "
        "one that is further ahead makes the instance that read it forget leads too early.",
    )

    def action(self, decision: str) -> str:
        """The action topic of a decision.

        >>> Topics().action("contact_now")
        'lead.actions.contact-now'
        """
        return self.actions_prefix + decision.replace("_", "-")


class Budget(Section):
    """The latency budget (contract 7)."""

    p95_ms: float = Field(
        default=150, gt=0, le=600_000, description="Append of an event to commit of its decision, at p95."
    )
    inference_ms: float = Field(
        default=50, gt=0, le=600_000, description="Deadline of a model call; past it the rules answer."
    )
    max_batch: int = Field(default=2000, ge=1, le=100_000, description="Records in one transaction at most.")


class Breaker(Section):
    """When the model is left alone for a while (contract 7)."""

    failure_rate: float = Field(default=0.5, gt=0, le=1, description="Share of failed or slow calls that opens it.")
    slow_ms: float = Field(
        default=50,
        gt=0,
        le=600_000,
        description="A call that takes longer counts as failed.",
        json_schema_extra={"default": "the deadline, `budget.inference_ms`"},
    )
    window: int = Field(default=20, ge=1, le=10_000, description="Calls that the rate is taken over.")
    min_calls: int = Field(
        default=5, ge=1, le=10_000, description="Calls that must be in the window before it can open."
    )
    open_s: float = Field(default=5, gt=0, le=86_400, description="How long it stays open before it probes.")
    max_open_s: float = Field(default=120, gt=0, le=86_400, description="Bad probes double that time up to here.")
    probe_records: int = Field(default=16, ge=1, le=100_000, description="Records in a probe at most.")
    probe_calls: int = Field(default=3, ge=1, le=1000, description="Good probes in a row that close it.")


class Model(Section):
    """Where the model comes from (contract 8)."""

    directory: Annotated[Path, _AsPath] = Field(
        default=Path("models"),
        description="Holds the bundles and the alias files.",
        json_schema_extra={"allowed": "a path"},
    )
    alias: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,100}$")] = Field(
        default="champion",
        description="The file in the directory that names the version to serve.",
        json_schema_extra={"allowed": "a file name: 1 to 100 of A-Z a-z 0-9 . _ -"},
    )
    poll_s: float = Field(default=2, gt=0, le=3600, description="How often that file is looked at.")


class Policy(Section):
    """Which policy routes the scores (contract 6)."""

    name: Literal["default", "three_way"] = Field(default="default", description="A policy that ships with the scorer.")
    path: Annotated[Path | None, _AsPath] = Field(
        default=None,
        description="A TOML file with a policy of one's own; where it is given, `name` is not used.",
        json_schema_extra={"allowed": "a path", "default": "none"},
    )


class State(Section):
    """What is remembered of a lead (contract 5)."""

    dedup_window: int = Field(default=32, ge=0, le=1024, description="Accepted event ids remembered for each lead.")
    retention_days: float = Field(
        default=365,
        gt=0,
        le=36_500,
        description="A lead without an accepted event for so long, by append time, counts as new at its next one.",
    )


class DeadLetters(Section):
    """When bad input stops an instance (contract 12): it is then a bad deployment, not bad records."""

    max_consecutive: int = Field(default=1000, ge=1, le=1_000_000_000, description="Dead letters in a row.")
    max_ratio: float = Field(
        default=0.2, gt=0, le=1, description="Share of dead letters in the last 10,000 records; 1 switches it off."
    )


class SchemaRegistry(Section):
    """The schema registry, if there is one (contract 3)."""

    url: Annotated[str, AfterValidator(_http_addresses)] = Field(
        default="",
        repr=False,
        description="Its address, or several with commas between; empty: no registry, values in Avro single-object "
        "encoding.",
        json_schema_extra={"allowed": "empty, or addresses http://... or https://..., separated by commas"},
    )
    client: Annotated[dict[str, Scalar], AfterValidator(_no_url)] = Field(
        default_factory=dict,
        repr=False,
        description="Properties of the registry's client: `basic.auth.user.info`, `ssl.ca.location` and the like.",
        json_schema_extra={"allowed": "a table of properties, each a text, number or boolean"},
    )


class Http(Section):
    """The endpoint for metrics, health and status (contract 10)."""

    host: str = Field(
        default="127.0.0.1",
        pattern=r"^[!-~]+$",
        description="Address to listen on; `0.0.0.0` for all.",
        json_schema_extra={"allowed": "a host name or an address"},
    )
    port: int = Field(default=9464, ge=0, le=65_535, description="Port to listen on; 0 takes a free one.")


class Drills(Section):
    """Fault injection for tests and drills."""

    enabled: bool = Field(default=False, description="Allows `run --inject FAULT`.")


class Logging(Section):
    """The logs, on standard error."""

    level: Annotated[Literal["debug", "info", "warning", "error"], _Lowered] = Field(
        default="info", description="The least severe level that is written."
    )
    format: Annotated[Literal["auto", "console", "json"], _Lowered] = Field(
        default="auto", description="`auto` is `console` on a terminal and `json` otherwise."
    )


class Settings(Section):
    """The whole configuration, as `load` returns it; `Settings()` is the defaults."""

    kafka: Kafka = Field(default_factory=Kafka)
    topics: Topics = Field(default_factory=Topics)
    budget: Budget = Field(default_factory=Budget)
    breaker: Breaker = Field(default_factory=Breaker)
    model: Model = Field(default_factory=Model)
    policy: Policy = Field(default_factory=Policy)
    state: State = Field(default_factory=State)
    dead_letters: DeadLetters = Field(default_factory=DeadLetters)
    schema_registry: SchemaRegistry = Field(default_factory=SchemaRegistry)
    http: Http = Field(default_factory=Http)
    drills: Drills = Field(default_factory=Drills)
    logging: Logging = Field(default_factory=Logging)

    @model_validator(mode="after")
    def _defaults_of_the_breaker_follow(self) -> Self:
        """A call is slow past the deadline; of two keys that bound each other the one that is given counts."""
        breaker = self.breaker
        follow: dict[str, float] = {
            "slow_ms": self.budget.inference_ms,
            "min_calls": min(breaker.min_calls, breaker.window),
            "window": max(breaker.min_calls, breaker.window),
            "open_s": min(breaker.open_s, breaker.max_open_s),
            "max_open_s": max(breaker.open_s, breaker.max_open_s),
        }
        update = {key: value for key, value in follow.items() if key not in breaker.model_fields_set}
        # The sections are frozen for everybody else.
        object.__setattr__(self, "breaker", breaker.model_copy(update=update))
        return self

    @property
    def transactional_id(self) -> str:
        """`<group_id>-<instance_id>`: a restarted process fences its own past (contract 1.1)."""
        return f"{self.kafka.group_id}-{self.kafka.instance_id}"


def _client_ms(settings: Settings, name: str, default: int) -> float:
    """A time in `kafka.client`; librdkafka takes numbers as text too, and judges what is no number itself."""
    try:
        return float(for_client(settings.kafka.client, frozenset()).get(name, default))
    except ValueError:
        return default


RULES = (
    Rule(
        ("breaker.min_calls", "breaker.window"),
        lambda s: s.breaker.min_calls <= s.breaker.window,
        "must be at most breaker.window, or the breaker never opens",
    ),
    Rule(
        ("breaker.open_s", "breaker.max_open_s"),
        lambda s: s.breaker.open_s <= s.breaker.max_open_s,
        "must be at most breaker.max_open_s",
    ),
    Rule(
        ("topics.events", "topics.decisions", "topics.profiles", "topics.dead_letters"),
        lambda s: len({s.topics.events, s.topics.decisions, s.topics.profiles, s.topics.dead_letters}) == 4,
        "must all differ",
    ),
    Rule(
        ("kafka.client.session.timeout.ms", "kafka.client.max.poll.interval.ms"),
        lambda s: _client_ms(s, "session.timeout.ms", 10_000) <= _client_ms(s, "max.poll.interval.ms", 60_000),
        "must be at most max.poll.interval.ms (60000 unless set)",
    ),
    Rule(
        ("kafka.client.message.timeout.ms", "kafka.client.transaction.timeout.ms"),
        lambda s: 0 < _client_ms(s, "message.timeout.ms", 1) < _client_ms(s, "transaction.timeout.ms", 15_000),
        "must be over 0 and below transaction.timeout.ms (15000 unless set): no record may outlive its transaction",
    ),
)


def load(
    path: Path | None, environ: Mapping[str, str], judge: Callable[[Settings], list[str]] = lambda _: []
) -> Settings:
    """Reads the configuration: defaults, then the TOML file, then `LEAD_SCORER__SECTION__KEY`; the last one counts.

    Args:
        path: The file of `--config`, which must exist; None takes ./lead-scorer.toml if there is one.
        environ: The process's environment.
        judge: Finds further faults, in what is right so far.

    Raises:
        ConfigurationError: With every fault in it, unknown keys included; secrets are redacted.
    """
    sources: list[Source] = []
    if path is not None or DEFAULT_FILE.exists():
        sources.append(read_file(path or DEFAULT_FILE))
    sources.append(read_environment(environ, Settings))
    data, origins = merge(sources)
    settings, faults, wrong_keys = model_faults(Settings, data, origins)
    faults += check_rules(RULES, settings, origins, wrong_keys) + judge(settings)
    faults = [fault for source in sources for fault in source.faults] + faults
    if faults:
        count = "1 fault" if len(faults) == 1 else f"{len(faults)} faults"
        raise ConfigurationError(f"{count} in the configuration, nothing was started:", faults)
    return settings

"""The configuration of a demo: the user's own, with names on Kafka that nobody else uses."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from pathlib import Path

from cli.demo.plan import Plan
from runtime.broker import ladder
from runtime.config import DEFAULT_FILE, Settings

PREFIX = "lead-scorer-demo-"


def new_name() -> str:
    """A name for everything that this demo has on Kafka: a second demo on the same broker does not meet it."""
    return f"{PREFIX}{uuid.uuid4().hex[:8]}"


def config_file(given: Path | None) -> Path | None:
    """The file that every command reads, for a process with another working folder."""
    if given is not None:
        return given.absolute()
    return DEFAULT_FILE.absolute() if DEFAULT_FILE.exists() else None


def given_address(option: str | None, environ: Mapping[str, str]) -> str | None:
    """The broker that the user gave; None: the ladder starts one.

    >>> given_address(None, {"KAFKA_BOOTSTRAP_SERVERS": "kafka:9092"})
    'kafka:9092'
    >>> given_address(None, {"KAFKA_BOOTSTRAP_SERVERS": "kafka:9092", "LEAD_SCORER_BROKER": "local"}) is None
    True
    """
    if option is not None:
        return option
    names = [name for name, _ in ladder(environ)]
    return names[0].partition("=")[2] or None if len(names) == 1 else None


def environment(
    environ: Mapping[str, str],
    settings: Settings,
    plan: Plan,
    *,
    name: str,
    bootstrap_servers: str,
    own_broker: bool,
    models: Path,
) -> dict[str, str]:
    """The environment of the demo's processes: this one's, with all that must be the demo's own.

    Args:
        environ: The environment of this process.
        settings: The user's configuration.
        plan: How the demo goes.
        name: From `new_name`.
        bootstrap_servers: The broker.
        own_broker: The demo started it: what the user needs for his own, such as TLS, does not fit it.
        models: The model directory.
    """
    values = {
        "KAFKA__BOOTSTRAP_SERVERS": bootstrap_servers,
        "KAFKA__GROUP_ID": name,
        "KAFKA__INSTANCE_ID": "demo",
        "TOPICS__EVENTS": f"{name}.events",
        "TOPICS__DECISIONS": f"{name}.decisions",
        "TOPICS__PROFILES": f"{name}.profiles",
        "TOPICS__DEAD_LETTERS": f"{name}.dead-letter",
        "TOPICS__ACTIONS_PREFIX": f"{name}.actions.",
        "MODEL__DIRECTORY": str(models),
        "BREAKER__OPEN_S": f"{plan.open_s:g}",
        "BREAKER__MAX_OPEN_S": f"{plan.open_s:g}",  # bad probes do not double it
        "HTTP__HOST": "127.0.0.1",
        "HTTP__PORT": "0",
        "DRILLS__ENABLED": "true",
        "LOGGING__LEVEL": "info",  # the port stands in the log
        "LOGGING__FORMAT": "json",
    }
    if settings.policy.path is not None:
        values["POLICY__PATH"] = str(settings.policy.path.absolute())
    if own_broker:
        values |= {"KAFKA__CLIENT": "{}", "SCHEMA_REGISTRY__URL": "", "TOPICS__REPLICATION_FACTOR": "1"}
    return {**environ, **{f"LEAD_SCORER__{key}": value for key, value in values.items()}}

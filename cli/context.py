"""What every command shares: the configuration that the invocation asked for, its policy, its logs.

Imports of the heavy libraries stand inside the functions: `--help` does without them.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from runtime.config import Settings
    from scoring.policy import Policy


@dataclass
class Invocation:
    """What stood before the subcommand, and whether the command speaks in logs."""

    config: Path | None = None
    logs: bool = False


def settings_of(ctx: typer.Context) -> "Settings":
    """The configuration: the file of `--config` or ./lead-scorer.toml, and the environment over it.

    Raises:
        ConfigurationError: With every fault.
    """
    from runtime.config import load

    return load(ctx.ensure_object(Invocation).config, os.environ, _further_faults)


def _further_faults(settings: "Settings") -> list[str]:
    """What the clients say against their properties, what is wrong with the policy, and with the topics it makes."""
    from runtime.errors import ConfigurationError

    faults = []
    if settings.kafka.client:  # without any the client need not be loaded
        from runtime.kafka import client_faults

        faults += client_faults(settings)
    if settings.schema_registry.url:
        from schemas.registry import Registry

        try:
            Registry(settings.schema_registry.url, settings.schema_registry.client).close()
        except ValueError as error:  # an unknown property, a certificate that is not there
            faults.append(f"schema_registry.client: {error}")
    try:
        policy = policy_of(settings)
    except ConfigurationError as error:
        return faults + [f"policy.path = {settings.policy.path}: {fault}" for fault in error.faults]
    return faults + _name_faults(settings, policy)


def _name_faults(settings: "Settings", policy: "Policy") -> list[str]:
    """The names of some topics follow from other keys and the policy: they can be too long, or taken."""
    from runtime.errors import ConfigurationError
    from runtime.topic_specs import topic_specs

    topics = settings.topics
    if len({topics.events, topics.decisions, topics.profiles, topics.dead_letters}) < 4:
        return []  # told already
    try:
        topic_specs(settings, policy.decisions)
    except ConfigurationError as error:
        return [f"topics: {fault}" for fault in error.faults]
    return []


def policy_of(settings: "Settings") -> "Policy":
    """The policy that the configuration names.

    Raises:
        ConfigurationError: With every fault of the policy.
    """
    from runtime.errors import ConfigurationError
    from scoring.policy import Policy, PolicyError

    try:
        return Policy.load(settings.policy.path or settings.policy.name)
    except PolicyError as error:
        raise ConfigurationError(f"policy {error.source} is refused:", error.faults) from error


def start_logging(ctx: typer.Context, settings: "Settings") -> None:
    """For services: logs of the configured level and format, the last word of a fatal error included.

    Without this call a command logs warnings only, and its errors are plain lines.
    """
    from runtime import logging

    logging.configure(settings.logging.level, settings.logging.format)
    ctx.ensure_object(Invocation).logs = True


def console() -> "Console":
    """A console on standard output; wide where it is no terminal, so that a file or a pipe gets whole lines."""
    from rich.console import Console

    found = Console()
    return found if found.is_terminal else Console(width=WIDTH_WITHOUT_TERMINAL)


WIDTH_WITHOUT_TERMINAL = 200

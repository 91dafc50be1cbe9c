"""`lead-scorer topics`: creates the topics, and checks those that exist."""

from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING

import typer

from cli.context import console, policy_of, settings_of

if TYPE_CHECKING:
    from rich.table import Table

    from runtime.topics import Topic

app = typer.Typer(help="Create and check the topics.", no_args_is_help=True)


@app.callback(epilog="Example: lead-scorer topics create")
def group() -> None:
    """Create and check the topics."""


@app.command(epilog="Example: LEAD_SCORER__TOPICS__PARTITIONS=24 lead-scorer topics create")
def create(ctx: typer.Context) -> None:
    """Create the topics that are missing and check the others.

    Partitions, cleanup policy, timestamps and retention come from the configuration, the action topics from the
    policy. Existing topics are never changed: a wrong setting is an error (exit code 2), all of them at once. It can
    be called again at any time.
    """
    from runtime import kafka, topics

    settings = settings_of(ctx)
    specs = topics.topic_specs(settings, policy_of(settings).decisions)
    admin = kafka.admin(settings)
    kafka.wait_for_broker(admin)
    created = topics.create_topics(admin, specs)
    found = topics.describe(admin, [spec.name for spec in specs])
    console().print(_table(found.values(), created))


def _table(found: Iterable["Topic"], created: Collection[str]) -> "Table":
    from rich.table import Table

    table = Table("topic", "", "partitions", "cleanup", "timestamps", "retention")
    for topic in found:
        config = topic.config or {}
        table.add_row(
            topic.name,
            "created" if topic.name in created else "exists",
            str(topic.partitions),
            config.get("cleanup.policy", "?"),
            config.get("message.timestamp.type", "?"),
            "by key" if config.get("cleanup.policy") == "compact" else _days(config.get("retention.ms")),
        )
    return table


def _days(retention_ms: str | None) -> str:
    """A retention in days; -1 is endless."""
    if retention_ms is None:
        return "?"
    return "endless" if retention_ms == "-1" else f"{int(retention_ms) / 86_400_000:g} days"

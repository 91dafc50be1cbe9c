"""`lead-scorer decisions tail`: what was decided, on a terminal or as JSON lines."""

import json
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from enum import StrEnum
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.context import console, settings_of

if TYPE_CHECKING:
    from confluent_kafka import Consumer

    from runtime.config import Settings

app = typer.Typer(help="Decisions, as subscribers see them.", no_args_is_help=True)


class Output(StrEnum):
    """How decisions are printed."""

    TABLE = "table"
    JSON = "json"


@app.callback(epilog="Example: lead-scorer decisions tail --from-beginning --limit 10")
def group() -> None:
    """Decisions, as subscribers see them."""


@app.command(epilog="Example: lead-scorer decisions tail --decision contact_now --output json --from-beginning")
def tail(
    ctx: typer.Context,
    decision: Annotated[str | None, typer.Option(help="Only this decision, such as contact_now.")] = None,
    output: Annotated[Output, typer.Option(help="A table for people, or JSON lines for programs.")] = Output.TABLE,
    from_beginning: Annotated[bool, typer.Option("--from-beginning", help="From the first decision on.")] = False,
    limit: Annotated[int | None, typer.Option(min=1, help="End after so many decisions.")] = None,
) -> None:
    """Reads the decisions topic, committed decisions only, until Ctrl-C or the limit."""
    settings = settings_of(ctx)
    consumer = _consumer(settings)
    found = islice(_decisions(consumer, settings, decision, from_beginning), limit)
    try:
        (_print_json if output is Output.JSON else _print_table)(found)
    except (KeyboardInterrupt, BrokenPipeError):
        pass  # the reader has seen enough
    finally:
        consumer.close()


def _consumer(settings: "Settings") -> "Consumer":
    from runtime import kafka

    kafka.wait_for_broker(kafka.admin(settings))
    own = {"enable.partition.eof": True, "group.id": f"{settings.kafka.group_id}-decisions-tail"}
    return kafka.consumer(settings, **own)


def _decisions(
    consumer: "Consumer", settings: "Settings", decision: str | None, from_beginning: bool
) -> Iterator[dict[str, Any]]:
    from consumer.topic_reader import read_topic
    from runtime.errors import FatalError
    from schemas.codec import RegistryUnavailableError, UndecodableError, UnknownSchemaError, decision_codec
    from schemas.registry import Registry

    url = settings.schema_registry.url
    codec = decision_codec(registry=Registry(url, settings.schema_registry.client) if url else None)
    topic = settings.topics.decisions
    for message in read_topic(consumer, topic, from_beginning=from_beginning, follow=True):
        try:
            datum = codec.decode(message.value())
        except RegistryUnavailableError as error:
            raise FatalError(f"{error}. Without it no decision can be read: try again once it is there.") from error
        except (UndecodableError, UnknownSchemaError) as error:
            place = f"{topic}-{message.partition()}-{message.offset()}"
            typer.echo(f"{place}: is no decision that can be read: {error}", err=True)
            continue
        if decision is None or datum["decision"] == decision:
            yield datum


def _print_json(decisions: Iterable[dict[str, Any]]) -> None:
    for datum in decisions:
        typer.echo(json.dumps(datum, ensure_ascii=False))


COLUMNS = ("decided at", "lead", "event", "decision", "score", "by", "confidence", "published", "latency ms")


def _print_table(decisions: Iterable[dict[str, Any]]) -> None:
    """Rows of a fixed width: a table that follows cannot know its widest cell."""
    widths = (24, 24, 15, 16, 7, 6, 11, 10, 10)
    out = console()
    out.print("".join(name.ljust(width) for name, width in zip(COLUMNS, widths, strict=True)), style="bold")
    for datum in decisions:
        cells = _cells(datum)
        line = "".join(cell[: width - 1].ljust(width) for cell, width in zip(cells, widths, strict=True))
        out.print(line, highlight=False, markup=False, soft_wrap=True)


def _cells(datum: dict[str, Any]) -> tuple[str, ...]:
    decided_at = datetime.fromtimestamp(datum["decided_at"] / 1000, UTC)
    return (
        decided_at.strftime("%Y-%m-%d %H:%M:%S.%f")[:-3],
        datum["lead_id"],
        datum["event_type"],
        datum["decision"],
        f"{datum['score']:.3f}",
        datum["scored_by"].lower(),
        datum["confidence"].lower(),
        "yes" if datum["action_published"] else "-",
        f"{datum['latency_ms']:.0f}",
    )

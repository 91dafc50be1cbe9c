"""`lead-scorer dead-letters`: what could not be scored and why, and sending it back once that is mended."""

import json
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from enum import StrEnum
from heapq import nlargest
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from cli.context import console, settings_of
from schemas.times import MAX_MS, MIN_MS

if TYPE_CHECKING:
    from consumer.replay import DeadLetter, Selection
    from runtime.config import Settings

app = typer.Typer(help="Show dead letters, and send them back.", no_args_is_help=True)

SHOWN_MAX = 1000
Row = dict[str, Any]
Counts = Counter[tuple[str, int]]
"""By reason and source partition."""


class _Chosen(NamedTuple):
    reason: str
    partition: int
    key: bytes | None


class Output(StrEnum):
    """How dead letters are printed."""

    TABLE = "table"
    JSON = "json"


Reasons = Annotated[list[str] | None, typer.Option("--reason", help="Only this code; can be given again.")]
Partitions = Annotated[list[int] | None, typer.Option("--partition", help="Only of this source partition; again.")]
Offsets = Annotated[list[int] | None, typer.Option("--offset", help="Only of this source offset; again.")]
Since = Annotated[datetime | None, typer.Option(help="Only appended at or after this time, UTC.")]
Until = Annotated[datetime | None, typer.Option(help="Only appended before this time, UTC.")]


@app.callback(epilog="Example: lead-scorer dead-letters list")
def group() -> None:
    """Show dead letters, and send them back."""


@app.command("list", epilog="Example: lead-scorer dead-letters list --reason undecodable --since 2025-06-01T08:00:00")
def list_(
    ctx: typer.Context,
    reason: Reasons = None,
    partition: Partitions = None,
    offset: Offsets = None,
    since: Since = None,
    until: Until = None,
    output: Annotated[Output, typer.Option(help="A table for people, or JSON lines for programs.")] = Output.TABLE,
    limit: Annotated[int, typer.Option(min=1, help="Show the latest so many; the counts are of all.")] = SHOWN_MAX,
) -> None:
    """Shows dead letters with their reason, and counts them by reason. Never the payload: it is lead data."""
    settings, counts = settings_of(ctx), Counts()
    letters = _counted(_letters(settings, _selection(reason, partition, offset, since, until)), counts)
    # Of those that are not shown nothing is kept, and of the others no payload: a flood of them fits into memory.
    latest = nlargest(limit, ((letter.append_ms, number, _shown(letter)) for number, letter in enumerate(letters)))
    rows = [row for *_, row in reversed(latest)]
    if output is Output.JSON:
        for row in rows:
            typer.echo(json.dumps(row, ensure_ascii=False))
        if len(rows) < counts.total():
            typer.echo(f"the latest {len(rows)} of {counts.total()} dead letters; --limit shows more", err=True)
        return
    _print_table(rows)
    _print_counts(counts)


@app.command(epilog="Example: lead-scorer dead-letters replay --reason unknown_schema --dry-run")
def replay(
    ctx: typer.Context,
    reason: Reasons = None,
    partition: Partitions = None,
    offset: Offsets = None,
    since: Since = None,
    until: Until = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would be sent.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask; without a terminal nothing is asked anyway.")] = False,
) -> None:
    """Sends the chosen dead letters back to the topic and partition they came from.

    They are counted first. Doing it twice is harmless: the scorer drops the second as a duplicate, as long as the id is
    among the lead's last `state.dedup_window`. The place that is printed is the `decision_id` of a record's decision;
    one that fails again is a dead letter again, which `list` shows with where it was replayed from, and which is sent
    instead of the one before if both are chosen.
    """
    settings, selection = settings_of(ctx), _selection(reason, partition, offset, since, until)
    ready, unfit = dict[str, _Chosen](), list[str]()
    replayed = set[str | None]()
    for letter in _letters(settings, selection):
        replayed.add(letter.replayed_from)
        if letter.replayable:
            ready[letter.place] = _Chosen(letter.reason, letter.source_partition, letter.key)
        else:
            unfit.append(letter.place)
    before = ready.keys() & replayed
    for place in before:
        del ready[place]
    _print_counts(Counts((chosen.reason, chosen.partition) for chosen in ready.values()))
    if before:
        typer.echo(f"{len(before)} more were replayed before and failed again: what became of them is sent", err=True)
    for place in unfit:
        typer.echo(f"{place}: cannot be replayed: it lost its value, or does not say where it came from", err=True)
    window = settings.state.dedup_window
    if many := sum(count > window for count in Counter(chosen.key for chosen in ready.values()).values()):
        typer.echo(
            f"{many} keys have more of these than state.dedup_window = {window}: send them once only, a second time "
            "would not be known for duplicates",
            err=True,
        )
    if dry_run or not ready:
        typer.echo(f"would send {len(ready)}; nothing was sent")
        return
    if not yes and sys.stdin.isatty() and not typer.confirm(f"Send {len(ready)} back?"):
        raise typer.Exit(0)
    # Read again rather than kept: what was counted is sent, and nothing that has come since.
    sent = _send(settings, _these(_letters(settings, selection), ready))
    typer.echo(f"sent {sent} of {len(ready)}")
    if sent < len(ready):
        raise typer.Exit(1)


def _send(settings: "Settings", letters: "Iterable[DeadLetter]") -> int:
    """How many were sent."""
    from consumer.replay import replay as send
    from runtime import kafka

    count = 0
    for sent in send(letters, kafka.producer(settings)):
        count += not sent.error
        typer.echo(f"{sent.letter.place} -> {sent.place or 'NOT SENT: ' + sent.error}")
    return count


def _selection(
    reasons: list[str] | None,
    partitions: list[int] | None,
    offsets: list[int] | None,
    since: datetime | None,
    until: datetime | None,
) -> "Selection":
    from consumer.replay import Selection
    from runtime.errors import ConfigurationError
    from runtime.metric_families import DEAD_LETTER_REASONS

    unknown = sorted(set(reasons or ()) - set(DEAD_LETTER_REASONS))
    if unknown:
        allowed = ", ".join(DEAD_LETTER_REASONS)
        raise ConfigurationError(f"--reason: {', '.join(unknown)} is no reason; allowed: {allowed}")
    return Selection(
        reasons=frozenset(reasons) if reasons else None,
        partitions=frozenset(partitions) if partitions else None,
        offsets=frozenset(offsets) if offsets else None,
        since_ms=_ms(since),
        until_ms=_ms(until),
    )


def _ms(time: datetime | None) -> int | None:
    return None if time is None else int(time.replace(tzinfo=time.tzinfo or UTC).timestamp() * 1000)


def _letters(settings: "Settings", selection: "Selection") -> "Iterator[DeadLetter]":
    from consumer.replay import parse
    from consumer.topic_reader import read_topic
    from runtime import kafka

    kafka.wait_for_broker(kafka.admin(settings))
    own = {"enable.partition.eof": True, "group.id": f"{settings.kafka.group_id}-dead-letters"}
    consumer = kafka.consumer(settings, **own)
    try:
        for message in read_topic(consumer, settings.topics.dead_letters):
            letter = parse(message)
            if selection.takes(letter):
                yield letter
    finally:
        consumer.close()


def _these(letters: "Iterable[DeadLetter]", places: Iterable[str]) -> "Iterator[DeadLetter]":
    """Those at the places; ends with the last of them, as the scorer may append others meanwhile."""
    left = set(places)
    for letter in letters:
        if letter.place in left:
            left.discard(letter.place)
            yield letter
            if not left:
                return


def _counted(letters: "Iterable[DeadLetter]", counts: Counts) -> "Iterator[DeadLetter]":
    for letter in letters:
        counts[letter.reason, letter.source_partition] += 1
        yield letter


def _shown(letter: "DeadLetter") -> Row:
    return {
        "dead_letter": letter.place,
        "appended_at": _time(letter),
        "source": f"{letter.source_topic}-{letter.source_partition}-{letter.source_offset}",
        "stage": letter.stage,
        "reason": letter.reason,
        "exception": letter.exception,
        "message": letter.message,
        "value_bytes": None if letter.value is None else len(letter.value),
        "replayed_from": letter.replayed_from,
    }


def _time(letter: "DeadLetter") -> str:
    append_ms = min(max(letter.append_ms, MIN_MS), MAX_MS)  # a producer may have stamped it with anything
    return datetime.fromtimestamp(append_ms / 1000, UTC).isoformat(timespec="milliseconds")


def _print_table(rows: Iterable[Row]) -> None:
    from rich.table import Table

    table = Table("appended at", "source", "stage", "reason", "message", "replayed from")
    for row in rows:
        names = ("appended_at", "source", "stage", "reason", "message", "replayed_from")
        table.add_row(*(str(row[name] or "") for name in names))
    console().print(table, markup=False)


def _print_counts(counts: Counts) -> None:
    from rich.table import Table

    table = Table("reason", "records", "source partitions")
    for reason in sorted({reason for reason, _ in counts}):
        partitions = sorted(number for found, number in counts if found == reason)
        total = sum(counts[reason, number] for number in partitions)
        table.add_row(reason, str(total), ", ".join(map(str, partitions)))
    console().print(table)
    typer.echo(f"{sum(counts.values())} dead letters")

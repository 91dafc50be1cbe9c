"""`lead-scorer produce`: writes lead events, simulated ones or those of a file."""

import os
import stat
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from cli.context import settings_of
from cli.progress import ProgressBar

if TYPE_CHECKING:
    from collections import Counter

    from producer.importing import Mapping, Rejection, Source, Summary
    from producer.pace import Pacer, Schedule
    from producer.simulation import Parameters, Simulation
    from producer.sinks import Sink
    from runtime.clock import Clock

app = typer.Typer(help="Write lead events to Kafka or to a file.", no_args_is_help=True)

REJECTIONS_SHOWN: Final = 20
"""On a terminal."""
INTERRUPTED: Final = 130  # 128 + SIGINT, as shells have it

Rate = Annotated[float | None, typer.Option(metavar="R", help="Records a second; as fast as it goes if not given.")]
To = Annotated[
    Path | None, typer.Option("--to", metavar="FILE", help="Write lines of JSON there instead of Kafka; - is stdout.")
]
OutcomesFile = Annotated[
    Path | None,
    typer.Option("--outcomes", metavar="FILE", help="Write the conversions there: CSV lead_id,converted_at."),
]


@app.callback(epilog="Example: lead-scorer produce simulate --leads 1000 --events 50000 --rate 1000 --seed 7")
def group() -> None:
    """Write lead events to Kafka or to a file."""


@app.command(epilog="Example: lead-scorer produce simulate --events 50000 --to history.ndjson --outcomes outcomes.csv")
def simulate(
    ctx: typer.Context,
    leads: Annotated[int, typer.Option(metavar="N", help="How many leads there are.")] = 1000,
    events: Annotated[int, typer.Option(metavar="N", help="How many records to write in all.")] = 10_000,
    rate: Rate = None,
    seed: Annotated[int, typer.Option(metavar="S", help="Of all chance.")] = 1,
    duplicates: Annotated[
        float, typer.Option(metavar="P", help="Share of records that are an earlier one again, 0 to 1.")
    ] = 0.0,
    malformed: Annotated[float, typer.Option(metavar="P", help="Share of records that the scorer must refuse.")] = 0.0,
    late: Annotated[float, typer.Option(metavar="P", help="Share of records sent after later ones.")] = 0.0,
    start: Annotated[
        str, typer.Option(metavar="TIME", help="Where the simulated time line begins.")
    ] = "2025-01-01T00:00:00Z",
    days: Annotated[float, typer.Option(metavar="D", help="How long it is.")] = 90.0,
    to: To = None,
    outcomes: OutcomesFile = None,
) -> None:
    """Write the events of simulated leads, who visit in sessions, ask for demos, and sometimes buy.

    What they do and whether they convert follows from a hidden intent, their company's size and how busy they were
    of late. The same arguments give the same events, byte for byte; the rate is not among them.
    """
    from producer.simulation import Simulation
    from runtime.clock import SystemClock

    clock = SystemClock()
    schedule = _schedule(rate, None)
    _require_two_files(to, outcomes)
    simulation = Simulation(
        _parameters(
            leads=leads,
            events=events,
            seed=seed,
            duplicates=duplicates,
            malformed=malformed,
            late=late,
            start_ms=_start_ms(start),
            days=days,
        )
    )
    _warn_of_the_future(simulation.parameters, clock)
    _write_outcomes(outcomes, simulation.outcomes())
    begun = clock.monotonic()
    with _sink(ctx, to, "simulation", clock) as (sink, place):
        sent = _send(simulation, sink, _pacer(schedule, sink, clock))
    complete = sent == events
    _close(sent, place, clock.monotonic() - begun, _sorts(simulation), complete=complete)
    if not complete:
        raise typer.Exit(INTERRUPTED)


@app.command(epilog="Example: lead-scorer produce file events.csv --mapping mapping.toml --speedup 60")
def file(
    ctx: typer.Context,
    path: Annotated[Path, typer.Argument(metavar="PATH", help="CSV or lines of JSON; - is standard input.")],
    mapping: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="TOML that names columns and event types; not needed where fields are LeadEvent's."
        ),
    ] = None,
    form: Annotated[str | None, typer.Option("--format", metavar="csv|ndjson", help="Found out if not given.")] = None,
    rate: Rate = None,
    speedup: Annotated[
        float | None, typer.Option(metavar="X", help="Replay as the events occurred, X times faster.")
    ] = None,
    to: To = None,
    outcomes: OutcomesFile = None,
) -> None:
    """Write the events of a file.

    A row that is no event is reported with its line number and left out; others go through, and the exit code is 1.
    An event without an id gets one of its row and line: to import the same file again does no harm.
    """
    from producer.importing import Format, Mapping, Summary, load_mapping, open_source
    from runtime.clock import SystemClock
    from runtime.errors import ConfigurationError

    clock = SystemClock()
    schedule = _schedule(rate, speedup)
    _require_two_files(to, outcomes)
    if form is not None and form not in list(Format):
        raise ConfigurationError(f"--format is {form}, allowed: csv or ndjson")
    chosen = load_mapping(mapping) if mapping else Mapping()
    if outcomes is not None and chosen.outcomes is None:
        raise ConfigurationError("--outcomes needs a mapping with [outcomes] event_types: which rows are conversions")
    begun = clock.monotonic()
    summary = Summary()
    with (
        _outcomes_file(outcomes, summary),
        ProgressBar("importing", _size(path)) as bar,
        open_source(path, chosen, Format(form) if form else None, bar.at) as source,
        _sink(ctx, to, source.name, clock) as (sink, place),
    ):
        complete = _import(source, chosen, sink, _pacer(schedule, sink, clock), bar, summary)
    _close(summary.sent, place, clock.monotonic() - begun, _fates(summary), complete=complete)
    if not complete:
        raise typer.Exit(INTERRUPTED)
    if summary.rejected:
        raise typer.Exit(1)


def _size(path: Path) -> int | None:
    """A file's bytes, for the progress; None where nobody knows, or where opening it will say what is wrong."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_size if stat.S_ISREG(found.st_mode) else None


def _schedule(rate: float | None, speedup: float | None) -> "Schedule":
    from producer.pace import Even, Replay, Unpaced
    from runtime.errors import ConfigurationError

    if rate is not None and speedup is not None:
        raise ConfigurationError("--rate and --speedup are two ways to pace events: give one of them")
    for name, value in (("--rate", rate), ("--speedup", speedup)):
        if value is not None and not 0 < value < float("inf"):
            raise ConfigurationError(f"{name} is {value}, allowed: above 0")
    if rate is not None:
        return Even(rate)
    return Unpaced() if speedup is None else Replay(speedup)


def _pacer(schedule: "Schedule", sink: "Sink", clock: "Clock") -> "Pacer":
    from producer.pace import Pacer

    return Pacer(schedule, clock, sink.wait)


def _start_ms(start: str) -> int:
    """A moment, or a day, which begins in UTC."""
    from runtime.errors import ConfigurationError
    from schemas.times import parse_rfc3339

    try:
        return parse_rfc3339(start if "T" in start.upper() else f"{start}T00:00:00Z")
    except ValueError as error:
        raise ConfigurationError(f"--start is {start}: {error}") from None


def _parameters(**values: Any) -> "Parameters":
    from producer.simulation import Parameters
    from runtime.errors import ConfigurationError

    try:
        return Parameters(**values)
    except ValueError as error:
        raise ConfigurationError(f"produce simulate: {error}") from None


def _warn_of_the_future(parameters: "Parameters", clock: "Clock") -> None:
    from schemas.times import format_rfc3339

    if parameters.end_ms > clock.now_ms():
        typer.echo(
            f"warning: the time line ends at {format_rfc3339(parameters.end_ms)}, which is still to come. The scorer "
            "puts events more than 5 minutes ahead to the dead letters (occurred_in_future).",
            err=True,
        )


@contextmanager
def _sink(ctx: typer.Context, to: Path | None, source: str, clock: "Clock") -> "Iterator[tuple[Sink, str]]":
    """Where events go, and what to call it."""
    from producer.errors import DeliveryError
    from producer.files import written
    from producer.settings import ProducerSettings
    from producer.sinks import FileSink, kafka_sink
    from runtime.errors import FatalError

    if to is not None:
        with _writable(to), written(to) as file:
            yield FileSink(file, clock), str(to)
        return
    settings = ProducerSettings.of_scorer(settings_of(ctx), source=source)
    try:
        yield kafka_sink(settings, clock), f"{settings.topic} on {settings.bootstrap_servers}"
    except DeliveryError as error:
        raise FatalError(
            f"{error}. Stopped there. To send the same again is safe: the scorer drops the events that it has."
        ) from error


def _send(simulation: "Simulation", sink: "Sink", pacer: "Pacer") -> int:
    from producer.simulation.run import send_records

    sent = 0
    total = simulation.parameters.events
    with ProgressBar("simulating", total) as bar:
        try:
            for sent in send_records(simulation.records(), sink, pacer):
                bar.at(sent)
        except KeyboardInterrupt:
            sink.finish()
    return sent


def _import(
    source: "Source", mapping: "Mapping", sink: "Sink", pacer: "Pacer", bar: ProgressBar, summary: "Summary"
) -> bool:
    """Sends the events of a source; says whether it came to the end."""
    from producer.importing import Format, Translator, import_events

    def report(rejection: "Rejection") -> None:
        # Whoever looks on wants to see that something is wrong, whoever keeps the output wants every line to mend.
        if summary.rejected.total() <= REJECTIONS_SHOWN or not bar.seen:
            bar.say(f"line {rejection.line}: {rejection.message}")
        elif summary.rejected.total() == REJECTIONS_SHOWN + 1:
            bar.say("further rejected rows are only counted; 2> FILE keeps all")

    translator = Translator(mapping, source.name, text=source.format is Format.CSV)
    try:
        import_events(source.rows, translator, sink, pacer, report, summary)
    except KeyboardInterrupt:
        sink.finish()
        return False
    return True


@contextmanager
def _writable(path: Path) -> Iterator[None]:
    """Makes a file that cannot be written an error of usage; a reader that closes its pipe has read enough."""
    from runtime.errors import ConfigurationError

    try:
        yield
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or the exit would flush into the pipe
        raise typer.Exit(1) from None
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be written: {error.strerror}") from error


def _require_two_files(to: Path | None, outcomes: Path | None) -> None:
    from runtime.errors import ConfigurationError

    if to is not None and outcomes is not None and os.path.realpath(to) == os.path.realpath(outcomes):
        raise ConfigurationError(f"--to and --outcomes are both {to}; each must be a file of its own")


@contextmanager
def _outcomes_file(path: Path | None, summary: "Summary") -> Iterator[None]:
    """Writes the conversions at the end, to a file opened at the beginning: a refusal after the last event is late."""
    from producer.files import outcome_lines, written

    if path is None:
        yield
        return
    with ExitStack() as stack:
        with _writable(path):
            file = stack.enter_context(written(path))
        yield  # outside of `_writable`: what fails here is not this file's fault
        with _writable(path), stack.pop_all():
            file.writelines(outcome_lines(summary.outcomes()))


def _write_outcomes(path: Path | None, outcomes: list[tuple[str, int]]) -> None:
    from producer.files import write_outcomes

    if path is not None:
        with _writable(path):
            write_outcomes(path, outcomes)


def _sorts(simulation: "Simulation") -> str:
    counts = simulation.counts
    parts = [f"{counts.clean:,} events ({counts.late:,} late)"]
    parts += [f"{counts.duplicates:,} duplicates", f"{counts.malformed:,} malformed"]
    return f"{', '.join(parts)}; {len(simulation.outcomes()):,} leads convert"


def _fates(summary: "Summary") -> str:
    def told(what: str, counts: "Counter[str]") -> str:
        each = ", ".join(f"{name} {count:,}" for name, count in counts.most_common(10))
        return f"{counts.total():,} {what}" + (f" ({each})" if each else "")

    return f"{told('skipped', summary.skipped)}, {told('rejected', summary.rejected)}"


def _close(sent: int, place: str, seconds: float, details: str, *, complete: bool) -> None:
    rate = sent / seconds if seconds else 0.0
    early = "" if complete else "interrupted, of what was to come: "
    typer.echo(f"{early}{sent:,} records to {place} in {seconds:.1f} s ({rate:,.0f}/s): {details}", err=True)

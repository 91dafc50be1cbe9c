"""The `lead-scorer` command: its groups, the options before them, and how errors end it (contract 11)."""

import sys
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer

from cli import config, dead_letters, decisions, models, policy, produce, topics
from cli.context import Invocation
from cli.demo.command import demo
from cli.run import run
from cli.train import train
from runtime.errors import FatalError

app = typer.Typer(
    name="lead-scorer",
    help="Scores lead events from Kafka and routes the decisions, exactly once, inside a latency budget.",
    epilog="Example: lead-scorer --config production.toml run",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)
app.command(epilog="Example: lead-scorer demo --events 20000 --rate 500 --seed 7")(demo)
app.add_typer(topics.app, name="topics")
app.add_typer(config.app, name="config")
app.command(epilog="Example: LEAD_SCORER__KAFKA__INSTANCE_ID=a lead-scorer run")(run)
app.add_typer(decisions.app, name="decisions")
app.add_typer(dead_letters.app, name="dead-letters")
app.add_typer(produce.app, name="produce")
app.add_typer(policy.app, name="policy")
app.command(epilog="Example: lead-scorer train --events history.ndjson --outcomes outcomes.csv --horizon 14")(train)
app.add_typer(models.app, name="models")


def _show_version(asked: bool) -> None:
    if asked:
        typer.echo(f"lead-scorer {version('lead-scorer')}")
        raise typer.Exit


@app.callback()
def root(
    ctx: typer.Context,
    config: Annotated[
        Path | None,
        typer.Option(
            "--config", metavar="PATH", help="The TOML file; else ./lead-scorer.toml if it exists, else the defaults."
        ),
    ] = None,
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Tell the version and exit.")
    ] = False,
) -> None:
    """Takes what stands before the subcommand."""
    from runtime import logging

    invocation = ctx.ensure_object(Invocation)
    invocation.config = config
    logging.configure(level="warning", format="console")


def main() -> None:
    """Runs the command line and exits with the code of contract 11."""
    invocation = Invocation()
    try:
        app(obj=invocation)
    except FatalError as error:
        _last_word(invocation, error)
        sys.exit(error.exit_code)
    except Exception as error:  # noqa: BLE001 - the last place; the traceback goes to the log
        _crashed(error)
        sys.exit(1)


def _last_word(invocation: Invocation, error: FatalError) -> None:
    """What happened and what to do: a line of the log for a service, plain text for everybody else."""
    if invocation.logs:
        from runtime.logging import get_logger

        get_logger("cli").error("ended", exit_code=error.exit_code, reason=str(error))
    else:
        typer.echo(f"lead-scorer: {error}", err=True)


def _crashed(error: Exception) -> None:
    from runtime.logging import get_logger

    get_logger("cli").critical(
        "unexpected_error",
        exc_info=error,
        exit_code=1,
        next="restart; if it comes again, report it with this traceback",
    )

"""`lead-scorer demo`: the main job with nothing else set up."""

from typing import Annotated, Final

import typer

from cli.context import Invocation, console, policy_of, settings_of

EVENTS_MAX: Final = 20_000_000


def demo(
    ctx: typer.Context,
    events: Annotated[
        int, typer.Option(metavar="N", min=1, max=EVENTS_MAX, help="How many events to send in all.")
    ] = 20_000,
    rate: Annotated[
        float | None,
        typer.Option(metavar="R", help="Events a second; 500 if not given, less if there are few."),
    ] = None,
    seed: Annotated[int, typer.Option(metavar="S", min=0, max=2**63 - 1, help="Of the simulated leads.")] = 1,
    bootstrap_servers: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT", help="A Kafka to use instead; nothing of the demo stays on it."),
    ] = None,
    keep_topics: Annotated[
        bool, typer.Option("--keep-topics", help="Leave the demo's topics on a Kafka that was given.")
    ] = False,
) -> None:
    """Show the whole scorer at work on a real Kafka: traffic, decisions, an outage of the model, its recovery.

    Needs nothing: without a broker (--bootstrap-servers, or KAFKA_BOOTSTRAP_SERVERS) it starts a local one. A model is
    trained on simulated history, `lead-scorer run` scores simulated traffic, and half way the model hangs for a few
    seconds. At the end every topic is read back, and the summary says whether each event had exactly one outcome.

    The configuration is the usual one, but for the names on Kafka, which only this run has.
    """
    from cli.demo.ending import Ending
    from cli.demo.plan import make_plan
    from cli.demo.session import Request, run_demo
    from runtime import logging
    from runtime.clock import SystemClock
    from runtime.errors import ConfigurationError

    if rate is not None and not 0 < rate < float("inf"):
        raise ConfigurationError(f"--rate is {rate}, allowed: above 0")
    # The client's lines about brokers that come and go would stand in the view; what matters is raised.
    logging.configure(level="error", format="console")
    settings = settings_of(ctx)
    request = Request(
        plan=make_plan(events, rate),
        seed=seed,
        bootstrap_servers=bootstrap_servers,
        keep_topics=keep_topics,
        config=ctx.ensure_object(Invocation).config,
        settings=settings,
        policy=policy_of(settings),
    )
    ending = Ending()
    ending.listen()
    try:
        well = run_demo(request, console(), SystemClock(), ending)
    except SystemExit:
        typer.echo("Interrupted. Nothing of the demo is left running.")
        raise
    if not well:
        raise typer.Exit(1)

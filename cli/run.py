"""`lead-scorer run`: the scoring service."""

import os
import signal
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from cli.context import policy_of, settings_of, start_logging

if TYPE_CHECKING:
    from consumer.drills import Drill
    from runtime.config import Settings
    from scoring.faults import Fault


def run(
    ctx: typer.Context,
    inject: Annotated[
        str | None,
        typer.Option(
            metavar="FAULT",
            help="For drills (drills.enabled): what the model does instead of answering: slow:MS, hang, raise, nan or "
            "unavailable; with @START+SECONDS only for so long, with @signal from one SIGUSR1 to the next. Or what "
            "becomes of the process: crash:POINT, freeze:POINT or clock:SECONDS@START.",
        ),
    ] = None,
    rebuild_state: Annotated[
        bool,
        typer.Option(
            "--rebuild-state",
            help="Where state and input disagree (exit code 5): make the state anew from what the topics still hold, "
            "and say what they could not tell.",
        ),
    ] = False,
) -> None:
    """Scores lead events until it is stopped (SIGTERM or Ctrl-C).

    Each process needs its own kafka.instance_id (the host name by default), and the same one again after a restart.
    """
    asked: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):  # first: what follows takes a while
        signal.signal(number, lambda number, _: asked.append(number))
    settings = settings_of(ctx)
    policy = policy_of(settings)
    fault, drill = _injected(settings, inject)
    start_logging(ctx, settings)

    from consumer.drills import prepare
    from consumer.service import Service
    from consumer.serving import Serving
    from runtime.clock import SystemClock
    from scoring.faults import FaultInjector

    clock, at = prepare(drill, SystemClock())
    injector = FaultInjector(clock.monotonic, fault)
    if fault is not None:  # without a drill the signal keeps its meaning
        signal.signal(signal.SIGUSR1, lambda *_: injector.toggle())
    service = Service(
        settings,
        Serving(settings, clock, injector),
        policy,
        clock,
        rebuild_state=rebuild_state,
        at=at,
        stop_asked=lambda: bool(asked),
    )
    code = service.run()
    sys.stdout.flush()
    sys.stderr.flush()
    # A thread may still wait in the client for a broker that is gone; an ordinary exit would wait with it.
    os._exit(code)


def _injected(settings: "Settings", text: str | None) -> "tuple[Fault | None, Drill | None]":
    if text is None:
        return None, None
    from consumer.drills import DrillSpecError, is_drill, parse_drill
    from runtime.errors import ConfigurationError
    from scoring.faults import FaultSpecError, parse_fault

    if not settings.drills.enabled:
        raise ConfigurationError("--inject is refused: set drills.enabled = true, and never in production")
    try:
        return (None, parse_drill(text)) if is_drill(text) else (parse_fault(text), None)
    except (DrillSpecError, FaultSpecError) as error:
        raise ConfigurationError(f"--inject: {error}") from error

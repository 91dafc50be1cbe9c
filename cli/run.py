"""`lead-scorer run`: the scoring service."""

import os
import signal
import sys

import typer

from cli.context import policy_of, settings_of, start_logging


def run(ctx: typer.Context) -> None:
    """Scores lead events until it is stopped (SIGTERM or Ctrl-C).

    Each process needs its own kafka.instance_id (the host name by default), and the same one again after a restart.
    """
    settings = settings_of(ctx)
    policy = policy_of(settings)
    start_logging(ctx, settings)

    from consumer.service import Service
    from consumer.serving import Serving

    service = Service(settings, Serving(), policy)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: service.stop())
    code = service.run()
    sys.stdout.flush()
    sys.stderr.flush()
    # A thread may still wait in the client for a broker that is gone; an ordinary exit would wait with it.
    os._exit(code)

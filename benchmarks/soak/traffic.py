"""The soak's upstream: always the same leads, some records sent twice, late or broken; a process of its own.

    python -m benchmarks.soak.traffic --rate 1000 --leads 5000        Kafka as configured; until SIGTERM

The last line that it writes is how many records the brokers have acknowledged.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import count, islice
from pathlib import Path

from producer.pace import Even, Pacer, Unpaced
from producer.settings import ProducerSettings
from producer.simulation import Parameters, Simulation
from producer.simulation.parameters import DAY_MS
from producer.simulation.run import send_records
from producer.sinks import KafkaSink, kafka_sink
from runtime import logging
from runtime.clock import SystemClock
from runtime.config import load

DUPLICATES, MALFORMED, LATE = 0.01, 0.005, 0.02
START_MS = int(datetime(2020, 1, 1, tzinfo=UTC).timestamp() * 1000)
ROUND_S = 60.0
ROUND_DAYS = 0.25
"""Of simulated time in each round: the time line reaches today after some 140 hours, and must not pass it."""
PATIENCE_S = 120.0
"""What the client waits for room or for an acknowledgement: longer than any broker is away."""


def rounds(n_leads: int, n_round: int, number_from: int = 0) -> Iterator[Simulation]:
    """Simulations one after the other on one time line; the leads are the same in all."""
    for number in count(number_from):
        yield Simulation(
            Parameters(
                leads=n_leads,
                events=n_round,
                seed=1,
                duplicates=DUPLICATES,
                malformed=MALFORMED,
                late=LATE,
                start_ms=START_MS + round(number * ROUND_DAYS * DAY_MS),
                days=ROUND_DAYS,
            )
        )


def backlog(environ: Mapping[str, str], n_leads: int, n_events: int) -> int:
    """Sends so many events as fast as the brokers take them, and returns how many records that were."""
    command = [sys.executable, "-m", "benchmarks.soak.traffic", "--leads", str(n_leads), "--backlog", str(n_events)]
    done = subprocess.run(command, env={**os.environ, **environ}, stdout=subprocess.PIPE, text=True, check=True)
    return int(done.stdout.split()[-1])


class Sending:
    """The traffic while it runs."""

    def __init__(self, environ: Mapping[str, str], n_leads: int, rate: float, log: Path) -> None:
        command = [sys.executable, "-m", "benchmarks.soak.traffic", "--leads", str(n_leads), "--rate", str(rate)]
        self._process = subprocess.Popen(
            command,
            env={**os.environ, **environ},
            stdout=subprocess.PIPE,
            stderr=log.open("wb"),
            text=True,
            start_new_session=True,  # Ctrl-C is for the soak, which ends the traffic
        )

    def finish(self) -> int:
        """Ends the traffic; returns how many records the brokers have acknowledged."""
        self._process.terminate()
        said, _ = self._process.communicate(timeout=PATIENCE_S)
        assert self._process.returncode == 0, f"the traffic ended with {self._process.returncode}"
        return int(said.split()[-1])

    def close(self) -> None:
        """Ends it at once, if it still runs."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.communicate()


@contextmanager
def traffic(environ: Mapping[str, str], n_leads: int, rate: float, log: Path) -> Iterator[Sending]:
    """Sends so many events a second until it is told to finish, at the latest when the block ends."""
    sending = Sending(environ, n_leads, rate, log)
    try:
        yield sending
    finally:
        sending.close()


class Stop:
    """Set by SIGTERM, also before anything else is set up."""

    def __init__(self) -> None:
        self.asked = False
        signal.signal(signal.SIGTERM, self._ask)

    def _ask(self, *_: object) -> None:
        self.asked = True


def sink() -> KafkaSink:
    """To the configured events topic."""
    settings = load(None, os.environ)
    return kafka_sink(
        ProducerSettings(
            source="soak",
            bootstrap_servers=settings.kafka.bootstrap_servers,
            topic=settings.topics.events,
            queue_timeout_s=PATIENCE_S,
            flush_timeout_s=PATIENCE_S,
        ),
        SystemClock(),
    )


def _send(simulation: Simulation, to: KafkaSink, pacer: Pacer, stop: Stop) -> int:
    """Sends a round, or what comes of it before the stop; returns how many records."""
    sent = 0
    for number in send_records(simulation.records(), to, pacer):
        sent = number
        if stop.asked:
            break
    return sent


def main() -> None:
    """The command."""
    # Else structlog writes to the pipe, which nobody empties before the end: full, it stops the traffic.
    logging.configure()
    stop = Stop()
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak.traffic")
    parser.add_argument("--leads", type=int, required=True)
    parser.add_argument("--rate", type=float, default=1000)
    parser.add_argument("--backlog", type=int, help="so many events at once, and no more")
    options = parser.parse_args()
    to = sink()
    pacer = Pacer(Unpaced() if options.backlog else Even(options.rate), SystemClock(), to.wait)
    # The backlog comes before the first round on the time line: event ids must be new in each.
    simulations = rounds(options.leads, options.backlog or round(options.rate * ROUND_S), -1 if options.backlog else 0)
    sent = 0
    for simulation in islice(simulations, 1 if options.backlog else None):
        sent += _send(simulation, to, pacer, stop)
        if stop.asked:
            break
    to.finish()
    sys.stdout.write(f"{sent}\n")


if __name__ == "__main__":
    main()

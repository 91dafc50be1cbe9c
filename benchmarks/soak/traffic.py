"""The soak's upstream: always the same leads, some records sent twice, late or broken; a process of its own.

    python -m benchmarks.soak.traffic --rate 1000 --leads 5000        Kafka as configured; until SIGTERM

Where its client can deliver nothing any more it goes on with another one, as an upstream does. The last line that it
writes is how many records the brokers have acknowledged, and of how many nobody knows whether they arrived.
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
from itertools import chain, count, islice, takewhile
from pathlib import Path
from typing import NamedTuple

from producer.errors import DeliveryError, DeliveryFailure
from producer.pace import Even, Pacer, Unpaced
from producer.settings import ProducerSettings
from producer.simulation import Parameters, Simulation
from producer.simulation.parameters import DAY_MS
from producer.simulation.run import send_records
from producer.simulation.world import SimulatedRecord
from producer.sinks import KafkaSink, kafka_sink
from producer.transport import OnDelivery
from runtime import logging
from runtime.clock import SystemClock
from runtime.config import load
from runtime.logging import get_logger

log = get_logger(__name__)

DUPLICATES, MALFORMED, LATE = 0.01, 0.005, 0.02
START_MS = int(datetime(2020, 1, 1, tzinfo=UTC).timestamp() * 1000)
ROUND_S = 60.0
ROUND_DAYS = 0.25
"""Of simulated time in each round: the time line reaches today after some 140 hours, and must not pass it."""
DELIVERY_S = 30.0
"""Longer than brokers are away as a rule, so that little is given up that would arrive; and less than what a fault may
take to heal, as a client that delivers nothing any more (librdkafka#5430) is replaced only then."""
GIVEN_UP_MAX = 0.1
"""Of all: of more than that it is not shown any more that what was acknowledged is there."""
ENDS_S = 3 * DELIVERY_S
"""For the traffic to end: at most a wait for room in the client's queue and one for acknowledgements."""


class Sent(NamedTuple):
    """What became of records.

    Attributes:
        acknowledged: They are in the topic.
        unknown: They may be in the topic: the client gave them up before an answer.
    """

    acknowledged: int
    unknown: int

    def allows(self, n_records: int) -> bool:
        """Whether the topic may hold so many: what was acknowledged, and some of a small rest."""
        sent = self.acknowledged + self.unknown
        return self.acknowledged <= n_records <= sent and self.unknown <= GIVEN_UP_MAX * sent

    def and_also(self, other: Sent) -> Sent:
        """Both together."""
        return Sent(self.acknowledged + other.acknowledged, self.unknown + other.unknown)


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


def backlog(environ: Mapping[str, str], n_leads: int, n_events: int) -> Sent:
    """Sends so many events as fast as the brokers take them, and returns what became of them."""
    command = [sys.executable, "-m", "benchmarks.soak.traffic", "--leads", str(n_leads), "--backlog", str(n_events)]
    done = subprocess.run(command, env={**os.environ, **environ}, stdout=subprocess.PIPE, text=True, check=True)
    return _told(done.stdout)


def _told(said: str) -> Sent:
    return Sent(*map(int, said.splitlines()[-1].split()))


class Sending:
    """The traffic while it runs."""

    def __init__(self, environ: Mapping[str, str], n_leads: int, rate: float, log: Path) -> None:
        command = [sys.executable, "-m", "benchmarks.soak.traffic", "--leads", str(n_leads), "--rate", str(rate)]
        with log.open("wb") as written:
            self._process = subprocess.Popen(
                command,
                env={**os.environ, **environ},
                stdout=subprocess.PIPE,
                stderr=written,
                text=True,
                start_new_session=True,  # Ctrl-C is for the soak, which ends the traffic
            )

    def finish(self) -> Sent:
        """Ends the traffic; returns what became of it."""
        self._process.terminate()
        said, _ = self._process.communicate(timeout=ENDS_S)
        assert self._process.returncode == 0, f"the traffic ended with {self._process.returncode}"
        return _told(said)

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


class Count:
    """Counts reports of deliveries."""

    def __init__(self) -> None:
        self.sent = Sent(0, 0)

    def report(self, _label: str, failure: DeliveryFailure | None) -> None:
        """One record was acknowledged or given up."""
        self.sent = self.sent.and_also(Sent(1, 0) if failure is None else Sent(0, 1))


def sink(on_delivery: OnDelivery) -> KafkaSink:
    """To the configured events topic."""
    settings = load(None, os.environ)
    return kafka_sink(
        ProducerSettings(
            source="soak",
            bootstrap_servers=settings.kafka.bootstrap_servers,
            topic=settings.topics.events,
            client={"message.timeout.ms": int(1000 * DELIVERY_S)},
            queue_timeout_s=DELIVERY_S,
            flush_timeout_s=DELIVERY_S,
        ),
        SystemClock(),
        on_delivery,
    )


def send(records: Iterator[SimulatedRecord], to: KafkaSink, pacer: Pacer) -> None:
    """Sends records; returns when it is known of each that the client has taken what became of it.

    The record whose turn it is when an earlier one's failure is told is left out.
    """
    told: set[str] = set()
    while True:
        try:
            for _ in send_records(records, to, pacer):
                pass
        except DeliveryError as error:
            for reason in {failure.reason for failure in error.failures} - told:
                log.warning("not_delivered", reason=reason, next="sends what comes then")
                told.add(reason)
        else:
            return


def main() -> None:
    """The command."""
    logging.configure()
    stop = Stop()
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak.traffic")
    parser.add_argument("--leads", type=int, required=True)
    parser.add_argument("--rate", type=float, default=1000)
    parser.add_argument("--backlog", type=int, help="so many events at once, and no more")
    options = parser.parse_args()
    count_of = Count()
    to = sink(count_of.report)
    pacer = Pacer(Unpaced() if options.backlog else Even(options.rate), SystemClock(), to.wait)
    # The backlog comes before the first round on the time line: event ids must be new in each.
    simulations = rounds(options.leads, options.backlog or round(options.rate * ROUND_S), -1 if options.backlog else 0)
    wanted = islice(simulations, 1 if options.backlog else None)
    records = chain.from_iterable(simulation.records() for simulation in wanted)
    send(takewhile(lambda _: not stop.asked, records), to, pacer)
    acknowledged, unknown = count_of.sent
    sys.stdout.write(f"{acknowledged} {unknown}\n")


if __name__ == "__main__":
    main()

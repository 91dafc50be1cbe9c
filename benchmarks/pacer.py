"""Traffic at a steady rate, to one topic after the other, in a process of its own, so that nobody here delays it.

python -m benchmarks.pacer --rate 1000 --slice-s 5 --rounds 10 TOPIC TOPIC     Kafka as configured
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import islice

from producer.pace import Even, Pacer
from producer.simulation import Parameters, Simulation
from producer.transport import Transport
from runtime import kafka
from runtime.clock import SystemClock
from runtime.config import load
from schemas.codec import lead_event_codec

LEADS = 12_000
DAYS = 7.0
"""With these about every tenth event's action is published, once the leads are known."""
FLUSH_S = 30.0
PAUSE_S = 0.5
"""Between slices: what the one before left behind is done."""


@contextmanager
def traffic(
    environ: Mapping[str, str], topics: list[str], *, rate: float, slice_s: float, rounds: int = 1, n_leads: int = LEADS
) -> Iterator[subprocess.Popen[bytes]]:
    """Sends `slice_s` seconds of events to each topic in turn, round by round; ends when the block does."""
    numbers = {"--rate": rate, "--slice-s": slice_s, "--rounds": rounds, "--leads": n_leads}
    options = [str(part) for pair in numbers.items() for part in pair]
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.pacer", *options, *topics], env={**os.environ, **environ}
    )
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


def finished(sending: subprocess.Popen[bytes], within_s: float) -> None:
    """Returns when all events were sent."""
    assert sending.wait(within_s) == 0, "the events were not sent"


def send(to: Transport, records: Iterable[tuple[bytes, bytes]], rate: float) -> None:
    """Sends records, each when it is due."""
    pacer = Pacer(Even(rate), SystemClock(), to.wait)
    for key, value in records:
        pacer.hold(0)
        to.send(key, value, "a paced event")
    to.flush(FLUSH_S)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pacer")
    parser.add_argument("topics", nargs="+")
    parser.add_argument("--rate", type=float, default=1000)
    parser.add_argument("--slice-s", type=float, default=5)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--leads", type=int, default=LEADS)
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    producer, clock = kafka.producer(load(None, os.environ)), SystemClock()
    transports = [Transport(lambda: producer, topic, queue_timeout_s=FLUSH_S) for topic in options.topics]
    n_slice = round(options.rate * options.slice_s)
    encode = lead_event_codec().encode
    parameters = Parameters(leads=options.leads, events=n_slice * options.rounds, seed=1, days=DAYS)
    records = [(event["lead_id"].encode(), encode(event)) for event, _, _ in Simulation(parameters).records()]
    sources = [iter(records) for _ in transports]
    for _ in range(options.rounds):
        for transport, source in zip(transports, sources, strict=True):
            send(transport, islice(source, n_slice), options.rate)
            clock.sleep(PAUSE_S)


if __name__ == "__main__":
    main()

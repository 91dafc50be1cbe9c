"""Simulated events while something breaks: so many, or for as long as it lasts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from itertools import count, takewhile
from threading import Event, Thread

from producer.errors import DeliveryError
from producer.pace import Even, Pacer, Unpaced
from producer.settings import ProducerSettings
from producer.simulation import Parameters, Simulation
from producer.simulation.run import send_records
from producer.sinks import kafka_sink
from runtime.clock import SystemClock
from runtime.config import load
from runtime.errors import KafkaUnavailableError
from schemas.times import parse_rfc3339

BACK_S = 40.0
"""For brokers that were away to take what waits for them."""
ATTEMPT = 100
"""Between the seeds of two tries."""
ENDLESS = 100_000
"""For minutes at any rate that tests use; a simulation of more takes long to begin."""


def simulate(
    environ: Mapping[str, str],
    events: int,
    seed: int,
    rate: float | None = None,
    wanted: Callable[[object], bool] = lambda _: True,
) -> None:
    """Simulated events with everything that is wrong in practice; returns when the brokers have them.

    Args:
        environ: Says where to.
        events: How many.
        seed: Of the simulation: each its own events.
        rate: Records a second; None as fast as it goes.
        wanted: Asked before each record; what comes after a False is not sent.
    """
    parameters = Parameters(
        leads=max(5, min(events, 10_000) // 20),
        events=events,
        seed=seed,
        duplicates=0.05,
        malformed=0.03,
        late=0.05,
        start_ms=parse_rfc3339("2025-01-01T00:00:00Z"),
        days=90.0,
    )
    clock = SystemClock()
    settings = load(None, dict(environ))
    sending = ProducerSettings.of_scorer(settings, source="simulation")
    patient = {**sending.client, "message.timeout.ms": int(1000 * BACK_S)}
    sink = kafka_sink(replace(sending, client=patient, flush_timeout_s=BACK_S), clock)
    pacer = Pacer(Unpaced() if rate is None else Even(rate), clock, sink.wait)
    for _ in send_records(takewhile(wanted, Simulation(parameters).records()), sink, pacer):
        pass


@contextmanager
def flowing(environ: Mapping[str, str], seed: int, rate: float) -> Iterator[None]:
    """Events at a rate on a thread, for as long as the block runs; after a failure to send by another client."""
    stop, failures = Event(), list[BaseException]()

    def send() -> None:
        for attempt in count(seed, ATTEMPT):
            try:
                simulate(environ, ENDLESS, attempt, rate, lambda _: not stop.is_set())
            except (DeliveryError, KafkaUnavailableError):
                # As an upstream does: the fault may be the client's own (librdkafka#5430). What is to be processed is
                # what the topic holds.
                if stop.is_set():
                    return
            except BaseException as error:  # noqa: BLE001 - raised again where the block ends
                failures.append(error)
                return
            else:
                return

    thread = Thread(target=send, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
    if failures:
        raise failures[0]

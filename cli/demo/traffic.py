"""Simulated leads who send their events while the demo looks on."""

from __future__ import annotations

import threading
from types import TracebackType
from typing import Final, Self

from cli.demo.plan import Plan
from producer.errors import DeliveryError
from producer.pace import Even, Pacer
from producer.settings import ProducerSettings
from producer.simulation import Parameters, Simulation
from producer.simulation.run import send_records
from producer.sinks import Sink, kafka_sink
from runtime.clock import Clock
from runtime.config import Settings
from runtime.errors import FatalError

DUPLICATES: Final = 0.01
MALFORMED: Final = 0.005
LATE: Final = 0.02
EVENTS_PER_LEAD: Final = 10

_SLICE_S: Final = 0.1  # how soon a request to stop is noticed
_JOIN_S: Final = 5.0


def parameters(events: int, seed: int) -> Parameters:
    """The simulation: believable traffic, some of it sent twice, late, or broken."""
    leads = max(1, events // EVENTS_PER_LEAD)
    return Parameters(leads=leads, events=events, seed=seed, duplicates=DUPLICATES, malformed=MALFORMED, late=LATE)


class Traffic:
    """The events, sent from a thread at the plan's rate; a context manager, which stops it.

    Args:
        settings: Where to.
        plan: How many, and how fast.
        simulation: What.
        clock: Paces it.

    Attributes:
        sent: How many are sent.
        done: All are sent and acknowledged, or the traffic ended by its own fault.
        seconds: How long it took, once it is done.
    """

    def __init__(self, settings: Settings, plan: Plan, simulation: Simulation, clock: Clock) -> None:
        self._sink = kafka_sink(ProducerSettings.of_scorer(settings, source="demo"), clock)
        self._plan, self._simulation, self._clock = plan, simulation, clock
        self._stop = threading.Event()
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="traffic", daemon=True)
        self.sent = 0
        self.done = False
        self.seconds = 0.0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join(_JOIN_S)

    def check(self) -> None:
        """Raises what ended the traffic early.

        Raises:
            FatalError: Events were not delivered.
        """
        if isinstance(self._error, DeliveryError):
            raise FatalError(f"the traffic ended after {self.sent:,} events: {self._error}") from self._error
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        begun = self._clock.monotonic()
        pacer = Pacer(Even(self._plan.rate), self._clock, lambda seconds: self._wait(self._sink, seconds))
        try:
            for sent in send_records(self._simulation.records(), self._sink, pacer):
                self.sent = sent
                if self._stop.is_set():
                    break
        except Exception as error:  # noqa: BLE001 - the main thread raises it
            self._error = error
        self.seconds = self._clock.monotonic() - begun
        self.done = True

    def _wait(self, sink: Sink, seconds: float) -> None:
        deadline = self._clock.monotonic() + seconds
        while (left := deadline - self._clock.monotonic()) > 0 and not self._stop.is_set():
            sink.wait(min(left, _SLICE_S))

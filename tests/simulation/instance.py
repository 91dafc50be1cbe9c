"""One instance of the service: the real parts, wired as in the service, over stand-ins for the Kafka client."""

from __future__ import annotations

import random
import traceback
from collections import Counter
from functools import partial
from types import SimpleNamespace
from typing import NoReturn, cast

from consumer.assignment import Phase
from consumer.batch import Batch
from consumer.loop import Loop
from consumer.serving import Serving
from consumer.telemetry import MetricsTelemetry
from consumer.wiring import connect
from runtime.config import Settings
from runtime.errors import FatalError
from runtime.metrics import Metrics
from tests.simulation.cluster import BASE_MS, Cluster
from tests.simulation.kernel import Process
from tests.simulation.model import SimulatedScorer, policy
from tests.simulation.scenario import DAY_MS

STOP_GRACE_S = 7.5


class SimulatedClock:
    """Implements `runtime.clock.Clock`; the wall clock of a process may be wrong."""

    def __init__(self, cluster: Cluster, process: Process) -> None:
        self._cluster, self._process = cluster, process

    def now_ms(self) -> int:
        """Asked while a batch is prepared, so a good place to be struck."""
        self._cluster.pass_point(self._process, "prepare")
        return BASE_MS + int(self._cluster.kernel.now_s * 1000) + self._process.clock_error_ms

    def monotonic(self) -> float:
        """Virtual seconds."""
        return self._cluster.kernel.now_s

    def sleep(self, seconds: float) -> None:
        """Virtual seconds too."""
        self._cluster.kernel.sleep(seconds)


class Counts:
    """Implements `consumer.ports.Telemetry`: what an operator would see counted."""

    def __init__(self) -> None:
        self.results: Counter[str] = Counter()
        self.aborts = 0

    def turned(self, phase: str) -> None:
        """Not shown."""

    def stage(self, name: str, seconds: float) -> None:
        """Not shown."""

    def committed(self, batch: Batch) -> None:
        """Counts outcomes."""
        self.results += batch.tally.results

    def aborted(self, error: str | None) -> None:  # noqa: ARG002
        """Counts aborts."""
        self.aborts += 1

    def failed(self, kind: str) -> None:
        """Not shown."""

    def rebalanced(self, kind: str, numbers: list[int]) -> None:
        """Not shown."""


class Instance:
    """A process of the service, from its start to its end.

    Attributes:
        exit_code: Set when it ended by itself.
        reason: Why, if it had to.
    """

    def __init__(self, cluster: Cluster, process: Process, *, rebuild_state: bool = False) -> None:
        self.cluster, self.process = cluster, process
        self._rebuild_state = rebuild_state
        self.counts = Counts()
        self.loop: Loop | None = None
        self.exit_code: int | None = None
        self.reason, self.crash = "", False
        self.stopping = False
        self._chance = random.Random(f"{cluster.scenario} {process.name}")

    @property
    def letter(self) -> str:
        """Its instance id, which its successors and its twin share."""
        return self.process.name[0]

    @property
    def served(self) -> bool:
        """Whether it ever was given partitions."""
        return self.loop is not None and self.loop.assigned_once

    def start(self) -> None:
        """Begins its main thread."""
        self.cluster.kernel.spawn(self.process, "loop", self._work)

    def stop(self) -> None:
        """SIGTERM."""
        self.stopping = True

    def idle(self) -> bool:
        """Whether it holds nothing that is not committed, and has looked what became of the last that is."""
        loop = self.loop
        return loop is not None and not loop._in_flight and not loop._pending() and loop._committed_s is None

    def next_offset(self, number: int) -> int | None:
        """Where it stands in a partition that it has restored."""
        partition = None if self.loop is None else self.loop.assignment.partitions.get(number)
        return partition.next_offset if partition is not None and partition.phase is Phase.ACTIVE else None

    def _work(self) -> None:
        code = 0
        try:
            self._serve()
        except FatalError as error:
            code, self.reason = error.exit_code, str(error)
        except Exception as error:  # noqa: BLE001 - as the service does
            code, self.reason, self.crash = 1, "".join(traceback.format_exception(error)), True
        self.cluster.kernel.note("exit", code=code, reason=self.reason)
        self.exit_code = code
        self._end()

    def _end(self) -> NoReturn:
        self.cluster.group.silent(self.process)
        self.cluster.kernel.kill(self.process)
        raise AssertionError("unreachable")

    def _serve(self) -> None:
        cluster, process = self.cluster, self.process
        clock = SimulatedClock(cluster, process)
        parts = connect(
            settings_of(cluster, self.letter),
            cast(Serving, SimpleNamespace(scorer=SimulatedScorer(cluster), baseline_engagement=None)),
            policy(),
            cast(MetricsTelemetry, self.counts),
            cast(Metrics, SimpleNamespace(set_restore_seconds=lambda _: None)),
            clock,
            rebuild_state=self._rebuild_state,
            at=partial(cluster.pass_point, process),
        )
        loop = self.loop = parts.loop
        try:
            parts.source.subscribe(loop)
            while not self.stopping:
                loop.turn()
                if self._chance.random() < cluster.scenario.rejoins:
                    loop.rejoin([])
            loop.finish(clock.monotonic() + STOP_GRACE_S)
        finally:
            if not process.dead:
                parts.close()


def settings_of(cluster: Cluster, instance_id: str) -> Settings:
    """The configuration of an instance."""
    known = cluster.settings.get(instance_id)
    if known is None:
        scenario = cluster.scenario
        known = cluster.settings[instance_id] = Settings.model_validate(
            {
                "kafka": {
                    "instance_id": instance_id,
                    "client": {"transaction.timeout.ms": int(scenario.transaction_timeout_s * 1000)},
                },
                "budget": {"max_batch": scenario.max_batch},
                "state": {
                    "dedup_window": scenario.dedup_window,
                    "retention_days": scenario.retention_ms / DAY_MS,
                },
                "dead_letters": {"max_consecutive": scenario.max_consecutive, "max_ratio": 1.0},
            }
        )
    return known

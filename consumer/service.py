"""The scoring service: builds the loop, runs it on a thread of its own, and answers signals and HTTP meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version
from threading import Event, Thread
from typing import Any

import structlog

from consumer.assignment import Phase
from consumer.drills import At, nowhere
from consumer.serving import Serving
from consumer.telemetry import MetricsTelemetry, Progress
from consumer.wiring import Parts, connect
from runtime.clock import Clock, SystemClock
from runtime.config import Settings
from runtime.errors import FatalError
from runtime.http import Endpoints, Server
from runtime.interpreter import settle
from runtime.metrics import CONTENT_TYPE, Metrics
from scoring.policy import Policy

log = structlog.get_logger(__name__)

COMMIT_GRACE_S = 8.0
"""After a request to stop: what is not committed by then stays uncommitted."""
LEAVE_GRACE_S = 1.0
"""For leaving the group; together below the 10 s that the contract gives, with room for a busy machine."""
ASK_S = 0.1
CONNECTING = {"register": "the schema registry does not answer yet"}
UNCOMMITTED = "what was not committed is read again by the next instance"
NOT_LEFT = "the group was not left in time: others take over after the session timeout"


class Service:
    """One instance of the scorer.

    `run` blocks in the calling thread, which must be the main one of the process: it only waits, so that signals are
    served at once. Everything that may block happens on the loop's thread, starting with reaching Kafka.

    Args:
        settings: The configuration.
        serving: The model.
        policy: Routes the scores.
        clock: Of this process.
        rebuild_state: Where state and input disagree, makes the state anew.
        at: For drills.
        stop_asked: Whether a signal asked for the end. It is asked rather than told: a handler may run in the middle of
            anything, even of the handler before it, and must not take a lock.
    """

    def __init__(
        self,
        settings: Settings,
        serving: Serving,
        policy: Policy,
        clock: Clock | None = None,
        *,
        rebuild_state: bool = False,
        at: At = nowhere,
        stop_asked: Callable[[], bool] = lambda: False,
    ) -> None:
        self._rebuild_state, self._at, self._stop_asked = rebuild_state, at, stop_asked
        self._settings, self._serving, self._policy = settings, serving, policy
        self._clock = clock or SystemClock()
        self.metrics = Metrics(policy.decisions, self._clock)
        self._progress = Progress(self._clock)
        self._telemetry = MetricsTelemetry(self.metrics, self._progress, self._clock)
        self._stop = Event()
        self._settled = Event()
        """Set once the loop has committed what it could, or has ended."""
        self._error: FatalError | None = None
        self._clean = True
        self._parts: Parts | None = None
        self._ready = False
        """Set once a first assignment is restored, for good: later ones are taken over beside the work."""
        self._thread = Thread(target=self._work, name="loop", daemon=True)

    def run(self) -> int:
        """Serves until it is stopped or cannot go on.

        Returns:
            The exit code of the contract's section 11. Threads that hang in the client may still be there.

        Raises:
            ConfigurationError: The HTTP port is in use.
        """
        http = self._settings.http
        with Server(http.host, http.port, self._endpoints()) as server:
            log.info("starting", version=version("lead-scorer"), http_port=server.port, **_identity(self._settings))
            self._serving.start(self.metrics)
            self._thread.start()
            settled = False
            while not settled and not self._stop_asked():
                settled = self._settled.wait(ASK_S)
            self._stop.set()
            if self._parts is not None:  # before that nothing was read, and there is nothing to commit
                self._settled.wait(COMMIT_GRACE_S)
            self._thread.join(LEAVE_GRACE_S)
        self._serving.close()
        return self._outcome()

    def _outcome(self) -> int:
        if self._error is not None:
            log.error("ended", exit_code=self._error.exit_code, reason=str(self._error))
            return self._error.exit_code
        uncommitted = self._parts is not None and not (self._settled.is_set() and self._clean)
        left = "nothing" if self._parts is None or not self._thread.is_alive() else NOT_LEFT
        level = log.warning if uncommitted else log.info
        level("stopped", exit_code=0, uncommitted=uncommitted, next=UNCOMMITTED if uncommitted else left)
        return 0

    def _work(self) -> None:
        try:
            self._connect_and_loop()
        except FatalError as error:
            self._error = error
        except Exception as error:
            log.exception("unexpected_error")
            self._error = FatalError(f"unexpected {type(error).__name__}: a fault of the scorer; see the line before")
        finally:
            if self._error is not None:
                self.metrics.count_errors("fatal")
            self._settled.set()
            self._leave()

    def _leave(self) -> None:
        """Once it is settled how this ends: leaving may block, or fail."""
        try:
            if self._parts is not None:
                self._parts.close()
        except Exception:
            log.exception("leaving_failed")

    def _connect_and_loop(self) -> None:
        parts = connect(
            self._settings,
            self._serving,
            self._policy,
            self._telemetry,
            self.metrics,
            self._clock,
            rebuild_state=self._rebuild_state,
            at=self._at,
        )
        self._parts = parts
        settle()
        parts.source.subscribe(parts.loop)
        parts.lag.start()
        while not self._stop.is_set():
            parts.loop.turn()
            if not self._stop.is_set() and (stalled := parts.lag.take_stalled()):
                parts.loop.rejoin(stalled)
            self._ready = self._ready or not _waits_for(parts)
        self._clean = parts.loop.finish(self._clock.monotonic() + COMMIT_GRACE_S - 0.5)

    def _endpoints(self) -> Endpoints:
        return Endpoints(
            metrics=self.metrics.exposition,
            metrics_type=CONTENT_TYPE,
            stuck_stage=self._stuck_stage,
            not_ready=self._not_ready,
            status=self._status,
        )

    def _stuck_stage(self) -> str | None:
        stuck = self._progress.stuck()
        return None if stuck is None else f"{stuck[0]} for {stuck[1]:.0f} s"

    def _not_ready(self) -> list[str]:
        if self._ready:
            return []
        if self._parts is None:
            return [CONNECTING.get(self._progress.phase, "not connected to Kafka yet")]
        return _waits_for(self._parts) or ["starting"]

    def _status(self) -> dict[str, Any]:
        parts = self._parts
        return {
            "version": version("lead-scorer"),
            "instance_id": self._settings.kafka.instance_id,
            "group_id": self._settings.kafka.group_id,
            "model": self._serving.model_status(),
            "breaker": self._serving.breaker_status(),
            "assignment": [] if parts is None else parts.assignment_status(),
            "counts": self.metrics.counts(),
            "latency_ms": self.metrics.latency_percentiles_ms(),
        }


def _waits_for(parts: Parts) -> list[str]:
    """What a first assignment still lacks."""
    if not parts.loop.assigned_once:
        return ["no partitions assigned yet"]
    waiting = [p.number for p in parts.loop.assignment.snapshot() if p.phase is not Phase.ACTIVE]
    return [f"restoring partitions {sorted(waiting)}"] if waiting else []


def _identity(settings: Settings) -> dict[str, str]:
    return {
        "group_id": settings.kafka.group_id,
        "instance_id": settings.kafka.instance_id,
        "bootstrap_servers": settings.kafka.bootstrap_servers,
    }

"""The model behind the loop: the guarded scorer, its hot reload, and what operators see of both."""

from __future__ import annotations

from typing import Any

import structlog

from runtime.clock import Clock
from runtime.config import Settings
from runtime.metric_families import MODEL_LOAD_RESULTS
from runtime.metrics import Metrics
from scoring.breaker import BreakerSettings, Transition
from scoring.faults import FaultInjector
from scoring.guarded import GuardedScorer
from scoring.listener import CallFailure, Load
from scoring.model import Model
from scoring.reload import Reloader

log = structlog.get_logger(__name__)

RELOAD_JOIN_S = 0.5


class Serving:
    """Serves the champion while it answers in time.

    Attributes:
        scorer: What the loop asks.
        injector: Puts faults around the model's calls, in drills.
    """

    def __init__(self, settings: Settings, clock: Clock, injector: FaultInjector | None = None) -> None:
        self._settings, self._clock = settings, clock
        self._metrics: Metrics | None = None
        self._model: Model | None = None
        self._loaded_at_ms: int | None = None
        self.injector = injector or FaultInjector(clock.monotonic)
        breaker = settings.breaker
        self.scorer = GuardedScorer(
            inference_ms=settings.budget.inference_ms,
            breaker=BreakerSettings(**breaker.model_dump()),
            monotonic=clock.monotonic,
            listener=self,
            wrap=self.injector.wrap,
        )
        model = settings.model
        self._reloader = Reloader(model.directory, model.alias, model.poll_s, self, self.on_load)

    @property
    def baseline_engagement(self) -> float | None:
        """The mean engagement that the model in service was trained on."""
        return None if self._model is None else self._model.manifest.baseline["engagement_score"].mean

    def start(self, metrics: Metrics) -> None:
        """Loads the champion, if there is one, and follows it."""
        self._metrics = metrics
        metrics.set_breaker_state(self.scorer.breaker_state.name.lower())
        self._reloader.check()
        self._reloader.start()
        if self._model is None:
            log.warning("no_model", directory=str(self._settings.model.directory), next="the rules score until one is")

    def close(self) -> None:
        """Ends the reload and the model's threads."""
        self._reloader.stop(RELOAD_JOIN_S)
        self.scorer.close()

    def offer(self, model: Model | None, absent: str = "no_model") -> None:
        """Takes what the reload found; the loop takes it up with its next batch."""
        self._model = model
        self._loaded_at_ms = None if model is None else self._clock.now_ms()
        self.scorer.offer(model, absent)

    def model_status(self) -> dict[str, Any]:
        """`model` of /status."""
        version = None if self._model is None else self._model.version
        return {"version": version, "alias": self._settings.model.alias, "loaded_at": self._loaded_at_ms}

    def breaker_status(self) -> str:
        """`breaker` of /status."""
        return self.scorer.breaker_state.name.lower()

    def on_load(self, load: Load) -> None:
        """A model was loaded, refused or removed."""
        assert self._metrics is not None, "start() comes first"
        if load.result in MODEL_LOAD_RESULTS:
            self._metrics.count_model_loads(load.result)  # type: ignore[arg-type]
        self._metrics.set_model(None if self._model is None else self._model.version, self._settings.model.alias)
        level = log.warning if load.result == "refused" else log.info
        level(f"model_{load.result}", version=load.version, detail=load.detail, next=self._next(load))

    def _next(self, load: Load) -> str:
        if load.result == "loaded":
            return "it scores from the next batch on"
        if load.result == "refused" and self._model is not None:
            return f"{self._model.version} stays in service"
        return "the rules score"

    def on_transition(self, transition: Transition) -> None:
        """The breaker changed its state."""
        if self._metrics is not None:
            self._metrics.set_breaker_state(transition.after.name.lower())
        log.warning(
            "breaker",
            before=transition.before.name.lower(),
            after=transition.after.name.lower(),
            reason=transition.reason,
            open_s=transition.open_s,
        )

    def on_call_failure(self, failure: CallFailure) -> None:
        """A model call failed; the rules answered. The breaker bounds how often this is logged."""
        log.warning(
            "model_call_failed",
            reason=failure.reason,
            version=failure.version,
            rows=failure.n_rows,
            elapsed_ms=round(failure.elapsed_ms, 1),
            detail=failure.detail,
            next="the rules answered",
        )

"""A model that may fail in any way, in front of rules that answer then (contract 7): the `Scorer` of the service."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scoring.batching import CallSizer
from scoring.breaker import Breaker, BreakerSettings, BreakerState
from scoring.deadline import AbandonedCalls, DeadlineError, DeadlineRunner, Predict, Rows
from scoring.listener import CallFailure, ScoringListener, SilentListener
from scoring.model import Model
from scoring.scorer import Verdicts


@dataclass(slots=True)
class _Slot:
    """A model with its threads and what its calls cost."""

    model: Model
    runner: DeadlineRunner
    sizer: CallSizer


@dataclass(frozen=True, slots=True)
class _Offer:
    """What the next batch is to be scored with; `absent` is the reason for the rules when there is no model."""

    model: Model | None
    absent: str


class GuardedScorer:
    """Scores batches with the model while it answers in time, with the rules else. Never raises for the model's fault.

    `score` and `reasons` belong to one thread, the loop's; `offer` may be called from any. An offered model is taken up
    at the next `score`, and nowhere else: all rows of a batch, and the reasons for them, come from one version.

    Args:
        inference_ms: The deadline of a call.
        breaker: The breaker's settings.
        monotonic: Seconds of a clock that never goes back.
        listener: Told of failures and of the breaker's changes.
        wrap: Put around each session's call, for fault injection.
    """

    def __init__(
        self,
        *,
        inference_ms: float,
        breaker: BreakerSettings,
        monotonic: Callable[[], float],
        listener: ScoringListener | None = None,
        wrap: Callable[[Predict], Predict] = lambda predict: predict,
    ) -> None:
        self._inference_ms = inference_ms
        self._monotonic = monotonic
        self._listener = listener or SilentListener()
        self._wrap = wrap
        self._breaker = Breaker(breaker, monotonic, self._listener.on_transition)
        self._abandoned = AbandonedCalls()
        self._offer = self._taken = _Offer(None, "no_model")
        self._slot: _Slot | None = None

    @property
    def breaker_state(self) -> BreakerState:
        """As of the last batch: an open breaker turns half-open with the first batch after its time."""
        return self._breaker.state

    @property
    def calls_out(self) -> int:
        """Calls past their deadline that have not returned.

        While there are any, the process must end by `os._exit` (after flushing): the destructors of ONNX Runtime abort
        a process in which a call is still running, and its exit code with it.
        """
        return self._abandoned.count

    def offer(self, model: Model | None, absent: str = "no_model") -> None:
        """Gives the model for the next batches; without one the rules answer, with `absent` as the reason."""
        self._offer = _Offer(model, absent)

    def score(self, features: NDArray[np.float64], rule_scores: NDArray[np.float64]) -> Verdicts:
        """The verdicts on `(n, 5)` features; see `scoring.scorer.Scorer`."""
        self._take_offer()
        n_rows = len(features)
        if self._slot is None:
            return Verdicts(rule_scores, np.zeros(n_rows, dtype=np.bool_), [self._taken.absent] * n_rows, None)
        answers, why = self._ask(self._slot, self._slot.model.arrange(features))
        by_model = ~np.isnan(answers)
        if by_model.all():
            return Verdicts(answers, by_model, [None] * n_rows, self._slot.model.version if n_rows else None)
        scores = np.where(by_model, answers, rule_scores)
        reasons = [None if known else reason for known, reason in zip(by_model.tolist(), why, strict=True)]
        return Verdicts(scores, by_model, reasons, self._slot.model.version if by_model.any() else None)

    def reasons(self, features: NDArray[np.float64]) -> list[list[dict[str, Any]]]:
        """`Decision.reasons` of `(k, 5)` rows of the last scored batch, by the model that scored it."""
        if not len(features):
            return []
        assert self._slot is not None, "no row can have been the model's"
        return self._slot.model.reasons(features)

    def close(self) -> None:
        """Ends the model's threads; the rules answer from then on."""
        self.offer(None)
        self._take_offer()

    def _take_offer(self) -> None:
        offer = self._offer
        if offer is self._taken:
            return
        self._taken = offer
        if self._slot is not None:
            self._slot.runner.close()
        self._slot = None
        if offer.model is not None:  # without one there is nothing to probe
            self._slot = self._prepare(offer.model)
            self._breaker.model_changed()

    def _prepare(self, model: Model) -> _Slot:
        def fresh() -> Predict:
            return self._wrap(model.fresh_predict())

        runner = DeadlineRunner(self._wrap(model.predict), fresh, self._abandoned)
        return _Slot(model, runner, CallSizer(self._inference_ms))

    def _ask(self, slot: _Slot, rows: Rows) -> tuple[NDArray[np.float64], list[str]]:
        """The model's answers, NaN where there is none, and per row why there would be none.

        A batch is asked in calls that are expected to keep the deadline, one after the other; the first that fails as a
        whole is the batch's last, so that a batch waits out at most one deadline.
        """
        answers = np.full(len(rows), np.nan)
        why: list[str] = ["breaker_open"] * len(rows)
        start = 0
        while admitted := self._breaker.admit(len(rows) - start):
            stop = start + slot.sizer.rows(admitted)
            probing = self._breaker.state is BreakerState.HALF_OPEN
            failed = self._call(slot, rows[start:stop], answers[start:stop])
            last = probing or failed in ("deadline", "model_error")
            if failed is not None:
                end = len(rows) if last and not probing else stop
                why[start:end] = [failed] * (end - start)
            if last:
                break
            start = stop
        return answers, why

    def _call(self, slot: _Slot, rows: Rows, answers: NDArray[np.float64]) -> str | None:
        """One call: writes the good scores to `answers`, tells breaker, cost and listener, and says what failed."""
        started = self._monotonic()
        failed: str | None = None
        detail = ""
        n_bad = len(rows)
        try:
            given = _of_shape(slot.runner.call(rows, self._inference_ms / 1000), answers.shape)
        except DeadlineError as error:
            failed, detail = "deadline", str(error)
            slot.sizer.missed(len(rows))
        except Exception as error:  # noqa: BLE001 - whatever the model raises, the rules answer
            failed, detail = "model_error", f"{type(error).__name__}: {error}"
        else:
            good = (given >= 0) & (given <= 1)
            answers[good] = given[good]
            n_bad = len(rows) - int(np.count_nonzero(good))
            if n_bad:
                failed, detail = "bad_score", f"{n_bad} of {len(rows)} scores are not in [0, 1]"
        elapsed_ms = (self._monotonic() - started) * 1000
        if failed is None or failed == "bad_score":
            slot.sizer.observe(len(rows), elapsed_ms)
        self._breaker.record(good=failed is None, elapsed_ms=elapsed_ms)
        if failed is not None:
            failure = CallFailure(failed, slot.model.version, n_bad, elapsed_ms, detail)
            self._listener.on_call_failure(failure)
        return failed


def _of_shape(given: NDArray[np.float64], shape: tuple[int, ...]) -> NDArray[np.float64]:
    if given.shape != shape:
        raise ValueError(f"scores of shape {given.shape}; must be {shape}")
    return given

"""What scoring tells the service, which makes metrics and logs of it: scoring itself knows neither."""

from __future__ import annotations

from typing import Final, Literal, NamedTuple, Protocol

from scoring.breaker import Transition

LoadResult = Literal["loaded", "refused", "removed"]
"""Values of the label `result` of `lead_scorer_model_loads_total`."""

FALLBACK_REASONS: Final = ("no_model", "bad_model", "model_error", "bad_score", "deadline", "breaker_open")
"""Why the rules answer (contract 7): all values of `Decision.fallback_reason` and of the metric's label."""


class Load(NamedTuple):
    """A look at the alias file that changed something.

    Attributes:
        result: `loaded` (this version answers from the next batch on), `refused` (what was loaded stays), or
            `removed` (`none` was promoted: the rules answer).
        version: The version that the alias names; None if it names none.
        detail: Why it was refused, naming the file; else the sha256 of the model, or nothing.
    """

    result: LoadResult
    version: str | None
    detail: str


class CallFailure(NamedTuple):
    """A model call that did not give a good score for each of its rows; the rules answered for those.

    Attributes:
        reason: `model_error`, `bad_score` or `deadline`.
        version: The model's.
        n_rows: Rows that the rules answered because of it.
        elapsed_ms: How long the call took, or was waited for.
        detail: The exception, or what was wrong; no feature values.
    """

    reason: str
    version: str
    n_rows: int
    elapsed_ms: float
    detail: str


class ScoringListener(Protocol):
    """Told of what happens; each method returns quickly and does not raise."""

    def on_load(self, load: Load) -> None:
        """A model was loaded, refused or removed. Called by the reloading thread."""

    def on_transition(self, transition: Transition) -> None:
        """The breaker changed its state. Called by the loop's thread."""

    def on_call_failure(self, failure: CallFailure) -> None:
        """A model call failed. Called by the loop's thread; the breaker bounds how often."""


class SilentListener:
    """Tells nobody."""

    def on_load(self, load: Load) -> None:
        """Nothing."""

    def on_transition(self, transition: Transition) -> None:
        """Nothing."""

    def on_call_failure(self, failure: CallFailure) -> None:
        """Nothing."""

"""Figures and states in words, the same in the live view, the plain lines and the summary."""

from __future__ import annotations

from collections.abc import Mapping

from cli.demo.model import TrainedModel
from cli.demo.outage import Phase
from cli.demo.state import State


def milliseconds(value: float | None) -> str:
    """A latency.

    >>> milliseconds(12.34), milliseconds(3.21), milliseconds(None)
    ('12 ms', '3.2 ms', '-')
    """
    if value is None:
        return "-"
    return f"{value:.1f} ms" if value < 10 else f"{value:,.0f} ms"


def share(part: float, whole: float) -> str:
    """Per cent.

    >>> share(1, 8), share(0, 0)
    ('12.5 %', '0.0 %')
    """
    return f"{100 * part / whole if whole else 0:.1f} %"


def by_count(counts: Mapping[str, int]) -> str:
    """Names with counts, the largest first, without those that never were.

    >>> by_count({"deadline": 4, "breaker_open": 1200, "no_model": 0})
    'breaker_open 1,200, deadline 4'
    """
    ordered = sorted(counts.items(), key=lambda pair: -pair[1])
    return ", ".join(f"{name} {count:,}" for name, count in ordered if count)


def model_figures(model: TrainedModel) -> str:
    """What the model adds."""
    return f"ROC-AUC {model.roc_auc:.2f} on leads it has not seen, the rules {model.rules_roc_auc:.2f}"


def headline(state: State) -> str:
    """What goes on, in a sentence."""
    if state.model is None:
        return "There is no model: the rules score."
    match state.phase:
        case Phase.OUT:
            return "OUTAGE: the model hangs. The rules answer."
        case Phase.RECOVERING:
            return "The model would answer again: the breaker probes it."
        case Phase.OVER:
            return "RECOVERED: the model scores again."
        case _ if state.plan.outage_s:
            seconds = max(0.0, state.plan.outage_at / state.plan.rate - state.elapsed_s)
            return f"The model scores. It will hang for {state.plan.outage_s:.0f} s, in {seconds:.0f} s."
        case _:
            return "The model scores."

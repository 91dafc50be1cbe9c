"""Latency and fallback share second by second, as figures and as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np
from numpy.typing import NDArray

from benchmarks.watcher import Observed

mpl.use("Agg")
from matplotlib import pyplot as plt

LATENCY, RULES, FAULT = "#1f6f8b", "#e0a458", "#c1443c"


class Timeline(NamedTuple):
    """One scenario.

    Attributes:
        name: Of it.
        seconds: `(n,)`: begin of each second, the fault's at 0.
        p95_ms: `(n,)`: of the events appended in it, append to visible.
        fallback_share: `(n,)`: the part of them that the rules answered.
        lasting_s: Of the fault.
        p95_before_ms: Of all events before the fault.
        p95_during_ms: Of all events within it.
        fallback_share_during: Within it.
    """

    name: str
    seconds: NDArray[np.float64]
    p95_ms: NDArray[np.float64]
    fallback_share: NDArray[np.float64]
    lasting_s: float
    p95_before_ms: float
    p95_during_ms: float
    fallback_share_during: float


def timeline(
    name: str,
    observed: Observed,
    decisions: Sequence[dict[str, Any]],
    measured_ms: float,
    begun_ms: float,
    ended_ms: float,
) -> Timeline:
    """Second by second from `measured_ms` on; a second in which nothing was appended is left out."""
    by_rules = np.array([decision["scored_by"] == "RULES" for decision in decisions])
    at_s = (observed.append_ms - begun_ms) / 1000
    lasting_s = (ended_ms - begun_ms) / 1000
    before = (observed.append_ms >= measured_ms) & (at_s < 0)
    during = (at_s >= 0) & (at_s < lasting_s)
    seconds = np.unique(np.floor(at_s[observed.append_ms >= measured_ms]))
    within = [np.floor(at_s) == second for second in seconds]
    return Timeline(
        name,
        seconds,
        np.array([np.percentile(observed.latency_ms[mask], 95) for mask in within]),
        np.array([by_rules[mask].mean() for mask in within]),
        lasting_s,
        float(np.percentile(observed.latency_ms[before], 95)),
        float(np.percentile(observed.latency_ms[during], 95)),
        float(by_rules[during].mean()),
    )


def draw(lines: Sequence[Timeline], budget_ms: float, path: Path) -> None:
    """One panel a scenario: the latency as steps over the budget's line, the rules' share as an area behind."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure, panels = plt.subplots(len(lines), 1, figsize=(9, 2.1 * len(lines)), layout="constrained", squeeze=False)
    for line, (latency,) in zip(lines, panels, strict=True):
        share = latency.twinx()
        share.fill_between(line.seconds, line.fallback_share, step="post", color=RULES, alpha=0.35, lw=0)
        share.set(ylim=(0, 1), yticks=(0, 0.5, 1), ylabel="by rules")
        latency.set_zorder(share.get_zorder() + 1)
        latency.patch.set_visible(False)
        latency.step(line.seconds, line.p95_ms, where="post", color=LATENCY, lw=1.6)
        latency.axhline(budget_ms, color=FAULT, lw=1, ls="--")
        latency.axvspan(0, line.lasting_s, color=FAULT, alpha=0.07, lw=0)
        latency.set(
            ylim=(0, max(1.15 * budget_ms, 1.05 * float(line.p95_ms.max()))),
            xlim=(line.seconds.min(), line.seconds.max() + 1),
            ylabel="p95, ms",
            title=f"the model is {line.name}",
        )
    panels[-1][0].set_xlabel("seconds; shaded: the fault")
    figure.suptitle("append to visible decision, and the share of decisions that the rules gave")
    figure.savefig(path, dpi=110)
    plt.close(figure)

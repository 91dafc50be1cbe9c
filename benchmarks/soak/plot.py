"""The soak as one picture: latency, lag, memory, descriptors and threads over time, faults as stripes behind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from numpy.typing import NDArray

from benchmarks.soak.run import Result

mpl.use("Agg")
from matplotlib import pyplot as plt

POINTS_MAX = 2000
COLOURS = {"steady": "#1f6f8b", "mortal": "#7a9e59"}
LATENCY, RULES, FAULT, LAG = "#1f6f8b", "#e0a458", "#c1443c", "#5b4b8a"


def draw(result: Result, path: Path) -> None:
    """Writes the picture; the format is that of the path's suffix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure, panels = plt.subplots(
        5, 1, figsize=(12, 11), sharex=True, layout="constrained", height_ratios=[3, 2, 3, 2, 2]
    )
    _latency(panels[0], result)
    _lag(panels[1], result)
    for panel, name in zip(panels[2:], ("resident MB", "descriptors", "threads"), strict=True):
        _vitals(panel, result, name)
    for number, panel in enumerate(panels):
        for struck in result.struck:
            panel.axvspan(struck.begun_s / 60, struck.ended_s / 60, color=FAULT, alpha=0.13, lw=0)
            if number == 0 and len(result.struck) <= 60:
                panel.annotate(
                    struck.name,
                    (struck.begun_s / 60, 1.02),
                    xycoords=("data", "axes fraction"),
                    rotation=60,
                    fontsize=7,
                )
    panels[-1].set_xlabel("minutes; shaded: faults")
    verdict = "all is well" if not result.problems else f"{len(result.problems)} problems"
    figure.suptitle(f"soak at {result.rate:,.0f} events/s, {len(result.struck)} faults: {verdict}")
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _latency(panel: Any, result: Result) -> None:
    at_s = np.array(sorted(result.seconds), dtype=np.float64)
    if not len(at_s):
        return
    p95 = np.array([result.seconds[int(s)].p95_ms for s in at_s])
    rules = np.array([result.seconds[int(s)].n_by_rules / result.seconds[int(s)].n_decisions for s in at_s])
    share = panel.twinx()
    share.fill_between(_thin(at_s) / 60, _thin(rules), step="post", color=RULES, alpha=0.4, lw=0)
    share.set(ylim=(0, 1), yticks=(0, 0.5, 1), ylabel="by rules")
    panel.set_zorder(share.get_zorder() + 1)
    panel.patch.set_visible(False)
    panel.plot(_thin(at_s) / 60, _thin(p95, np.max), color=LATENCY, lw=1)
    limits = [(struck.begun_s / 60, struck.p95_limit_ms) for struck in result.struck]
    if limits:
        panel.step(*zip(*limits, strict=True), where="post", color=FAULT, lw=1, ls="--")
    panel.set(yscale="log", ylabel="p95, append to\nvisible, ms")


def _lag(panel: Any, result: Result) -> None:
    known = [sample for sample in result.samples if sample.lag is not None]
    at_s = np.array([sample.at_s for sample in known])
    totals = np.array([sample.lag.total for sample in known if sample.lag is not None], dtype=np.float64)
    panel.plot(_thin(at_s) / 60, _thin(totals, np.max), color=LAG, lw=1)
    panel.set(yscale="symlog", ylim=(0, None), ylabel="lag, records")


def _vitals(panel: Any, result: Result, name: str) -> None:
    seen = set()
    for life in result.lives:
        label = None if life.instance in seen else life.instance
        seen.add(life.instance)
        panel.plot(
            _thin(life.at_s) / 60, _thin(life.values[name]), color=COLOURS.get(life.instance), lw=1.2, label=label
        )
        fitted, mask = life.trends().get(name), life.judged()
        if fitted is not None:
            ends = life.at_s[mask][[0, -1]]
            panel.plot(ends / 60, (fitted.first, fitted.last), color="black", lw=1, ls=":")
    panel.set(ylabel=name)
    panel.legend(loc="lower right", fontsize=8)


def _thin(values: NDArray[np.float64], of: Any = np.median) -> NDArray[np.float64]:
    """At most `POINTS_MAX` values, each of its share of them."""
    if len(values) <= POINTS_MAX:
        return values
    return np.array([of(part) for part in np.array_split(values, POINTS_MAX)])

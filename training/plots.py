"""The report's plots as SVG text: no files, no global state, the same bytes for the same figures."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from training.report import Report

_MODEL, _RULES, _FAINT, _INK, _SECOND = "#2457d6", "#c2571a", "#b9c0cc", "#1c2430", "#16846b"
_ROWS_MIN = 20
"""Fewer rows at or above a score, and their precision is noise."""

_STYLE = {
    "svg.fonttype": "none",  # the page's own font; the file stays small
    "svg.hashsalt": "lead-scorer",  # ids within the file are random otherwise
    "font.family": "sans-serif",
    "font.size": 10,
    "text.color": _INK,
    "axes.labelcolor": _INK,
    "axes.edgecolor": _FAINT,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e8ebf0",
    "xtick.color": "#5a6575",
    "ytick.color": "#5a6575",
    "legend.frameon": False,
    "lines.linewidth": 1.9,
}


def roc(report: Report) -> str:
    """True positive rate over false positive rate, model and rules."""
    with _axes() as (axes, svg):
        axes.plot([0, 1], [0, 1], color=_FAINT, linestyle=":", linewidth=1.2)
        for name, colour, curve, figure in (
            ("rules", _RULES, report.rules.roc, report.rules.roc_auc.mean),
            ("model", _MODEL, report.held_out.roc, report.held_out.roc_auc.mean),
        ):
            axes.plot(curve.x, curve.y, color=colour, label=f"{name}, {figure:.3f}")
        _shares(axes, "leads that do not convert, contacted", "conversions found")
        axes.legend(loc="lower right")
    return svg[0]


def precision_recall(report: Report) -> str:
    """Precision over recall, model and rules, and the base rate."""
    with _axes() as (axes, svg):
        rate = report.data.positives / report.data.rows
        axes.axhline(rate, color=_FAINT, linestyle=":", linewidth=1.2, label=f"chance, {rate:.3f}")
        for name, colour, curve, figure in (
            ("rules", _RULES, report.rules.precision_recall, report.rules.average_precision.mean),
            ("model", _MODEL, report.held_out.precision_recall, report.held_out.average_precision.mean),
        ):
            axes.plot(curve.x, curve.y, color=colour, drawstyle="steps-pre", label=f"{name}, {figure:.3f}")
        _shares(axes, "recall: conversions found", "precision: contacted that convert")
        axes.legend(loc="upper right")
    return svg[0]


def reliability(report: Report) -> str:
    """Observed over promised conversion with 95 % intervals; dots grow with the number of rows."""
    with _axes() as (axes, svg):
        bins = report.held_out.reliability
        promised = np.array([item.mean_score for item in bins])
        observed = np.array([item.observed for item in bins])
        low, high = np.array([(item.observed_low, item.observed_high) for item in bins]).T
        rows = np.array([item.rows for item in bins])
        top = min(1.0, 1.05 * max(promised.max(), high.max()))
        axes.plot([0, top], [0, top], color=_FAINT, linestyle=":", linewidth=1.2)
        axes.vlines(promised, low, high, color=_MODEL, alpha=0.45, linewidth=1.6)
        axes.scatter(promised, observed, s=18 + 160 * rows / rows.max(), color=_MODEL, alpha=0.85, linewidth=0)
        _shares(axes, "promised by the score", "observed")
        axes.set_xlim(0, top)
        axes.set_ylim(0, top)
    return svg[0]


def thresholds(report: Report) -> str:
    """Precision, recall and volume over the score from which on leads are contacted."""
    with _axes() as (axes, svg):
        curve = report.held_out.threshold_curve
        at = [row.threshold for row in curve]
        precision = [np.nan if row.precision is None or row.volume < _ROWS_MIN else row.precision for row in curve]
        axes.plot(at, precision, color=_MODEL, label="precision")
        axes.plot(at, [row.recall for row in curve], color=_SECOND, label="recall")
        axes.plot(at, [row.volume_share for row in curve], color=_RULES, label="volume")
        for row in report.held_out.thresholds:
            axes.axvline(row.threshold, color=_FAINT, linewidth=0.8, linestyle=":")
        _shares(axes, "contact from this score on", "share")
        axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3)
    return svg[0]


def importance(report: Report) -> str:
    """Fall of ROC-AUC without each feature."""
    with _axes() as (axes, svg):
        ranked = sorted(report.importance.items(), key=lambda item: item[1].mean)
        names = [name.replace("_", " ") for name, _ in ranked]
        axes.barh(names, [drop.mean for _, drop in ranked], color=_MODEL, alpha=0.85, height=0.55)
        axes.errorbar(
            [drop.mean for _, drop in ranked],
            names,
            xerr=[drop.deviation for _, drop in ranked],
            fmt="none",
            ecolor=_INK,
            elinewidth=1,
        )
        axes.grid(visible=False, axis="y")
        axes.set_xlabel("fall of ROC-AUC on test leads")
    return svg[0]


def losses(report: Report) -> str:
    """Log-loss on unseen leads over the number of trees, and the number that was taken."""
    with _axes() as (axes, svg):
        axes.plot(range(1, len(report.losses) + 1), report.losses, color=_MODEL)
        trees = report.model.trees if report.model else int(np.argmin(report.losses)) + 1
        axes.axvline(trees, color=_RULES, linewidth=1.2, linestyle="--", label=f"{trees} trees")
        axes.set_xlabel("trees")
        axes.set_ylabel("log-loss on unseen leads")
        axes.legend(loc="upper right")
    return svg[0]


def _shares(axes: Axes, x: str, y: str) -> None:
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1.02)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(PercentFormatter(1.0, decimals=0))


@contextmanager
def _axes() -> Iterator[tuple[Axes, list[str]]]:
    """Axes to draw on; the list holds the SVG once the block is left."""
    svg: list[str] = []
    with rc_context(_STYLE):  # type: ignore[arg-type] # its keys are a Literal of hundreds
        figure = Figure(figsize=(5.6, 3.7), layout="constrained")
        yield figure.add_subplot(), svg
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    # As wide as its place on the page, in place of a fixed size in points.
    svg.append(
        re.sub(
            r'<svg ([^>]*?)width="[^"]*"',
            r'<svg role="img" \1',
            re.sub(r' height="[\d.]+pt"', "", text, count=1),
            count=1,
        )
    )

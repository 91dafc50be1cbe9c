"""The report for a terminal."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from training.figures import AtThreshold
from training.report import Report
from training.wording import data_lines, over_folds, share, signed, time_check, verdict


def render(report: Report) -> RenderableType:
    """The report as tables, for `rich` to print."""
    parts: list[RenderableType] = [
        Text(verdict(report), style="bold"),
        *(Text(f"! {warning}", style="yellow") for warning in report.warnings),
        _data(report),
        _figures(report),
        _thresholds(report),
        _reliability(report),
        _importance(report),
        Text(time_check(report)),
    ]
    return Group(*(part for renderable in parts for part in (renderable, Text())))


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold")
    table.add_column(columns[0])
    for column in columns[1:]:
        table.add_column(column, justify="right")
    return table


def _data(report: Report) -> Table:
    table = Table(title="Data", title_justify="left", title_style="bold", show_header=False)
    for name, value in data_lines(report.data):
        table.add_row(name, value)
    passed = sum(gate.passed for gate in report.gates)
    table.add_row("gates", f"{passed} of {len(report.gates)} passed")
    return table


def _figures(report: Report) -> Table:
    folds = len(report.folds)
    table = _table(
        f"Held-out leads, {folds} folds: mean ± deviation", "", "model", "rules", "model adds", "train - test"
    )
    held_out, rules, gain = report.held_out, report.rules, report.gain
    table.add_row(
        "ROC-AUC",
        over_folds(held_out.roc_auc),
        over_folds(rules.roc_auc),
        signed(gain.roc_auc),
        f"{held_out.roc_auc_gap:+.3f}",
    )
    table.add_row(
        "average precision",
        over_folds(held_out.average_precision),
        over_folds(rules.average_precision),
        signed(gain.average_precision),
        f"{held_out.average_precision_gap:+.3f}",
    )
    table.add_row("Brier score", f"{held_out.brier_score:.4f}", f"{rules.brier_score:.4f}", "", "")
    table.add_row("  of the base rate", f"{held_out.brier_score_of_base_rate:.4f}", "", "", "")
    table.add_row("calibration error", f"{held_out.calibration_error:.4f}", "", "", "")
    trees = report.model.trees if report.model else len(report.losses)
    table.add_row("trees", f"{trees}", "", "", "")
    return table


def _thresholds(report: Report) -> Table:
    title = "Contact everybody at or above a score (out-of-fold predictions)"
    table = _table(title, "score", "precision", "recall", "volume", "rules' precision", "recall", "volume")
    for model, rules in zip(report.held_out.thresholds, report.rules.thresholds, strict=True):
        table.add_row(f"{model.threshold:.2f}", *_cells(model), *_cells(rules))
    return table


def _cells(row: AtThreshold) -> Iterable[str]:
    return share(row.precision), share(row.recall), f"{row.volume:,} ({share(row.volume_share)})"


def _reliability(report: Report) -> Table:
    title = "Reliability: what the score promises and what happens"
    table = _table(title, "score", "rows", "leads", "promised", "observed", "95 % interval")
    for row in report.held_out.reliability:
        table.add_row(
            f"{row.low:.1f} to {row.high:.1f}",
            f"{row.rows:,}",
            f"{row.leads:,}",
            share(row.mean_score),
            share(row.observed),
            f"{100 * row.observed_low:.1f} to {100 * row.observed_high:.1f} %",
        )
    return table


def _importance(report: Report) -> Table:
    table = _table("What the model needs: fall of ROC-AUC without the feature", "feature", "fall")
    ranked = sorted(report.importance.items(), key=lambda item: -item[1].mean)
    for name, drop in ranked:
        table.add_row(name, over_folds(drop))
    return table

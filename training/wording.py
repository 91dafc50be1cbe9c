"""Figures in words, the same in the text and the HTML report."""

from __future__ import annotations

from datetime import UTC, datetime

from training.evaluation import TimeCheck
from training.report import DataSummary, OverFolds, Report


def over_folds(figure: OverFolds) -> str:
    """Mean and deviation.

    >>> over_folds(OverFolds(0.81234, 0.0123))
    '0.812 ± 0.012'
    """
    return f"{figure.mean:.3f} ± {figure.deviation:.3f}"


def signed(figure: OverFolds) -> str:
    """A difference: mean and deviation.

    >>> signed(OverFolds(0.15, 0.0123))
    '+0.150 ± 0.012'
    """
    return f"{figure.mean:+.3f} ± {figure.deviation:.3f}"


def share(value: float | None) -> str:
    """Per cent.

    >>> share(0.1234), share(None)
    ('12.3 %', '–')
    """
    return "–" if value is None else f"{100 * value:.1f} %"


def moment(ms: int) -> str:
    """A time in UTC, to the minute."""
    return f"{datetime.fromtimestamp(ms / 1000, UTC):%Y-%m-%d %H:%M} UTC"


def days(value: float) -> str:
    """A horizon.

    >>> days(14.0), days(1 / 24)
    ('14 days', '0.0417 days (1 h)')
    """
    return f"{value:g} days" if value >= 1 else f"{value:.3g} days ({24 * value:.3g} h)"


def verdict(report: Report) -> str:
    """What the model adds, in one sentence."""
    gain, rules = report.gain.roc_auc, report.rules
    head = f"On leads it has not seen the model reaches ROC-AUC {report.held_out.roc_auc.mean:.3f}"
    if gain.mean <= 0:
        return f"{head}, no better than the rules' {rules.roc_auc.mean:.3f}."
    sure = "in every fold" if all(f.roc_auc > f.rules_roc_auc for f in report.folds) else "but not in every fold"
    return f"{head}, the rules {rules.roc_auc.mean:.3f}: better by {gain.mean:.3f}, {sure}."


def data_lines(data: DataSummary) -> list[tuple[str, str]]:
    """What was learnt from: name and value."""
    lines = [("file", f"{file['name']}, sha256 {file['sha256'][:16]}…") for file in data.files]
    lines.append(("rows", f"{data.rows:,} of {data.leads:,} leads"))
    positive = f"{data.positives:,} rows ({share(data.positives / data.rows)}) of {data.positive_leads:,} leads"
    lines.append(("conversions", positive))
    if data.horizon_days is not None:
        lines.append(("horizon", days(data.horizon_days)))
    if data.period_ms is not None:
        lines.append(("period", f"{moment(data.period_ms[0])} to {moment(data.period_ms[1])}"))
    if data.as_of_ms is not None:
        lines.append(("as of", moment(data.as_of_ms)))
    lines += [("left out", f"{count:,} {reason}") for reason, count in data.left_out.items()]
    lines += [("rejected", f"{count:,} {reason}") for reason, count in data.rejected.items()]
    lines += [("note", note) for note in data.notes]
    return lines


def time_check(report: Report) -> str:
    """The check in time, in a sentence."""
    check = report.time_check
    if not isinstance(check, TimeCheck):
        return f"No check in time: {check}."
    return (
        f"Trained on {check.train_rows:,} rows known by {moment(check.cut_ms)} and tested on {check.test_rows:,} later "
        f"rows ({check.test_positives:,} conversions) of other leads: ROC-AUC {check.roc_auc:.3f} (rules "
        f"{check.rules_roc_auc:.3f}), average precision {check.average_precision:.3f} (rules "
        f"{check.rules_average_precision:.3f})."
    )

"""The report as one HTML file that needs nothing else: styles and plots are within."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from string import Template

from training import plots
from training.figures import AtThreshold
from training.report import Report
from training.wording import data_lines, over_folds, share, signed, time_check, verdict

Cells = Sequence[str]


def render(report: Report) -> str:
    """The page."""
    model = report.model
    title = f"Model {model.version}" if model else "Model"
    sections = [
        _warnings(report),
        _cards(report),
        _plots(report),
        _section("Contact everybody at or above a score", _thresholds(report), _THRESHOLDS_NOTE),
        _section("Reliability", _reliability(report), _RELIABILITY_NOTE),
        _section("Fold by fold", _folds(report), "No lead is in the training and the test rows of a fold."),
        _section("In time", f"<p>{escape(time_check(report))}</p>", _TIME_NOTE),
        _section("Data", _definitions(data_lines(report.data)), ""),
        _section("Gates", _gates(report), ""),
        _section("Model", _definitions(_model_lines(report)), ""),
    ]
    return _PAGE.substitute(title=escape(title), verdict=escape(verdict(report)), body="\n".join(sections))


_THRESHOLDS_NOTE = "On out-of-fold predictions: each row was scored by a model that knew nothing of its lead."
_RELIABILITY_NOTE = (
    "Of rows with a score around 30 %, about 30 % should convert. Intervals count leads, whose rows go together."
)
_TIME_NOTE = "Folds by lead mix early and late rows; this check does not."


def _section(heading: str, content: str, note: str) -> str:
    under = f'<p class="note">{escape(note)}</p>' if note else ""
    return f"<section><h2>{escape(heading)}</h2>{under}{content}</section>"


def _warnings(report: Report) -> str:
    items = "".join(f"<li>{escape(warning)}</li>" for warning in report.warnings)
    return f'<ul class="warnings">{items}</ul>' if items else ""


def _cards(report: Report) -> str:
    held_out, rules, gain = report.held_out, report.rules, report.gain
    cards = [
        ("ROC-AUC", over_folds(held_out.roc_auc), f"rules {rules.roc_auc.mean:.3f}, adds {signed(gain.roc_auc)}"),
        (
            "Average precision",
            over_folds(held_out.average_precision),
            f"rules {rules.average_precision.mean:.3f}, adds {signed(gain.average_precision)}",
        ),
        ("Brier score", f"{held_out.brier_score:.4f}", f"base rate alone {held_out.brier_score_of_base_rate:.4f}"),
        (
            "Train − test",
            f"{held_out.roc_auc_gap:+.3f}",
            f"ROC-AUC; average precision {held_out.average_precision_gap:+.3f}",
        ),
    ]
    inner = "".join(
        f'<div class="card"><h3>{escape(name)}</h3><b>{escape(value)}</b><small>{escape(note)}</small></div>'
        for name, value, note in cards
    )
    return f'<div class="cards">{inner}</div>'


def _plots(report: Report) -> str:
    figures = [
        ("ROC, out of fold", plots.roc(report)),
        ("Precision and recall, out of fold", plots.precision_recall(report)),
        ("Reliability", plots.reliability(report)),
        ("Where to draw the line", plots.thresholds(report)),
        ("What the model needs", plots.importance(report)),
        ("Number of trees", plots.losses(report)),
    ]
    inner = "".join(f"<figure><figcaption>{escape(name)}</figcaption>{svg}</figure>" for name, svg in figures)
    return f'<div class="plots">{inner}</div>'


def _table(header: Cells, rows: Iterable[Cells]) -> str:
    head = "".join(f"<th>{escape(cell)}</th>" for cell in header)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _thresholds(report: Report) -> str:
    def cells(row: AtThreshold) -> Cells:
        return share(row.precision), share(row.recall), f"{row.volume:,} ({share(row.volume_share)})"

    pairs = zip(report.held_out.thresholds, report.rules.thresholds, strict=True)
    return _table(
        ("score", "precision", "recall", "volume", "rules: precision", "recall", "volume"),
        [(f"{model.threshold:.2f}", *cells(model), *cells(rules)) for model, rules in pairs],
    )


def _reliability(report: Report) -> str:
    rows = [
        (
            f"{row.low:.1f} to {row.high:.1f}",
            f"{row.rows:,}",
            f"{row.leads:,}",
            share(row.mean_score),
            share(row.observed),
            f"{100 * row.observed_low:.1f} to {100 * row.observed_high:.1f} %",
        )
        for row in report.held_out.reliability
    ]
    return _table(("score", "rows", "leads", "promised", "observed", "95 % interval"), rows)


def _folds(report: Report) -> str:
    rows = [
        (
            str(number),
            f"{fold.train_rows:,} / {fold.test_rows:,}",
            str(fold.trees),
            f"{fold.roc_auc:.3f}",
            f"{fold.roc_auc_train:.3f}",
            f"{fold.rules_roc_auc:.3f}",
            f"{fold.average_precision:.3f}",
            f"{fold.average_precision_train:.3f}",
            f"{fold.rules_average_precision:.3f}",
        )
        for number, fold in enumerate(report.folds, start=1)
    ]
    header = ("fold", "rows: train / test", "trees", "ROC-AUC", "in training", "rules")
    return _table((*header, "average precision", "in training", "rules"), rows)


def _gates(report: Report) -> str:
    return _table(("gate", "", "found"), [(gate.name, "✓" if gate.passed else "✗", gate.text) for gate in report.gates])


def _definitions(lines: Iterable[tuple[str, str]]) -> str:
    return "<dl>" + "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in lines) + "</dl>"


def _model_lines(report: Report) -> list[tuple[str, str]]:
    model, settings = report.model, report.settings
    lines = [
        (
            "trees",
            f"at most {settings.trees_max}, depth {settings.depth}, at least {settings.leaf_rows_min} rows a leaf",
        ),
        ("learning rate", f"{settings.learning_rate:g}, subsample {settings.subsample:g}"),
        ("seed", str(report.seed)),
    ]
    if model:
        lines += [
            ("trees taken", str(model.trees)),
            ("created", model.created_at),
            ("model.onnx", f"{model.bytes:,} bytes, sha256 {model.sha256}"),
            (
                "parity",
                f"exported and trained scores differ by {model.parity:.1e} at most on {model.parity_rows:,} rows",
            ),
        ]
    return lines


_PAGE = Template("""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title>
<style>
:root { --ink: #1c2430; --soft: #5a6575; --line: #e3e7ee; --paper: #fff; --ground: #f5f6f9; --accent: #2457d6; }
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--ink); }
body { font: 15px/1.5 system-ui, "Segoe UI", Helvetica, Arial, sans-serif; }
main { max-width: 1120px; margin: 0 auto; padding: 40px 24px 64px; }
header p { font-size: 19px; margin: 4px 0 24px; color: var(--soft); max-width: 50em; }
h1 { margin: 0; font-size: 28px; letter-spacing: -.01em; overflow-wrap: anywhere; }
h2 { font-size: 18px; margin: 0 0 4px; }
h3 { font-size: 13px; margin: 0; color: var(--soft); font-weight: 600; }
section, figure, .card { background: var(--paper); border: 1px solid var(--line); border-radius: 10px; }
section { padding: 20px 24px; margin: 20px 0 0; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(220px, 1fr)); gap: 16px; }
.card { padding: 16px 20px; display: flex; flex-direction: column; gap: 2px; }
.card b { font-size: 25px; font-weight: 650; color: var(--accent); font-variant-numeric: tabular-nums; }
.card small, .note { color: var(--soft); }
.note { margin: 0 0 12px; }
.warnings { background: #fff6e0; border: 1px solid #eed28a; border-radius: 10px; }
.warnings { padding: 14px 20px 14px 38px; margin: 0 0 20px; }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(440px, 1fr)); gap: 16px; margin-top: 20px; }
figure { margin: 0; padding: 16px 18px 10px; min-width: 0; }
figcaption { font-weight: 600; margin-bottom: 6px; }
figure svg { width: 100%; height: auto; display: block; }
figure svg text { font-family: inherit !important; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th { text-align: right; font-size: 13px; color: var(--soft); font-weight: 600; white-space: nowrap; }
td { text-align: right; }
th, td { padding: 6px 10px; border-bottom: 1px solid var(--line); vertical-align: top; }
tbody tr:last-child td { border-bottom: 0; }
th:first-child, td:first-child, td:nth-child(3):last-child, th:nth-child(3):last-child { text-align: left; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 4px 20px; margin: 8px 0 0; }
dt { color: var(--soft); } dd { margin: 0; overflow-wrap: anywhere; }
@media (max-width: 560px) { .plots { grid-template-columns: 1fr; } dl { grid-template-columns: 1fr; } }
@media print { body { background: #fff; } section, figure, .card { break-inside: avoid; } }
</style></head>
<body><main>
<header><h1>$title</h1><p>$verdict</p></header>
$body
</main></body></html>
""")

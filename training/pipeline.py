"""From rows to a bundle: gates, evaluation, the model on all rows, export, report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from scoring import manifest as record
from training import bundle, report, report_html
from training.dataset import Dataset
from training.estimator import Hyperparameters, fit
from training.evaluation import Progress, evaluate
from training.figures import AtThreshold
from training.findings import Findings
from training.gates import Limits, check, constant_features
from training.report import Report

REPORT_JSON = "report.json"
REPORT_HTML = "report.html"


@dataclass(frozen=True, slots=True)
class Request:
    """What to train.

    Attributes:
        seed: The same data, settings and seed give the same model.
        settings: Hyperparameters.
        limits: Of the gates.
        rows_max: More rows are sampled, whole leads at a time, so that training takes minutes and not hours.
        warnings: Found already, for the report.
        options: What else the rows depend on, for the manifest: a decision must be traceable to its training data.
    """

    seed: int
    settings: Hyperparameters
    limits: Limits
    rows_max: int
    warnings: Sequence[str]
    options: Mapping[str, Any]


def train(
    dataset: Dataset, findings: Findings, request: Request, *, directory: Path, now_ms: int, progress: Progress
) -> tuple[Report, Path]:
    """Trains, evaluates and writes a bundle.

    Args:
        dataset: All rows that may be learnt from.
        findings: What was found in reading them.
        request: What to train.
        directory: The model directory.
        now_ms: The present.
        progress: Told of each step.

    Returns:
        The report, and where the bundle is.

    Raises:
        DataRefusedError: The data failed a gate; nothing was trained.
        BundleRefusedError: The model was not fit to be served; nothing was written.
    """
    gates = check(dataset, findings, request.limits)
    rows = dataset.sample(request.rows_max, request.seed)
    if len(rows) < len(dataset):
        findings.left_out["rows of leads that were not drawn (--max-rows)"] = len(dataset) - len(rows)
    evaluation = evaluate(rows, request.settings, request.seed, progress)
    trained = fit(rows.features, rows.labels, rows.leads, request.settings, request.seed)
    progress("model on all rows")
    found = report.build(
        rows,
        findings,
        gates,
        evaluation,
        trained,
        settings=request.settings,
        seed=request.seed,
        warnings=[*request.warnings, *constant_features(rows)],
    )
    exported = bundle.export(
        trained,
        rows.features,
        evaluation.scores,
        created_at=datetime.fromtimestamp(now_ms / 1000, UTC),
        seed=request.seed,
        training=_training(rows, request, trained.trees),
        evaluation=_evaluation(found),
    )
    found = report.with_model(found, _summary(exported, trained.trees))
    reports = {REPORT_JSON: found.to_json(), REPORT_HTML: report_html.render(found)}
    return found, bundle.write(directory, exported, reports)


def _summary(exported: bundle.Exported, trees: int) -> report.ModelSummary:
    return report.ModelSummary(
        version=exported.manifest.version,
        created_at=exported.manifest.created_at.isoformat(),
        sha256=exported.manifest.sha256,
        bytes=len(exported.model),
        trees=trees,
        parity=exported.parity,
        parity_rows=exported.parity_rows,
    )


def _training(rows: Dataset, request: Request, trees: int) -> record.Training:
    source = rows.source
    period = source.period_ms and record.Period(start=_moment(source.period_ms[0]), end=_moment(source.period_ms[1]))
    return record.Training.model_validate(
        {
            "source": f"{source.kind}: {', '.join(file.name for file in source.files)}",
            "fingerprint": source.fingerprint,
            "rows": len(rows),
            "leads": rows.n_leads,
            "positives": int(rows.labels.sum()),
            "period": period or None,
            "horizon": source.horizon_days,
            "files": [asdict(file) for file in source.files],
            "as_of": None if source.as_of_ms is None else _moment(source.as_of_ms).isoformat(),
            "seed": request.seed,
            "trees": trees,
            "settings": asdict(request.settings),
            "options": dict(request.options),
        }
    )


def _moment(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)


def _evaluation(found: Report) -> record.Evaluation:
    held_out, rules = found.held_out, found.rules
    return record.Evaluation(
        roc_auc=record.FoldFigure(
            mean=held_out.roc_auc.mean, deviation=held_out.roc_auc.deviation, train_test_gap=held_out.roc_auc_gap
        ),
        average_precision=record.FoldFigure(
            mean=held_out.average_precision.mean,
            deviation=held_out.average_precision.deviation,
            train_test_gap=held_out.average_precision_gap,
        ),
        brier_score=held_out.brier_score,
        thresholds=_thresholds(held_out.thresholds),
        rules=record.RulesFigures(
            roc_auc=rules.roc_auc.mean,
            average_precision=rules.average_precision.mean,
            brier_score=rules.brier_score,
            thresholds=_thresholds(rules.thresholds),
        ),
    )


def _thresholds(table: Sequence[AtThreshold]) -> tuple[record.Threshold, ...]:
    return tuple(
        record.Threshold(threshold=row.threshold, precision=row.precision, recall=row.recall, volume=row.volume)
        for row in table
    )

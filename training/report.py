"""The report on a model: figures, and what to think of them. Text, JSON and HTML are made from this alone."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
from numpy.typing import NDArray

from training import figures
from training.dataset import Dataset
from training.estimator import Hyperparameters, Trained
from training.evaluation import Evaluation, Fold, TimeCheck
from training.figures import AtThreshold, Curve, ReliabilityBin
from training.findings import Findings
from training.gates import Gate

GAP_MAX = 0.05
"""Train minus test above which the model knows its training leads by heart."""

_CURVE_THRESHOLDS = tuple(np.round(np.arange(0, 101) / 100, 2).tolist())


@dataclass(frozen=True, slots=True)
class OverFolds:
    """A figure over the test folds: mean and (population) standard deviation."""

    mean: float
    deviation: float


@dataclass(frozen=True, slots=True)
class ModelFigures:
    """The model on held-out rows; gaps are the mean on training rows minus that on test rows."""

    roc_auc: OverFolds
    roc_auc_gap: float
    average_precision: OverFolds
    average_precision_gap: float
    brier_score: float
    brier_score_of_base_rate: float
    calibration_error: float
    reliability: tuple[ReliabilityBin, ...]
    thresholds: tuple[AtThreshold, ...]
    threshold_curve: tuple[AtThreshold, ...]
    roc: Curve
    precision_recall: Curve


@dataclass(frozen=True, slots=True)
class RulesFigures:
    """The rule score on the same rows and folds; it is no probability, so its Brier score is for orientation only."""

    roc_auc: OverFolds
    average_precision: OverFolds
    brier_score: float
    thresholds: tuple[AtThreshold, ...]
    roc: Curve
    precision_recall: Curve


@dataclass(frozen=True, slots=True)
class Gain:
    """What the model adds to the rules, fold by fold."""

    roc_auc: OverFolds
    average_precision: OverFolds


@dataclass(frozen=True, slots=True)
class DataSummary:
    """What was learnt from; times in ms since 1970."""

    kind: str
    files: tuple[dict[str, str], ...]
    fingerprint: str
    horizon_days: float | None
    period_ms: tuple[int, int] | None
    as_of_ms: int | None
    records: int
    rejected: dict[str, int]
    left_out: dict[str, int]
    rows: int
    leads: int
    positives: int
    positive_leads: int
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ModelSummary:
    """What is shipped."""

    version: str
    created_at: str
    sha256: str
    bytes: int
    trees: int
    parity: float
    parity_rows: int


@dataclass(frozen=True, slots=True)
class Report:
    """All of it; `importance` is the fall of ROC-AUC on test leads when a feature's values are shuffled."""

    model: ModelSummary | None
    data: DataSummary
    seed: int
    settings: Hyperparameters
    gates: tuple[Gate, ...]
    warnings: tuple[str, ...]
    held_out: ModelFigures
    rules: RulesFigures
    gain: Gain
    folds: tuple[Fold, ...]
    time_check: TimeCheck | str
    importance: dict[str, OverFolds]
    losses: tuple[float, ...]

    def to_json(self) -> str:
        """The report as JSON."""
        return json.dumps(asdict(self), indent=2, allow_nan=False) + "\n"


def build(
    dataset: Dataset,
    findings: Findings,
    gates: Sequence[Gate],
    evaluation: Evaluation,
    trained: Trained,
    *,
    settings: Hyperparameters,
    seed: int,
    warnings: Sequence[str],
) -> Report:
    """The report, but for the exported model, which is not there yet."""
    held_out = _model_figures(dataset, evaluation)
    report = Report(
        model=None,
        data=_data(dataset, findings),
        seed=seed,
        settings=settings,
        gates=tuple(gates),
        warnings=(),
        held_out=held_out,
        rules=_rules_figures(dataset, evaluation),
        gain=Gain(
            _over([fold.roc_auc - fold.rules_roc_auc for fold in evaluation.folds]),
            _over([fold.average_precision - fold.rules_average_precision for fold in evaluation.folds]),
        ),
        folds=evaluation.folds,
        time_check=evaluation.time_check,
        importance={name: OverFolds(*drop) for name, drop in evaluation.importance.items()},
        losses=trained.losses,
    )
    return replace(report, warnings=(*warnings, *_doubts(report, trained)))


def with_model(report: Report, model: ModelSummary) -> Report:
    """The report with the model that was exported."""
    return replace(report, model=model)


def _over(values: Sequence[float]) -> OverFolds:
    return OverFolds(float(np.mean(values)), float(np.std(values)))


def _model_figures(dataset: Dataset, evaluation: Evaluation) -> ModelFigures:
    labels, scores, folds = dataset.labels, evaluation.scores, evaluation.folds
    roc_auc, precision = _over([f.roc_auc for f in folds]), _over([f.average_precision for f in folds])
    bins = figures.reliability(labels, scores, dataset.leads)
    return ModelFigures(
        roc_auc=roc_auc,
        roc_auc_gap=float(np.mean([f.roc_auc_train for f in folds])) - roc_auc.mean,
        average_precision=precision,
        average_precision_gap=float(np.mean([f.average_precision_train for f in folds])) - precision.mean,
        brier_score=figures.brier(labels, scores),
        brier_score_of_base_rate=_base_rate_brier(labels),
        calibration_error=figures.expected_calibration_error(bins),
        reliability=bins,
        thresholds=figures.at_thresholds(labels, scores),
        threshold_curve=figures.at_thresholds(labels, scores, _CURVE_THRESHOLDS),
        roc=figures.roc(labels, scores),
        precision_recall=figures.precision_recall(labels, scores),
    )


def _base_rate_brier(labels: NDArray[np.int8]) -> float:
    rate = float(labels.mean())
    return rate * (1 - rate)


def _rules_figures(dataset: Dataset, evaluation: Evaluation) -> RulesFigures:
    labels, scores = dataset.labels, dataset.rule_scores
    return RulesFigures(
        roc_auc=_over([fold.rules_roc_auc for fold in evaluation.folds]),
        average_precision=_over([fold.rules_average_precision for fold in evaluation.folds]),
        brier_score=figures.brier(labels, scores),
        thresholds=figures.at_thresholds(labels, scores),
        roc=figures.roc(labels, scores),
        precision_recall=figures.precision_recall(labels, scores),
    )


def _data(dataset: Dataset, findings: Findings) -> DataSummary:
    source = dataset.source
    return DataSummary(
        kind=source.kind,
        files=tuple(asdict(file) for file in source.files),
        fingerprint=source.fingerprint,
        horizon_days=source.horizon_days,
        period_ms=source.period_ms,
        as_of_ms=source.as_of_ms,
        records=findings.records,
        rejected=dict(findings.rejected),
        left_out=dict(findings.left_out),
        rows=len(dataset),
        leads=dataset.n_leads,
        positives=int(dataset.labels.sum()),
        positive_leads=dataset.n_positive_leads,
        notes=tuple(findings.notes),
    )


def _doubts(report: Report, trained: Trained) -> list[str]:
    """What a careful reader would say about the figures."""
    held_out, check = report.held_out, report.time_check
    doubts = []
    for name, gap in (("ROC-AUC", held_out.roc_auc_gap), ("average precision", held_out.average_precision_gap)):
        if gap > GAP_MAX:
            doubts.append(
                f"{name} is {gap:.3f} better on training leads than on test leads (limit {GAP_MAX}): the model is "
                "overfitted; more data, or smaller trees (--depth, --min-leaf)"
            )
    if report.gain.roc_auc.mean <= 0:
        doubts.append("the model is no better than the rules on leads it has not seen: do not promote it")
    if held_out.calibration_error > GAP_MAX:
        doubts.append(
            f"scores are {held_out.calibration_error:.3f} off what happens, on average: bands will be off too"
        )
    if isinstance(check, TimeCheck) and check.roc_auc < held_out.roc_auc.mean - GAP_MAX:
        doubts.append(
            f"trained on the past and tested on later rows of other leads, ROC-AUC is {check.roc_auc:.3f} instead of "
            f"{held_out.roc_auc.mean:.3f}: in service expect the lower figure, and train again often"
        )
    if trained.trees == report.settings.trees_max:
        doubts.append(f"all {trained.trees} trees were taken and more would have helped (--trees)")
    return doubts

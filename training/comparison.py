"""Two versions side by side: what they were trained on and how they did."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from scoring.features import FEATURES
from scoring.manifest import Evaluation, Manifest, Threshold


@dataclass(frozen=True, slots=True)
class Line:
    """A figure of both; `digits` after the point, 0 for counts."""

    name: str
    left: float | None
    right: float | None
    digits: int = 3

    @property
    def difference(self) -> float | None:
        """Right minus left."""
        return None if self.left is None or self.right is None else self.right - self.left


def compare(left: Manifest, right: Manifest) -> list[Line]:
    """Figures of both, in the order in which one reads them.

    Each version's figures are of its own training data: where these differ, so do the figures' meanings.
    """
    before, after = left.training, right.training
    return [
        Line("training rows", before.rows, after.rows, 0),
        Line("leads", before.leads, after.leads, 0),
        Line("positive rows", before.positives, after.positives, 0),
        Line("horizon, days", before.horizon, after.horizon),
        *_evaluation(left.evaluation, right.evaluation),
        *(
            Line(f"mean of {name}", left.baseline[name].mean, right.baseline[name].mean)
            for name in (*FEATURES, "score")
        ),
    ]


def _evaluation(left: Evaluation, right: Evaluation) -> Iterator[Line]:
    yield Line("ROC-AUC", left.roc_auc.mean, right.roc_auc.mean)
    yield Line("ROC-AUC of the rules", left.rules.roc_auc, right.rules.roc_auc)
    yield Line("ROC-AUC, train - test", left.roc_auc.train_test_gap, right.roc_auc.train_test_gap)
    yield Line("average precision", left.average_precision.mean, right.average_precision.mean)
    yield Line("average precision of the rules", left.rules.average_precision, right.rules.average_precision)
    yield Line("Brier score", left.brier_score, right.brier_score, 4)
    others = {row.threshold: row for row in right.thresholds}
    for row in left.thresholds:
        other: Threshold | None = others.get(row.threshold)
        if other is not None:
            yield Line(f"precision at {row.threshold:.2f}", row.precision, other.precision)
            yield Line(f"recall at {row.threshold:.2f}", row.recall, other.recall)
            yield Line(f"volume at {row.threshold:.2f}", row.volume, other.volume, 0)

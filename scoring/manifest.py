"""What `manifest.json` of a model bundle holds (contract 8): training writes it, serving checks it before belief.

Serving needs `version`, `sha256`, `features`, `baseline` and `sample`; the rest is the record of how the model came to
be. Keys that this version does not know are kept, so that a newer training program can add to the record.
"""

from __future__ import annotations

import math
from typing import Annotated, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, FiniteFloat, model_validator

from scoring.features import FEATURES

VERSION_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$"
"""A version is a directory name and a metric label: no separators, no leading dot, at most 100 characters."""

SAMPLE_ROWS_MAX = 1000
"""The sample is scored at each load and is the background of the attributions: more rows only make loading slower."""

Count = Annotated[int, Field(ge=0)]
Share = Annotated[FiniteFloat, Field(ge=0, le=1)]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="allow")


class Period(_Record):
    """The time that the training events span: from the first to the last `occurred_at`."""

    start: AwareDatetime
    end: AwareDatetime


class Training(_Record):
    """Where the model came from.

    `fingerprint` is the sha256 of the training data; `horizon` is in days, and like `period` absent for a snapshot.
    """

    source: str
    fingerprint: str
    rows: Count
    leads: Count
    positives: Count
    period: Period | None = None
    horizon: FiniteFloat | None = None


class FoldFigure(_Record):
    """A figure over the test folds; `train_test_gap` is the mean on the training folds minus `mean`."""

    mean: FiniteFloat
    deviation: FiniteFloat
    train_test_gap: FiniteFloat


class Threshold(_Record):
    """What contacting everybody at or above `threshold` gives on out-of-fold predictions; `volume` in rows.

    `precision` is null where no row reaches the threshold.
    """

    threshold: Share
    precision: Share | None
    recall: Share
    volume: Count


class RulesFigures(_Record):
    """The rule score on the same rows: what the model has to beat."""

    roc_auc: FiniteFloat
    average_precision: FiniteFloat
    brier_score: FiniteFloat
    thresholds: tuple[Threshold, ...]


class Evaluation(_Record):
    """Figures on held-out rows, split by lead."""

    roc_auc: FoldFigure
    average_precision: FoldFigure
    brier_score: FiniteFloat
    thresholds: tuple[Threshold, ...]
    rules: RulesFigures


class Distribution(_Record):
    """How a feature or the score was distributed in training.

    `edges` are the inner decile edges, ascending and distinct (fewer than nine where values repeat); bin *i* is
    `edges[i-1] <= x < edges[i]`, so `proportions` has one entry more than `edges`.
    """

    mean: FiniteFloat
    edges: tuple[FiniteFloat, ...]
    proportions: tuple[Share, ...]

    @model_validator(mode="after")
    def _bins_fit(self) -> Self:
        if len(self.proportions) != len(self.edges) + 1:
            raise ValueError(f"{len(self.edges)} edges need one proportion more, not {len(self.proportions)}")
        if any(low >= high for low, high in zip(self.edges, self.edges[1:], strict=False)):
            raise ValueError("edges must rise")
        if not math.isclose(sum(self.proportions), 1, abs_tol=1e-6):
            raise ValueError(f"proportions must add up to 1, not {sum(self.proportions)}")
        return self


class Sample(_Record):
    """A seeded random draw of training rows with the scores that the exported model gave them.

    `rows` are in the manifest's order of features. Serving scores them at load and compares; they are also the
    background against which attributions are measured, so they have to be a fair draw, not hand-picked rows.
    """

    rows: tuple[tuple[FiniteFloat, FiniteFloat, FiniteFloat, FiniteFloat, FiniteFloat], ...] = Field(
        min_length=1, max_length=SAMPLE_ROWS_MAX
    )
    scores: tuple[Share, ...]

    @model_validator(mode="after")
    def _one_score_a_row(self) -> Self:
        if len(self.rows) != len(self.scores):
            raise ValueError(f"{len(self.rows)} rows need as many scores, not {len(self.scores)}")
        return self


class Manifest(_Record):
    """A bundle's `manifest.json`; `sha256` is that of the bytes of `model.onnx`, in lower-case hex."""

    version: Annotated[str, Field(pattern=VERSION_PATTERN)]
    created_at: AwareDatetime
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    features: tuple[str, ...]
    training: Training
    evaluation: Evaluation
    baseline: dict[str, Distribution]
    sample: Sample
    libraries: dict[str, str]

    @model_validator(mode="after")
    def _features_are_the_five(self) -> Self:
        if sorted(self.features) != sorted(FEATURES):
            raise ValueError(
                f"features are {', '.join(self.features) or 'none'}; must be {', '.join(FEATURES)}, in any order"
            )
        if missing := {*FEATURES, "score"} - set(self.baseline):
            raise ValueError(f"baseline lacks {', '.join(sorted(missing))}")
        return self

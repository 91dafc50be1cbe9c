"""The fields of a policy (contract 6): types and ranges of single values."""

from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

DECISION_PATTERN: Final = r"^[a-z0-9][a-z0-9_]{0,63}\z"  # becomes a topic's name, with '-' for '_'
NAME_PATTERN: Final = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}\z"  # stands before the '@' of a version

DecisionName = Annotated[str, Field(strict=True, pattern=DECISION_PATTERN)]
Score = Annotated[float, Field(strict=True, ge=0.0, le=1.0, allow_inf_nan=False)]
EventType = Literal["PAGE_VISIT", "EMAIL_OPEN", "DEMO_REQUEST", "PROFILE_UPDATE", "OTHER"]
Confidence = Literal["HIGH", "MEDIUM", "LOW"]


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Band(_Table):
    """The scores that lead to a decision: from where the band before ends to under `below`."""

    decision: DecisionName
    below: Score | None = None  # the last band has none: it takes the rest, 1 included


class ConfidenceRule(_Table):
    """HIGH from `high_from` and under `high_below`, LOW from `low[0]` to under `low[1]`, else MEDIUM."""

    high_from: Score = 0.70
    high_below: Score = 0.30
    low: tuple[Score, Score] = (0.45, 0.50)


class Review(_Table):
    """Model scores whose confidence is listed go to a person instead."""

    decision: DecisionName
    confidence: tuple[Confidence, ...] = Field(min_length=1)


class Fallback(_Table):
    """What the rules may decide while they stand in for the model."""

    cap: DecisionName | None = None  # the highest band that they may give; none: any


class PolicyFile(_Table):
    """A policy as it is written.

    `name` and `bands` must be given; what else is left out is as in `default`, but without review and cap.
    """

    name: Annotated[str, Field(strict=True, pattern=NAME_PATTERN)]
    bands: tuple[Band, ...] = Field(min_length=1)
    confidence: ConfidenceRule = ConfidenceRule()
    review: Review | None = None
    fallback: Fallback = Fallback()
    repeat_after_days: Annotated[float, Field(strict=True, ge=0.0, allow_inf_nan=False)] = 7.0
    always_publish: frozenset[EventType] = frozenset({"DEMO_REQUEST"})

"""A policy as it is written: a TOML file, its fields, and everything that can be wrong with it (contract 6)."""

import math
import re
import tomllib
from collections.abc import Iterator
from importlib import resources
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Final, Literal, NamedTuple, TypeGuard

from pydantic import BaseModel, ConfigDict, Field, ValidationError

PACKAGED: Final = ("default", "three_way")
CONFIDENCES: Final = ("HIGH", "MEDIUM", "LOW")

_DECISION: Final = re.compile(r"[a-z0-9][a-z0-9_]{0,63}")
_DECISION_ALLOWED: Final = "a name of lower-case letters, digits and '_', at most 64: it names a topic"

DecisionName = Annotated[str, Field(strict=True, description=_DECISION_ALLOWED)]
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
    """The fields of a policy file. `name` and `bands` must be given; the rest is by default as in `default`."""

    name: Annotated[str, Field(strict=True, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}\z")]
    bands: tuple[Band, ...] = Field(min_length=1)
    confidence: ConfidenceRule = ConfidenceRule()
    review: Review | None = None
    fallback: Fallback = Fallback()
    repeat_after_days: Annotated[float, Field(strict=True, ge=0.0, allow_inf_nan=False)] = 7.0
    always_publish: frozenset[EventType] = frozenset({"DEMO_REQUEST"})


class Fault(NamedTuple):
    """One thing that is wrong: where, what stands there, and what is allowed."""

    key: str
    value: str
    allowed: str

    def __str__(self) -> str:
        return f"{self.key} = {self.value}: {self.allowed}"


class PolicyError(ValueError):
    """A policy cannot be used: `faults` has everything that is wrong with it."""

    def __init__(self, source: str, faults: list[str]) -> None:
        self.source = source
        self.faults = faults
        super().__init__("\n".join([f"policy {source} is refused:", *(f"  {fault}" for fault in faults)]))


def read(name_or_path: str | Path) -> PolicyFile:
    """Reads a policy: one that ships, by its name, or a file.

    Args:
        name_or_path: A string that is the name of a packaged policy means that; everything else is a path.

    Raises:
        PolicyError: It cannot be read, or has faults.
    """
    source = str(name_or_path)
    try:
        text = _text(name_or_path)
        data = tomllib.loads(text)
    except OSError as error:
        known = ", ".join(PACKAGED)
        raise PolicyError(source, [f"cannot be read ({error.strerror}); known by name: {known}"]) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise PolicyError(source, [f"is not TOML: {error}"]) from error
    return parse(data, source)


def _text(name_or_path: str | Path) -> str:
    if name_or_path in PACKAGED:
        return (resources.files("scoring") / "policies" / f"{name_or_path}.toml").read_text("utf-8")
    return Path(name_or_path).read_text("utf-8")


def parse(data: dict[str, Any], source: str) -> PolicyFile:
    """Checks what a policy file contains.

    Raises:
        PolicyError: With all faults: those of single values and those between them.
    """
    faults: list[Fault] = []
    parsed = None
    try:
        parsed = PolicyFile.model_validate(data)
    except ValidationError as error:
        faults += _value_faults(error)
    faults += _relation_faults(data)
    if faults or parsed is None:
        raise PolicyError(source, [str(fault) for fault in faults])
    return parsed


_ALLOWED: Final = {
    "missing": "must be given",
    "extra_forbidden": "is not a key of a policy",
    "string_type": "must be a string",
    "float_type": "must be a number",
    "finite_number": "must be a finite number",
    "tuple_type": "must be a list",
    "frozen_set_type": "must be a list",
    "model_type": "must be a table",
    "model_attributes_type": "must be a table",
    "string_pattern_mismatch": "must be letters, digits, '.', '_' and '-', at most 64, the first a letter or digit",
    "too_short": "must not be empty",
}


def _value_faults(error: ValidationError) -> Iterator[Fault]:
    for fault in error.errors(include_url=False):
        kind = fault["type"]
        value = "(nothing)" if kind == "missing" else _shown(fault["input"])
        yield Fault(_key(fault["loc"]), value, _ALLOWED.get(kind) or _lowered(fault["msg"]))


def _lowered(message: str) -> str:
    return message[:1].lower() + message[1:]


def _key(location: tuple[int | str, ...]) -> str:
    key = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)
    return key.removeprefix(".")


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:79]}…"


# What follows looks at the raw data, so that a fault in one value does not hide those between the others.


def _relation_faults(data: dict[str, Any]) -> Iterator[Fault]:
    bands = [band if isinstance(band, dict) else {} for band in _as_list(data.get("bands"))]
    names = [band["decision"] for band in bands if isinstance(band.get("decision"), str)]
    yield from _name_faults(bands)
    yield from _edge_faults(bands)
    yield from _confidence_faults(_as_dict(data.get("confidence")))
    yield from _review_faults(_as_dict(data.get("review")), names)
    cap = _as_dict(data.get("fallback")).get("cap")
    if isinstance(cap, str) and cap not in names:
        yield Fault("fallback.cap", _shown(cap), f"must be the decision of a band: {', '.join(names)}")


def _name_faults(bands: list[dict[str, Any]]) -> Iterator[Fault]:
    seen = set()
    for i, band in enumerate(bands):
        name = band.get("decision")
        if not isinstance(name, str):
            continue
        if not _DECISION.fullmatch(name):
            yield Fault(f"bands[{i}].decision", _shown(name), f"must be {_DECISION_ALLOWED}")
        if name in seen:
            yield Fault(f"bands[{i}].decision", _shown(name), "must differ from the bands before")
        seen.add(name)


def _edge_faults(bands: list[dict[str, Any]]) -> Iterator[Fault]:
    before = 0.0
    for i, band in enumerate(bands):
        key = f"bands[{i}].below"
        edge = band.get("below")
        last = i == len(bands) - 1
        if edge is None and not last:
            yield Fault(key, "(nothing)", "must be given: only the last band has none")
        if edge is not None and last:
            yield Fault(key, _shown(edge), "must not be given: the last band takes the rest, to 1 inclusive")
        if _is_score(edge):
            if edge <= before and not last:
                yield Fault(key, _shown(edge), f"must be above {before:g}, where the band begins")
            before = max(before, edge)


def _confidence_faults(table: dict[str, Any]) -> Iterator[Fault]:
    """HIGH below, LOW and HIGH above must follow each other, or a score would have two confidences."""
    defaults = ConfidenceRule()
    low = table.get("low", list(defaults.low))
    pair = low if isinstance(low, list) and len(low) == 2 else [None, None]
    chain = [
        ("confidence.high_below", table.get("high_below", defaults.high_below)),
        ("confidence.low[0]", pair[0]),
        ("confidence.low[1]", pair[1]),
        ("confidence.high_from", table.get("high_from", defaults.high_from)),
    ]
    usable = [(key, value) for key, value in chain if _is_score(value)]
    for (key_before, before), (key, value) in pairwise(usable):
        if value < before:
            yield Fault(key, _shown(value), f"must be at least {key_before} ({before:g})")


def _review_faults(table: dict[str, Any], names: list[str]) -> Iterator[Fault]:
    name = table.get("decision")
    if not isinstance(name, str):
        return
    if not _DECISION.fullmatch(name):
        yield Fault("review.decision", _shown(name), f"must be {_DECISION_ALLOWED}")
    if name in names:
        yield Fault("review.decision", _shown(name), "must not be the decision of a band")


def _is_score(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and 0 <= value <= 1


def _as_list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _as_dict(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}

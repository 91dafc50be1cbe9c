"""What can be wrong with a policy, told so that it can be mended: the key, what stands there, what is allowed."""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any, Final, NamedTuple, TypeGuard

from pydantic import ValidationError

from scoring.policy_model import DECISION_PATTERN, NAME_PATTERN, ConfidenceRule

_NOTHING: Final = "(nothing)"
_VALUE_CHARS_MAX: Final = 80
_ALLOWED: Final = {
    "missing": "must be given",
    "extra_forbidden": "is not a key of a policy",
    "string_type": "must be a string",
    "float_type": "must be a number",
    "finite_number": "must be a finite number",
    "tuple_type": "must be a list",
    "frozen_set_type": "must be a list",
    "model_type": "must be a table",
    "too_short": "must not be empty",
}
_ALLOWED_BY_PATTERN: Final = {
    DECISION_PATTERN: "must be lower-case letters, digits and '_', at most 64, the first no '_': it names a topic",
    NAME_PATTERN: "must be letters, digits, '.', '_' and '-', at most 64, the first a letter or digit",
}


class Fault(NamedTuple):
    """One thing that is wrong."""

    key: str
    value: str
    allowed: str

    def __str__(self) -> str:
        return f"{self.key} = {self.value}: {self.allowed}"


def value_faults(error: ValidationError) -> Iterator[Fault]:
    """The faults of single values: type, range, unknown keys."""
    for fault in error.errors(include_url=False):
        kind = fault["type"]
        if kind == "too_short" and fault["input"]:
            continue  # pydantic counts the good items only: those that are bad have their own faults
        allowed = _ALLOWED_BY_PATTERN.get(fault.get("ctx", {}).get("pattern", "")) or _ALLOWED.get(kind)
        yield Fault(
            _key(fault["loc"]),
            _NOTHING if kind == "missing" else _shown(fault["input"]),
            allowed or fault["msg"].replace("Input should", "must"),
        )


def relation_faults(data: dict[str, Any]) -> Iterator[Fault]:
    """The faults between values.

    They are sought in the raw data, whatever else is in it, so that a fault in one value does not hide them.
    """
    bands = [band if isinstance(band, dict) else {} for band in _list(data.get("bands"))]
    names = [band["decision"] for band in bands if isinstance(band.get("decision"), str)]
    for i, band in enumerate(bands):
        name = band.get("decision")
        if name in [earlier.get("decision") for earlier in bands[:i]] and name is not None:
            yield Fault(f"bands[{i}].decision", _shown(name), "must differ from the bands before")
    yield from _edge_faults(bands)
    yield from _confidence_faults(_table(data.get("confidence")))
    review = _table(data.get("review")).get("decision")
    if review in names:
        yield Fault("review.decision", _shown(review), "must not be the decision of a band")
    cap = _table(data.get("fallback")).get("cap")
    if isinstance(cap, str) and names and cap not in names:
        yield Fault("fallback.cap", _shown(cap), f"must be the decision of a band: {', '.join(names)}")


def _edge_faults(bands: list[dict[str, Any]]) -> Iterator[Fault]:
    before = 0.0
    for i, band in enumerate(bands[:-1]):
        key, edge = f"bands[{i}].below", band.get("below")
        if edge is None:
            yield Fault(key, _NOTHING, "must be given: only the last band has none")
        elif _is_score(edge):
            if edge <= before:
                yield Fault(key, _shown(edge), f"must be above {before}, where the band begins")
            before = max(before, edge)
    if bands and "below" in bands[-1]:
        edge = bands[-1]["below"]
        yield Fault(f"bands[{len(bands) - 1}].below", _shown(edge), "must not be given: the last band takes the rest")


def _confidence_faults(table: dict[str, Any]) -> Iterator[Fault]:
    """HIGH below, LOW and HIGH above must follow each other, or a score would have two confidences."""
    defaults = ConfidenceRule()
    low = table.get("low", [*defaults.low])
    low_from, low_below = low if isinstance(low, list) and len(low) == 2 else (None, None)
    chain = [
        ("confidence.high_below", table.get("high_below", defaults.high_below)),
        ("confidence.low[0]", low_from),
        ("confidence.low[1]", low_below),
        ("confidence.high_from", table.get("high_from", defaults.high_from)),
    ]
    usable = [(key, value) for key, value in chain if _is_score(value)]
    for (key_before, before), (key, value) in pairwise(usable):
        if value < before:
            yield Fault(key, _shown(value), f"must be at least {key_before}, {before}")


def _key(location: tuple[int | str, ...]) -> str:
    key = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)
    return key.removeprefix(".")


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _VALUE_CHARS_MAX else f"{text[: _VALUE_CHARS_MAX - 1]}…"


def _is_score(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _table(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}

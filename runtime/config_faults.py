"""Says everything that is wrong with a configuration at once: key, value, where it came from, what is allowed."""

import difflib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from runtime.redaction import redacted

Settings = TypeVar("Settings", bound=BaseModel)


@dataclass(frozen=True)
class Rule:
    """What must hold between keys; `message` is said of the first of them."""

    keys: tuple[str, ...]
    holds: Callable[[Any], bool]
    message: str


def model_faults(
    model: type[Settings], data: Mapping[str, Any], origins: Mapping[str, str]
) -> tuple[Settings, list[str], set[str]]:
    """Validates the data; a faulty key is reported and then left at its default, so that the rest is judged too.

    Returns:
        The settings (to be used only without faults), the faults, and the faulty keys.
    """
    faults: list[str] = []
    wrong_keys: set[str] = set()
    remaining = {key: dict(value) if isinstance(value, Mapping) else value for key, value in data.items()}
    while True:
        try:
            return model.model_validate(remaining), faults, wrong_keys
        except ValidationError as error:
            for path, problem in _problems(error).items():
                value = _remove(remaining, path)
                faults.append(f"{_shown('.'.join(path), value, origins)}: {_explained(model, path, problem)}")
                wrong_keys.add(".".join(path))


def check_rules(
    rules: Iterable[Rule], settings: BaseModel, origins: Mapping[str, str], wrong_keys: set[str]
) -> list[str]:
    """The rules between keys that are broken; one with a faulty key says nothing."""
    return [
        f"{_shown(rule.keys[0], _value_at(settings, rule.keys[0]), origins)}: {rule.message}"
        for rule in rules
        if wrong_keys.isdisjoint(rule.keys) and not rule.holds(settings)
    ]


def allowed(field: FieldInfo) -> str:
    """What a field takes, in words: for the faults and for the documentation.

    >>> from pydantic import Field
    >>> allowed(FieldInfo.from_annotated_attribute(int, Field(default=1, ge=1, le=9)))
    'a whole number from 1 to 9'
    """
    extra = field.json_schema_extra
    if isinstance(extra, Mapping) and "allowed" in extra:
        return str(extra["allowed"])
    return _type_in_words(field.annotation) + _range_in_words(field.metadata)


def _type_in_words(annotation: Any) -> str:
    if get_origin(annotation) is Annotated:
        return _type_in_words(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        return " or ".join(_type_in_words(arg) for arg in get_args(annotation) if arg is not NoneType)
    if get_origin(annotation) is Literal:
        return "one of " + ", ".join(f"`{arg}`" for arg in get_args(annotation))
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "a table"
    return {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}[annotation]


def _range_in_words(metadata: Sequence[Any]) -> str:
    bounds = {name: getattr(item, name) for item in metadata for name in ("gt", "ge", "le") if hasattr(item, name)}
    if "gt" in bounds:
        return f" over {bounds['gt']:g}, up to {bounds['le']:g}"
    return f" from {bounds['ge']:g} to {bounds['le']:g}" if bounds else ""


def _problems(error: ValidationError) -> dict[tuple[str, ...], str]:
    """What is wrong, by `section`, `section.key` or `section.table.property`: "" for a value that is not allowed."""
    problems: dict[tuple[str, ...], str] = {}
    for detail in error.errors(include_url=False):
        path = tuple(str(part) for part in detail["loc"][:3])
        if detail["type"] == "refused":
            problems |= {(*path, name): f"cannot be set: {why}" for name, why in detail["ctx"]["refused"]}
        elif detail["type"] == "extra_forbidden":
            problems[path] = "unknown"
        elif detail["type"] != "default_factory_not_called":
            problems.setdefault(path, "")
    return problems


def _explained(model: type[BaseModel], path: tuple[str, ...], problem: str) -> str:
    if problem == "unknown":
        return problem + _known(model, path)
    field = _field(model, path)
    return problem or f"must be {allowed(field) if field else 'a text, a number or a boolean'}"


def _known(model: type[BaseModel], path: tuple[str, ...]) -> str:
    section = model if len(path) == 1 else _section(model, path[0])
    names = list(section.model_fields) if section else []
    close = difflib.get_close_matches(path[-1], names, n=1)
    where = "the sections are" if len(path) == 1 else f"the keys of {path[0]} are"
    return (f", perhaps {close[0]} is meant" if close else "") + f"; {where} {', '.join(names)}"


def _section(model: type[BaseModel], name: str) -> type[BaseModel] | None:
    annotation = model.model_fields[name].annotation if name in model.model_fields else None
    return annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else None


def _field(model: type[BaseModel], path: tuple[str, ...]) -> FieldInfo | None:
    """The field at a path; None within a table, whose values are scalars of any kind."""
    if len(path) == 1:
        return model.model_fields[path[0]]
    section = _section(model, path[0])
    return section.model_fields[path[1]] if section and len(path) == 2 else None


def _shown(key: str, value: Any, origins: Mapping[str, str]) -> str:
    """`key = value (origin)` with secrets redacted; what should be a client table and is not may be all secret."""
    section, _, name = key.partition(".")
    table, _, prop = name.partition(".")
    if table == "client" and not prop and not isinstance(value, Mapping):
        value = "***"
    safe = redacted(prop or name, value)
    origin = origins.get(key) or origins.get(f"{section}.{table}") or origins.get(section)
    if origin is None:  # a whole section: whatever its keys came from
        origin = ", ".join(dict.fromkeys(found for name, found in origins.items() if name.startswith(f"{key}.")))
    return f"{key} = {json.dumps(safe, default=str, ensure_ascii=False)}" + (f" ({origin})" if origin else "")


def _value_at(settings: BaseModel, key: str) -> Any:
    section, name, *rest = key.split(".", 2)
    value = getattr(getattr(settings, section), name)
    return value.get(rest[0]) if rest else value


def _remove(data: dict[str, Any], path: tuple[str, ...]) -> Any:
    """Takes a faulty key away and returns its value."""
    *tables, key = path
    inner: Any = data
    for name in tables:
        inner[name] = dict(inner[name])
        inner = inner[name]
    return inner.pop(key)

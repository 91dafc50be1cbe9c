"""Where configuration comes from: a TOML file, the environment. Each gives values, their origins and faults."""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel

from runtime.redaction import redacted

PREFIX = "LEAD_SCORER__"


@dataclass
class Source:
    """What one source said: `values` are sections of keys; `name` says where a key came from, for the faults."""

    values: dict[str, Any] = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)


def read_file(path: Path) -> Source:
    """Reads a TOML file; one that cannot be read is a fault, with the line where that is known."""
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8-sig"))  # editors on Windows write a byte order mark
    except OSError as error:
        return Source(faults=[f"{path}: cannot be read: {error.strerror}"])
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        return Source(faults=[f"{path}: cannot be read as UTF-8 (at line {line})"])
    except (ValueError, RecursionError) as error:  # besides bad TOML: thousands of digits, or of brackets
        return Source(faults=[f"{path}: cannot be read as TOML: {error}"])
    return Source(values, dict.fromkeys(_keys(values), str(path)))


def _keys(values: Mapping[str, Any], depth: int = 2) -> list[str]:
    """The names of sections and keys, as `section` and `section.key`."""
    inner = ((key, value) for key, value in values.items() if depth > 1 and isinstance(value, Mapping))
    return [*values, *(f"{key}.{name}" for key, table in inner for name in _keys(table, depth - 1))]


def read_environment(environ: Mapping[str, str], model: type[BaseModel]) -> Source:
    """Takes the variables `LEAD_SCORER__SECTION__KEY`; a value is TOML, or a plain string where TOML says nothing.

    Args:
        environ: The process's environment.
        model: The configuration's model: a key that holds text keeps `007` or `true` as the text it is.
    """
    source = Source()
    for variable in sorted(name for name in environ if name.startswith(PREFIX)):
        section, separator, key = variable.removeprefix(PREFIX).lower().partition("__")
        if not (section and separator and key):
            value = redacted(variable, environ[variable])
            source.faults.append(f"{variable} = {value}: names no key; {PREFIX}SECTION__KEY is expected")
            continue
        source.values.setdefault(section, {})[key] = environment_value(
            environ[variable], _annotation(model, section, key)
        )
        source.origins[f"{section}.{key}"] = variable
    return source


def environment_value(raw: str, annotation: Any) -> Any:
    """What a variable's text means for a key of that type.

    >>> environment_value("150", float), environment_value("007", str), environment_value('"x y"', str)
    (150, '007', 'x y')
    >>> environment_value('{"session.timeout.ms"=6000}', dict)
    {'session.timeout.ms': 6000}
    """
    value = _toml(raw)
    return raw if _is_text(annotation) and not isinstance(value, str) else value


def _toml(raw: str) -> Any:
    try:
        parsed = tomllib.loads(f"value = {raw}")
    except (ValueError, RecursionError):  # as above
        return raw
    return parsed["value"] if len(parsed) == 1 else raw


def _annotation(model: type[BaseModel], section: str, key: str) -> Any:
    """The type of a key; that of an unknown one is text, so that it is shown as it was written."""
    field_info = model.model_fields.get(section)
    section_model = field_info.annotation if field_info else None
    if not (isinstance(section_model, type) and issubclass(section_model, BaseModel)):
        return str
    key_info = section_model.model_fields.get(key)
    return key_info.annotation if key_info else str


def _is_text(annotation: Any) -> bool:
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _is_text(args[0])
    if origin in (Union, UnionType):
        return all(_is_text(arg) for arg in args if arg is not type(None))
    if origin is Literal:
        return all(isinstance(arg, str) for arg in args)
    return isinstance(annotation, type) and issubclass(annotation, str | Path)


def merge(sources: Sequence[Source]) -> tuple[dict[str, Any], dict[str, str]]:
    """Lays the sources over one another, the last on top.

    Tables such as `kafka.client` are merged key by key; an empty one takes away what lies below it.
    """
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for source in sources:
        for section, table in source.values.items():
            values[section] = _section_over(values.get(section), table)
        origins |= source.origins
    return values, origins


def _section_over(below: Any, above: Any) -> Any:
    if not isinstance(above, Mapping):
        return above
    section = dict(below) if isinstance(below, Mapping) else {}
    for key, value in above.items():
        if isinstance(value, Mapping):
            under = section.get(key)
            section[key] = {**(under if value and isinstance(under, Mapping) else {}), **_flat(value)}
        else:
            section[key] = value
    return section


def _flat(table: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """To TOML `session.timeout.ms = 6000` without quotes is nested tables; what is meant is one property."""
    flat: dict[str, Any] = {}
    for key, value in table.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return flat

"""The effective configuration as TOML, which `load` reads again: for people, with secrets redacted."""

import json
from collections.abc import Mapping
from typing import Any

from runtime.config import Settings
from runtime.redaction import redacted


def to_toml(settings: Settings) -> str:
    r"""Writes all sections with all keys.

    >>> print(to_toml(Settings()).partition("[logging]\n")[2], end="")
    level = "info"
    format = "auto"
    """
    sections = settings.model_dump(mode="json")
    return "\n".join(
        "".join([f"[{name}]\n", *(f"{key} = {toml_value(redacted(key, value))}\n" for key, value in section.items())])
        for name, section in sections.items()
    )


def toml_value(value: Any) -> str:
    """A value as TOML writes it; None is an empty text, a path a text."""
    if value is None:
        return '""'
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_text(key)} = {toml_value(item)}" for key, item in value.items()) + "}"
    if isinstance(value, float):
        return f"{value:.0f}" if value.is_integer() else repr(value)
    return str(value).lower() if isinstance(value, bool | int) else _text(str(value))


def _text(value: str) -> str:
    """A basic string; JSON's escapes are TOML's, but for DEL, which TOML wants escaped too."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")

"""How a snapshot's columns are called: options of the command line, over a TOML file."""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from runtime.errors import ConfigurationError
from training.snapshot import LEAD_ID, SNAPSHOT_COLUMNS

_NAMES: Final = (*SNAPSHOT_COLUMNS, LEAD_ID)
_KEYS: Final = ("columns", "exempt")


@dataclass(frozen=True, slots=True)
class Mapping:
    """Our column name to the file's, and the columns without completeness gates."""

    columns: dict[str, str] = field(default_factory=dict)
    exempt: frozenset[str] = frozenset()


def resolve(path: Path | None, columns: Sequence[str], exempt: Collection[str]) -> Mapping:
    """What the file says, with `--column` and `--exempt` over it.

    Args:
        path: A TOML file with a table `columns` and a list `exempt`; None for none.
        columns: `OURS=THEIRS` each.
        exempt: Names of columns.

    Raises:
        ConfigurationError: With every fault.

    >>> resolve(None, ["email_opens=Opens"], ["email"])
    Mapping(columns={'email_opens': 'Opens'}, exempt=frozenset({'email'}))
    """
    faults: list[str] = []
    content = _read(path, faults) if path else {}
    pairs = [(name, theirs, f"{path}: columns") for name, theirs in _table(content, path, faults).items()]
    for option in columns:
        name, equals, theirs = option.partition("=")
        if not equals:
            faults.append(f"--column {option}: must be OURS=THEIRS")
        else:
            pairs.append((name.strip(), theirs.strip(), "--column"))
    named: dict[str, str] = {}
    for name, theirs, where in pairs:
        if name not in _NAMES:
            faults.append(f"{where}: {name} is no column of a snapshot; they are {', '.join(_NAMES)}")
        elif not isinstance(theirs, str) or not theirs:
            faults.append(f"{where}: {name} must be the name of a column in the file")
        else:
            named[name] = theirs
    without = {*_list(content, path, faults), *exempt}
    faults += [
        f"exempt: {name} cannot be exempted; {', '.join(SNAPSHOT_COLUMNS[:-1])} can"
        for name in sorted(without - set(SNAPSHOT_COLUMNS[:-1]))
    ]
    if faults:
        raise ConfigurationError("the columns are not as they must be:", faults)
    return Mapping(named, frozenset(without))


def _read(path: Path, faults: list[str]) -> dict[str, Any]:
    try:
        content = tomllib.loads(path.read_text("utf-8-sig"))  # editors on Windows write a byte order mark
    except OSError as error:
        faults.append(f"{path} cannot be read: {error.strerror}")
        return {}
    except (ValueError, RecursionError) as error:  # of TOML, of UTF-8; thousands of brackets
        faults.append(f"{path} is not TOML: {error}")
        return {}
    faults += [f"{path}: {key} is unknown; the keys are {', '.join(_KEYS)}" for key in content if key not in _KEYS]
    return content


def _table(content: dict[str, Any], path: Path | None, faults: list[str]) -> dict[str, Any]:
    found = content.get("columns", {})
    if isinstance(found, dict):
        return found
    faults.append(f"{path}: columns must be a table of OURS = THEIRS")
    return {}


def _list(content: dict[str, Any], path: Path | None, faults: list[str]) -> list[str]:
    found = content.get("exempt", [])
    if isinstance(found, list) and all(isinstance(name, str) for name in found):
        return found
    faults.append(f"{path}: exempt must be a list of names")
    return []

"""Reads a policy: one that ships, by its name, or a TOML file."""

import tomllib
from importlib import resources
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from scoring.policy_faults import Fault, relation_faults, value_faults
from scoring.policy_model import PolicyFile

PACKAGED: Final = ("default", "three_way")


class PolicyError(ValueError):
    """A policy cannot be used.

    Attributes:
        source: Its name or path.
        faults: Everything that is wrong with it, one line each.
    """

    def __init__(self, source: str, faults: list[str]) -> None:
        self.source = source
        self.faults = faults
        super().__init__("\n".join([f"policy {source} is refused:", *(f"  {fault}" for fault in faults)]))


def read(name_or_path: str | Path) -> PolicyFile:
    """Reads a policy.

    Args:
        name_or_path: A string that is the name of a packaged policy means that; everything else is a path.

    Raises:
        PolicyError: It cannot be read, or has faults.
    """
    source = str(name_or_path)
    try:
        data = tomllib.loads(_text(name_or_path))
    except OSError as error:
        raise PolicyError(
            source, [f"cannot be read ({error.strerror}); known by name: {', '.join(PACKAGED)}"]
        ) from error
    except (ValueError, RecursionError) as error:  # of TOML, of UTF-8, of the path; thousands of brackets
        raise PolicyError(source, [f"is not TOML: {error}"]) from error
    return parse(data, source)


def _text(name_or_path: str | Path) -> str:
    if name_or_path in PACKAGED:
        return (resources.files("scoring") / "policies" / f"{name_or_path}.toml").read_text("utf-8")
    return Path(name_or_path).read_text("utf-8-sig")  # editors on Windows write a byte order mark


def parse(data: dict[str, Any], source: str) -> PolicyFile:
    """Checks what a policy file contains.

    Raises:
        PolicyError: With all faults: those of single values, then those between them.
    """
    faults: list[Fault] = []
    parsed = None
    try:
        parsed = PolicyFile.model_validate(data)
    except ValidationError as error:
        faults += value_faults(error)
    faults += relation_faults(data)
    if faults or parsed is None:
        raise PolicyError(source, [str(fault) for fault in faults])
    return parsed

"""The schemas of this project: the current ones and every version ever released.

A schema's identity is the CRC-64-AVRO fingerprint of its canonical form, which leaves out documentation, defaults and
logical types: two texts that differ only in those are one schema on the wire.
"""

import json
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, Final

from fastavro import parse_schema
from fastavro.schema import SchemaParseException, fingerprint, to_parsing_canonical_form

from schemas.errors import UnresolvableError

NAMES: Final = ("lead_event", "decision", "lead_profile")
_FOLDER: Final = resources.files("schemas")


@dataclass(frozen=True, slots=True, eq=False)
class Schema:
    """A parsed schema: every name in it is full.

    Attributes:
        root: The schema as nested dicts, lists and strings; a named type stands in full where it is first used.
        named: Full name to definition of every named type.
        fingerprint: The 8 bytes of CRC-64-AVRO, little-endian, as they stand in a frame.
    """

    root: Any
    named: dict[str, Any]
    fingerprint: bytes


@cache
def text(name: str) -> str:
    """The current schema's text, as it is registered.

    Args:
        name: One of `NAMES`.
    """
    return (_FOLDER / f"{name}.avsc").read_text("utf-8")


@cache
def current(name: str) -> Schema:
    """The current schema, which the codec writes and resolves others to.

    Args:
        name: One of `NAMES`.

    >>> current("lead_event").root["name"]
    'lead.LeadEvent'
    """
    return parse(text(name))


def history(name: str) -> dict[int, str]:
    """Version to text of every released version of a schema, in order.

    >>> min(history("decision"))
    1
    """
    files = (file for file in (_FOLDER / "history").iterdir() if file.name.startswith(f"{name}.v"))
    versions = {int(file.name.removeprefix(f"{name}.v").removesuffix(".avsc")): file for file in files}
    return {version: versions[version].read_text("utf-8") for version in sorted(versions)}


@cache
def by_fingerprint() -> dict[bytes, Schema]:
    """Every schema that a frame without a registry can name."""
    known = [parse(old) for name in NAMES for old in history(name).values()]
    return {schema.fingerprint: schema for schema in [*known, *map(current, NAMES)]}


def fingerprints() -> dict[str, str]:
    """Schema name to the hex digits of its fingerprint, in the order of the bytes in a frame."""
    return {name: current(name).fingerprint.hex() for name in NAMES}


def parse(avsc: str) -> Schema:
    """A schema of ours: a fault in it is ours too, and surfaces as fastavro's or json's exception."""
    return _parse(json.loads(avsc))


def parse_foreign(avsc: str) -> Schema:
    """The schema of some writer.

    Its defaults are dropped unread: resolution never looks at a writer's, and other implementations let some pass
    that fastavro refuses (0 for a double). References to other subjects are not followed.

    Raises:
        UnresolvableError: The text is no Avro schema, or not a whole one.
    """
    try:
        return _parse(json.loads(avsc, object_hook=_without_default))
    except (ValueError, KeyError, TypeError, AttributeError, SchemaParseException, RecursionError) as error:
        raise UnresolvableError(f"it is no Avro schema ({type(error).__name__})") from None


def _without_default(part: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in part.items() if key != "default"}


def _parse(source: Any) -> Schema:
    named: dict[str, Any] = {}
    root = parse_schema(source, named, _write_hint=False)
    return Schema(root, named, bytes.fromhex(fingerprint(to_parsing_canonical_form(source), "CRC-64-AVRO")))

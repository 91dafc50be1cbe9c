"""The TOML file that says how another system's columns become lead events."""

import re
import tomllib
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from producer.events import valid_event
from runtime.errors import ConfigurationError
from schemas.ndjson import field_names

SKIP: Final = "skip"
ANY_TYPE: Final = "*"


def _field_name(name: str) -> str:
    if name not in field_names():
        raise ValueError(f"no field of LeadEvent; those are {', '.join(field_names())}")
    return name


def _text_field(name: str) -> str:
    if name not in _TEXT_FIELDS:
        raise ValueError(f"takes no prefix; {', '.join(_TEXT_FIELDS)} do")
    return name


_TEXT_FIELDS: Final = ("event_id", "lead_id", "source", "page_url")
FieldName = Annotated[str, AfterValidator(_field_name)]
TextField = Annotated[str, AfterValidator(_text_field)]
Target = Literal["PAGE_VISIT", "EMAIL_OPEN", "DEMO_REQUEST", "PROFILE_UPDATE", "OTHER", "skip"]
Name = Annotated[str, Field(min_length=1)]

_REQUIRED: Final = ("lead_id", "event_type", "occurred_at")
_PROBE: Final = {"event_id": "e", "lead_id": "l", "event_type": "OTHER", "occurred_at": 0, "source": "s"}


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")


class Times(_Table):
    """How times are written.

    Attributes:
        format: `rfc3339`, `epoch_ms`, `epoch_s`, or a pattern for strptime.
        zone: Zone of a pattern that has none of its own (`%z`): there is no default, local time is a trap.
    """

    format: str = "rfc3339"
    zone: str | None = None

    @model_validator(mode="after")
    def _pattern_has_a_zone(self) -> Self:
        if "%" not in self.format:
            if self.format not in ("rfc3339", "epoch_ms", "epoch_s"):
                raise ValueError("format must be rfc3339, epoch_ms, epoch_s or a pattern such as %Y-%m-%d %H:%M:%S")
        elif self.zone is None and "%z" not in self.format:
            raise ValueError("a pattern without %z needs a zone, such as zone = 'UTC'")
        elif not _can_be_read(self.format):
            raise ValueError(f"format is {self.format}, which is no pattern of strptime")
        if self.zone is not None:
            try:
                ZoneInfo(self.zone)
            except (ZoneInfoNotFoundError, ValueError, OSError):
                raise ValueError("zone must be a name such as UTC or Europe/Berlin") from None
        return self


def _can_be_read(pattern: str) -> bool:
    """Whether strptime knows the pattern: it says so only when it reads."""
    try:
        datetime.strptime(datetime(2025, 1, 31, tzinfo=UTC).strftime(pattern), pattern)  # noqa: DTZ007 - not used
    except (ValueError, re.error):
        return False
    return True


class Outcomes(_Table):
    """Which rows are conversions.

    Attributes:
        event_types: The source's own event types; not events unless `event_types` of the mapping translates them too.
    """

    event_types: Annotated[tuple[Name, ...], Field(min_length=1, strict=False)]


class Mapping(_Table):
    """How rows become lead events; the empty mapping takes columns named as the fields are.

    Attributes:
        format: `csv` or `ndjson`; found out if not given.
        delimiter: Between the cells of CSV.
        columns: Field of LeadEvent -> column (or JSON key); empty: each has its own name.
        constants: Field -> value that every row has.
        prefixes: Field -> text put before the column's.
        event_types: The source's type -> ours, or `skip`; `*` stands for all others. Empty: they are ours already.
        times: How times are written.
        outcomes: Which rows are conversions.
    """

    format: Literal["csv", "ndjson"] | None = None
    delimiter: Annotated[str, Field(min_length=1, max_length=1)] | None = None
    columns: dict[FieldName, Name] = {}
    constants: dict[FieldName, str | int] = {}
    prefixes: dict[TextField, str] = {}
    event_types: dict[Name, Target] = {}
    times: Times = Times()
    outcomes: Outcomes | None = None

    @model_validator(mode="after")
    def _fields_come_from_one_place(self) -> Self:
        faults = [f"{name} is both a column and a constant" for name in self.columns if name in self.constants]
        if self.columns:
            given = {**self.columns, **self.constants}
            faults += [f"{name} is neither a column nor a constant" for name in _REQUIRED if name not in given]
            faults += [f"prefixes.{name} has no column" for name in self.prefixes if name not in self.columns]
        faults += _constant_faults(self.constants)
        if faults:
            raise ValueError("; ".join(faults))
        return self

    @property
    def chooses_columns(self) -> bool:
        """Whether columns that it does not name are left out on purpose."""
        return bool(self.columns)


def load_mapping(path: Path) -> Mapping:
    """Reads a mapping.

    Raises:
        ConfigurationError: It cannot be read, or with every fault in it.
    """
    try:
        data = tomllib.loads(path.read_text("utf-8-sig"))  # editors on Windows write a byte order mark
    except OSError as error:
        raise ConfigurationError(f"The mapping {path} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:  # of TOML, of UTF-8; thousands of brackets
        raise ConfigurationError(f"The mapping {path} is not TOML: {error}") from error
    try:
        return Mapping.model_validate(data)
    except ValidationError as error:
        raise ConfigurationError(f"The mapping {path} cannot be used:", _faults(error)) from None


def _constant_faults(constants: dict[str, Any]) -> list[str]:
    try:
        valid_event({**_PROBE, **constants}, {})
    except ValueError as error:
        return [f"constants.{error}"]
    return []


def _faults(error: ValidationError) -> list[str]:
    return [
        ": ".join(
            filter(None, (".".join(str(part) for part in detail["loc"]), detail["msg"].removeprefix("Value error, ")))
        )
        for detail in error.errors(include_url=False)
    ]

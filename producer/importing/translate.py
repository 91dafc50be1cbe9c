"""From a row of another system to a lead event, or to a conversion."""

import hashlib
from collections.abc import Mapping as Dict
from typing import Any, Final, NamedTuple

from producer.errors import InvalidEventError
from producer.events import valid_event
from producer.importing.cells import Convert, time_reader, whole_number
from producer.importing.mapping import ANY_TYPE, SKIP, Mapping
from producer.importing.rejection import RowError

_TIMES: Final = ("occurred_at", "created_at")
_ID_BYTES: Final = 16


class Row(NamedTuple):
    """A row as it was read.

    Attributes:
        line: Number of its first line, from 1.
        raw: Its bytes.
        cells: Column -> value: text in CSV, any JSON value otherwise.
    """

    line: int
    raw: bytes
    cells: Dict[str, Any]


class Translated(NamedTuple):
    """What a row is.

    Attributes:
        event: The lead event, times as integer ms, or None if its type is skipped.
        kind: The source's own event type.
        outcome: Lead id and time in ms if the row is a conversion.
    """

    event: dict[str, Any] | None
    kind: str
    outcome: tuple[str, int] | None


class Translator:
    """Applies a mapping.

    Args:
        mapping: Names of columns and types.
        source: The events' source where neither column nor constant gives one.
        text: Whether cells are text (CSV), of which an empty one is no value and a number has to be read.
    """

    def __init__(self, mapping: Mapping, source: str, *, text: bool) -> None:
        self._mapping = mapping
        self._source = source
        self._outcomes = frozenset(mapping.outcomes.event_types if mapping.outcomes else ())
        self._sparse = text or mapping.chooses_columns
        self._convert: dict[str, Convert] = dict.fromkeys(_TIMES, time_reader(mapping.times))
        if self._sparse:
            self._convert["company_headcount"] = whole_number

    def translate(self, row: Row) -> Translated:
        """The event and the conversion that a row holds.

        An event id that the source does not give is made of the row and its line, so that the same file imported
        again gives the same ids, which the scorer recognises.

        Raises:
            RowError: The row is no event, or none that the scorer would accept.
        """
        cells = self._given(row.cells)
        kind = cells.get("event_type", self._mapping.constants.get("event_type"))
        converts = isinstance(kind, str) and kind in self._outcomes
        target = self._target(kind, converts=converts)
        skipped = target == SKIP
        if skipped and not converts:
            return Translated(None, str(kind), None)  # whatever its other cells hold
        fields = {**self._mapping.constants, **{field: self._value(field, cell) for field, cell in cells.items()}}
        # A skipped row that is a conversion has to have a lead and a time all the same.
        event = self._event(row, {**fields, "event_type": "OTHER"} if skipped else {**fields, **_typed(target)})
        outcome = (event["lead_id"], event["occurred_at"]) if converts else None
        return Translated(None if skipped else event, str(kind), outcome)

    def _event(self, row: Row, fields: Dict[str, Any]) -> dict[str, Any]:
        digest = hashlib.blake2b(row.raw, digest_size=_ID_BYTES, key=row.line.to_bytes(8)).hexdigest()
        try:
            return valid_event(fields, {"event_id": digest, "source": self._source})
        except InvalidEventError as error:
            raise RowError(error.code, str(error)) from None

    def _given(self, cells: Dict[str, Any]) -> Dict[str, Any]:
        """Field to cell; an empty cell is a value that is not there."""
        if self._mapping.chooses_columns:
            cells = {field: cells.get(column) for field, column in self._mapping.columns.items()}
        if not self._sparse:
            return cells
        return {field: cell for field, cell in cells.items() if cell is not None and cell != ""}

    def _value(self, field: str, value: Any) -> Any:
        prefix = self._mapping.prefixes.get(field)
        if prefix is not None:
            return prefix + str(value)
        convert = self._convert.get(field)
        if convert is None:
            return value
        try:
            return convert(value)
        except RowError as error:
            raise RowError(error.code, f"{field}: {error}") from None

    def _target(self, kind: Any, *, converts: bool) -> Any:
        """Our event type for the source's: `skip`, or the same if the mapping translates none."""
        types = self._mapping.event_types
        if not isinstance(kind, str) or not types:
            return SKIP if converts else kind
        target = types.get(kind) or (SKIP if converts else types.get(ANY_TYPE))
        if target is None:
            shown = kind if kind.isidentifier() else "that type"
            raise RowError("unmapped_event_type", f"event_type: the mapping does not say what {shown} is")
        return target


def _typed(target: Any) -> dict[str, Any]:
    return {} if target is None else {"event_type": target}

"""The import itself: every row to an event, a skip or a rejection; nothing stops the others."""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from producer.importing.rejection import Rejection, RowError, shown
from producer.importing.translate import Row, Translator
from producer.pace import Pacer
from producer.sinks import Sink


@dataclass
class Summary:
    """What became of the rows.

    Attributes:
        sent: Events that went through.
        skipped: The source's event type -> rows that the mapping skips.
        rejected: Code -> rows that are no events.
        converted: Lead id -> its first conversion, in ms since 1970.
    """

    sent: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    rejected: Counter[str] = field(default_factory=Counter)
    converted: dict[str, int] = field(default_factory=dict)

    def outcomes(self) -> list[tuple[str, int]]:
        """The conversions by time: what training reads."""
        return sorted(self.converted.items(), key=lambda item: (item[1], item[0]))


def import_events(
    rows: Iterable[Row | Rejection],
    translator: Translator,
    sink: Sink,
    pacer: Pacer,
    on_rejection: Callable[[Rejection], None],
    summary: Summary,
) -> None:
    """Sends the events of all rows.

    Args:
        rows: The file's.
        translator: Makes events of them.
        sink: Takes the events.
        pacer: Says when.
        on_rejection: Called for each row that does not go through.
        summary: Counted up as the import goes on.

    Raises:
        DeliveryError: Events were not delivered; the import stops there.
    """
    for row in rows:
        rejection = row if isinstance(row, Rejection) else _import(row, translator, sink, pacer, summary)
        if rejection is not None:
            summary.rejected[rejection.code] += 1
            on_rejection(rejection)
    sink.finish()


def _import(row: Row, translator: Translator, sink: Sink, pacer: Pacer, summary: Summary) -> Rejection | None:
    try:
        event, kind, outcome = translator.translate(row)
    except RowError as error:
        return Rejection(row.line, error.code, str(error))
    if outcome is not None:
        lead_id, at = outcome
        summary.converted[lead_id] = min(at, summary.converted.get(lead_id, at))
    if event is None:
        summary.skipped[shown(kind)] += 1
        return None
    pacer.hold(event["occurred_at"])
    sink.write(event)
    summary.sent += 1
    return None

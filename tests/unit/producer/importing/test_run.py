import io
from typing import Any

from producer.importing import Mapping, Rejection, Summary, Translator, import_events
from producer.importing.lines import lines
from producer.importing.rows import CsvRows
from producer.pace import Pacer, Unpaced
from producer.sinks import FileSink
from schemas.ndjson import parse_event
from tests.unit.producer.fakes import FakeClock

MAPPING = Mapping.model_validate(
    {
        "columns": {"lead_id": "l", "event_type": "t", "occurred_at": "o"},
        "event_types": {"view": "PAGE_VISIT", "noise": "skip"},
        "times": {"format": "epoch_ms"},
        "outcomes": {"event_types": ["buy"]},
    }
)


def run(text: bytes) -> tuple[list[dict[str, Any]], list[Rejection], Summary]:
    clock, out, rejections, summary = FakeClock(), io.StringIO(), list[Rejection](), Summary()
    sink = FileSink(out, clock)
    rows = CsvRows(lines(io.BytesIO(text)), ",")
    translator = Translator(MAPPING, "file", text=True)
    import_events(rows, translator, sink, Pacer(Unpaced(), clock, sink.wait), rejections.append, summary)
    return [parse_event(line) for line in out.getvalue().splitlines()], rejections, summary


def test_good_rows_go_through_around_bad_ones() -> None:
    """Each bad row is reported once, by line and reason."""
    events, rejections, summary = run(b"l,t,o\n1,view,5\n2,view\n3,view,x\n4,view,6\n")
    assert [event["lead_id"] for event in events] == ["1", "4"]
    assert [(rejection.line, rejection.code) for rejection in rejections] == [(3, "field_count"), (4, "bad_time")]
    assert (summary.sent, summary.rejected.total()) == (2, 2)


def test_what_is_skipped_is_counted_by_type() -> None:
    """Outcomes among them."""
    _, _, summary = run(b"l,t,o\n1,noise,5\n1,buy,6\n2,noise,7\n")
    assert summary.skipped == {"noise": 2, "buy": 1}


def test_a_leads_first_conversion_counts() -> None:
    """The earliest, whatever the order of the rows; all by time."""
    _, _, summary = run(b"l,t,o\n1,buy,9\n2,buy,7\n1,buy,5\n")
    assert summary.outcomes() == [("1", 5), ("2", 7)]

"""Rows, labels and leakage in an event history."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.ndjson import EventError
from scoring.features import DAY_MS
from scoring.fold import Memory
from tests.unit.training.data import T0, event, lines
from training.dataset import Dataset
from training.errors import DataRefusedError
from training.findings import Findings
from training.history import label, read_history
from training.replay import Line, Replay, read_events

NOW = T0 + 10_000 * DAY_MS
MEMORY = Memory(dedup_window=32, retention_ms=365 * DAY_MS)


def read(
    events: list[dict[str, Any]],
    converted: dict[str, float],
    *,
    horizon: float = 7,
    as_of: int | None = None,
    findings: Findings | None = None,
) -> tuple[Dataset, Replay]:
    return read_history(
        lines(events),
        {lead: T0 + int(day * DAY_MS) for lead, day in converted.items()},
        findings if findings is not None else Findings(),
        files=[],
        horizon_days=horizon,
        as_of_ms=as_of,
        now_ms=NOW,
        memory=MEMORY,
    )


def row_labels(dataset: Dataset, replay: Replay) -> list[int]:
    """The label of each event, -1 for one that is no row; each (lead, time) of the test must be there once."""
    assert dataset.known_at_ms is not None
    keys = zip(dataset.known_at_ms.tolist(), dataset.leads.tolist(), strict=True)
    rows = dict(zip(keys, dataset.labels.tolist(), strict=True))
    return [rows.get(key, -1) for key in zip(replay.known_at_ms, replay.leads, strict=True)]


def test_a_conversion_within_the_horizon_makes_the_row_positive_and_one_beyond_does_not() -> None:
    """With a horizon of 7 days a conversion on day 10 labels the event of day 3, not that of day 2."""
    events = [event("a", 1, day=2), event("a", 2, day=3), event("b", 1, day=30)]
    dataset, replay = read(events, {"a": 10})
    assert row_labels(dataset, replay) == [0, 1, -1]


def test_rows_at_and_after_the_conversion_are_left_out() -> None:
    """After a conversion there is nothing left to predict, and its traces would leak into the features."""
    events = [event("a", 1, day=1), event("a", 2, day=4), event("a", 3, day=5), event("b", 1, day=30)]
    findings = Findings()
    dataset, replay = read(events, {"a": 4}, findings=findings)
    assert row_labels(dataset, replay) == [1, -1, -1, -1]
    assert findings.left_out["rows after the lead's conversion"] == 2


def test_a_row_whose_horizon_reaches_past_the_end_is_left_out_even_if_its_lead_converted() -> None:
    """To keep only the converted ones of the last days would teach that recent leads convert."""
    events = [event("a", 1, day=23), event("a", 2, day=24), event("b", 1, day=30)]
    dataset, replay = read(events, {"a": 25})
    assert row_labels(dataset, replay) == [1, -1, -1]


def test_the_end_of_the_data_can_be_given() -> None:
    """Outcomes known for longer than events make the last events rows; what comes after that moment is not read."""
    events = [event("a", 1, day=1), event("a", 2, day=9)]
    dataset, replay = read(events, {}, as_of=T0 + 16 * DAY_MS)
    assert row_labels(dataset, replay) == [0, 0]
    findings = Findings()
    dataset, _ = read(events, {}, as_of=T0 + 8 * DAY_MS, findings=findings)
    assert len(dataset) == 1
    assert findings.left_out["events after --as-of"] == 1


def test_horizons_may_be_fractions_of_a_day() -> None:
    """An hour is 1/24: a conversion after 59 minutes counts, one after 61 does not."""
    events = [event("a", 1), event("b", 1), event("c", 1, day=2)]
    dataset, replay = read(events, {"a": 59 / 1440, "b": 61 / 1440}, horizon=1 / 24)
    assert row_labels(dataset, replay) == [1, 0, -1]


def test_a_late_event_is_known_no_earlier_than_what_came_before_it() -> None:
    """Its features hold what the lead did on day 6; labelled as of day 2 the conversion on day 5 would leak."""
    events = [event("a", 1, day=6), event("a", 2, day=2), event("b", 1, day=40)]
    dataset, replay = read(events, {"a": 5})
    assert replay.known_at_ms[:2] == [T0 + 6 * DAY_MS] * 2
    assert row_labels(dataset, replay) == [-1, -1, -1]


def test_duplicates_and_rejected_lines_are_no_rows_and_are_counted() -> None:
    """What the service would drop or dead-letter changes neither state nor rows."""
    first = event("a", 1, day=1)
    future = event("a", 2, occurred_at=NOW + DAY_MS)
    negative = event("a", 3, "PROFILE_UPDATE", day=1, created_at=T0 + 2 * DAY_MS)
    findings = Findings()
    stream: list[tuple[int, Any]] = [*lines([first, first, future, negative, event("b", 1, day=30)])]
    stream.append((6, EventError("not_json", "not JSON")))
    dataset, replay = read_history(
        stream, {}, findings, files=[], horizon_days=7, as_of_ms=None, now_ms=NOW, memory=MEMORY
    )
    assert replay.event_ids == ["a-1", "b-1"]
    assert len(dataset) == 1
    assert dict(findings.rejected) == {"occurred_in_future": 1, "negative_account_age": 1, "not_json": 1}
    assert findings.negative_ages == 1
    assert findings.left_out["duplicates"] == 1


def test_features_know_nothing_of_later_events() -> None:
    """A row's features are the same whether or not the history goes on after it."""
    events = [event("a", n, day=n / 2) for n in range(20)] + [event("b", 1, day=60)]
    whole, _ = read(events, {"a": 30})
    part, _ = read([*events[:5], events[-1]], {"a": 30})
    np.testing.assert_array_equal(whole.features[:5], part.features[:5])


def test_the_state_of_a_lead_is_forgotten_after_the_retention_as_in_the_service() -> None:
    """A lead silent for the retention time counts as new."""
    events = [event("a", 1, day=0), event("a", 2, day=400), event("b", 1, day=500)]
    dataset, _ = read(events, {})
    assert dataset.features[:2, 0].tolist() == [0.5, 0.5]


@given(
    st.lists(st.tuples(st.integers(0, 50), st.integers(0, 60)), min_size=1, max_size=30),
    st.integers(1, 20),
    st.integers(0, 60),
)
def test_labels_agree_with_their_definition(rows: list[tuple[int, int]], horizon: int, end: int) -> None:
    """Row by row: kept if before the conversion and its horizon has passed; positive if converted within it."""
    known, converted = np.array(rows, dtype=np.int64).T
    kept, labels = label(known, converted, horizon, end, Findings())
    for at, conversion, keep, positive in zip(known, converted, kept, labels, strict=True):
        assert keep == (at < conversion and at + horizon <= end)
        assert positive == (at < conversion <= at + horizon)


def test_completeness_is_counted_over_the_leads_that_are_learnt_from() -> None:
    """A lead without a row does not count."""
    update = {"email": "a@example.com", "company_headcount": 5, "created_at": T0}
    events = [event("a", 1, "PROFILE_UPDATE", day=1, **update), event("b", 1, day=1), event("c", 1, day=30)]
    findings = Findings()
    read(events, {}, findings=findings)
    assert {name: (c.missing, c.total) for name, c in findings.columns.items()} == {
        "email": (1, 2),
        "company_headcount": (1, 2),
        "created_at": (1, 2),
    }


@pytest.mark.parametrize("text", [b"{}\n", b"not json\n\n"])
def test_lines_that_are_no_events_come_with_their_number(tmp_path: Path, text: bytes) -> None:
    """They are counted and the rest is read."""
    (tmp_path / "events.ndjson").write_bytes(text)
    ((line, error),) = read_events(tmp_path / "events.ndjson")
    assert line == 1
    assert isinstance(error, EventError)


def test_a_history_from_a_pipe_is_refused_before_it_is_read() -> None:
    """It could not be hashed afterwards, and may be long."""

    def history() -> Iterator[Line]:
        yield from lines([])
        pytest.fail("was read")

    with pytest.raises(DataRefusedError, match="must be a regular file"):
        read_history(
            history(),
            {},
            Findings(),
            files=[Path(os.devnull)],
            horizon_days=7,
            as_of_ms=None,
            now_ms=NOW,
            memory=MEMORY,
        )

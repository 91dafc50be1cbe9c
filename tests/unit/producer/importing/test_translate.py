import json
from typing import Any

import pytest

from producer.importing import Mapping, Translator
from producer.importing.rejection import RowError
from producer.importing.translate import Row, Translated

SHOP = Mapping.model_validate(
    {
        "columns": {"lead_id": "user", "event_type": "what", "occurred_at": "when", "company_headcount": "size"},
        "constants": {"source": "shop"},
        "prefixes": {"lead_id": "shop-"},
        "event_types": {"view": "PAGE_VISIT", "gone": "skip"},
        "times": {"format": "epoch_s"},
        "outcomes": {"event_types": ["bought"]},
    }
)
ROW = {"user": "42", "what": "view", "when": "7", "size": "", "colour": "red"}
EVENT = {"event_id": "e", "lead_id": "42", "event_type": "OTHER", "occurred_at": 7, "source": "s"}


def shop(line: int = 2, **cells: Any) -> Translated:
    row = {**ROW, **cells}
    return Translator(SHOP, "file", text=True).translate(Row(line, json.dumps(row).encode(), row))


def plain(text: bool, mapping: Mapping | None = None, **cells: Any) -> Translated:
    row = Row(1, b"", {**EVENT, **cells})
    return Translator(mapping or Mapping(), "file", text=text).translate(row)


def refusal(**cells: Any) -> RowError:
    with pytest.raises(RowError) as caught:
        shop(**cells)
    return caught.value


def test_columns_constants_prefixes_types_and_times_make_the_event() -> None:
    """What the mapping does not name is left out."""
    event = shop().event
    assert event is not None
    assert event.pop("event_id")
    assert event == {
        "lead_id": "shop-42",
        "event_type": "PAGE_VISIT",
        "occurred_at": 7000,
        "source": "shop",
        "page_url": None,
        "email": None,
        "company_headcount": None,
        "created_at": None,
    }


def test_a_skipped_type_is_no_event() -> None:
    """And no fault; its name is told, to be counted."""
    assert shop(what="gone") == Translated(None, "gone", None)


def test_a_skipped_row_may_hold_anything_else() -> None:
    """Who skips rows does not care for their other columns."""
    assert shop(what="gone", user="").event is None
    assert shop(what="gone", when="no time", size="x").event is None


def test_a_conversion_is_an_outcome_and_no_event() -> None:
    """Lead, with its prefix, and time."""
    assert shop(what="bought") == Translated(None, "bought", ("shop-42", 7000))


def test_a_conversion_can_be_an_event_too() -> None:
    """If the mapping translates its type."""
    mapping = Mapping.model_validate({"event_types": {"sale": "OTHER"}, "outcomes": {"event_types": ["sale"]}})
    found = plain(False, mapping, event_type="sale")
    assert found.event is not None
    assert found.outcome == ("42", 7)


def test_a_conversion_without_a_lead_is_rejected() -> None:
    """It would be an outcome of nobody."""
    assert refusal(what="bought", user="").code == "missing_field"


def test_a_type_that_the_mapping_does_not_name_is_rejected() -> None:
    """By its name, so that the mapping can be completed."""
    error = refusal(what="stolen")
    assert (error.code, "does not say what stolen is" in str(error)) == ("unmapped_event_type", True)


def test_a_type_that_looks_like_data_is_not_shown() -> None:
    """Columns may be shifted."""
    assert "jo@" not in str(refusal(what="jo@example.com"))


def test_a_star_stands_for_all_other_types() -> None:
    """But not for the outcomes."""
    mapping = Mapping.model_validate({"event_types": {"*": "OTHER"}, "outcomes": {"event_types": ["sale"]}})
    assert plain(False, mapping, event_type="anything").event is not None
    assert plain(False, mapping, event_type="sale").event is None


def test_the_same_row_gets_the_same_id_again() -> None:
    """To import a file twice does no harm: the scorer knows the ids."""
    assert shop().event == shop().event


def test_two_rows_get_two_ids_even_if_they_are_equal() -> None:
    """Two looks at one page in one second are two events."""
    first, second = shop(line=2).event, shop(line=3).event
    assert first is not None
    assert second is not None
    assert first["event_id"] != second["event_id"]


@pytest.mark.parametrize(
    ("cells", "code"),
    [
        ({"user": ""}, "missing_field"),
        ({"when": "soon"}, "bad_time"),
        ({"size": "big"}, "wrong_type"),
        ({"size": "-1"}, "negative_headcount"),
        ({"user": "x" * 300}, "oversized"),
    ],
)
def test_a_row_that_the_scorer_would_refuse_is_rejected(cells: dict[str, Any], code: str) -> None:
    """Here and now, with its line, instead of as a dead letter later."""
    assert refusal(**cells).code == code


def test_in_json_an_event_is_judged_as_it_is() -> None:
    """Without a mapping nothing is converted: what training refuses is refused here too."""
    with pytest.raises(RowError, match="company_headcount: is a string"):
        plain(False, company_headcount="120")
    with pytest.raises(RowError, match="lead_id: is empty"):
        plain(False, lead_id="")


def test_in_csv_without_a_mapping_cells_are_read() -> None:
    """The same fields as text; an empty cell is no value."""
    event = plain(True, company_headcount="120", email="", occurred_at="1970-01-01T00:00:01Z").event
    assert event is not None
    assert (event["company_headcount"], event["email"], event["occurred_at"]) == (120, None, 1000)

from collections.abc import Iterator
from pathlib import Path

import pytest

from producer.importing import Format, Mapping, Rejection, open_source
from producer.importing.lines import Line
from producer.importing.source import _sniffed
from runtime.errors import ConfigurationError

MAPPED = Mapping.model_validate({"columns": {"lead_id": "l", "event_type": "t", "occurred_at": "o"}})


def file(tmp_path: Path, name: str, text: str) -> Path:
    path = tmp_path / name
    path.write_text(text)
    return path


def found(path: Path) -> Format:
    """The format; only of CSV are columns refused before the first row."""
    try:
        with open_source(path, MAPPED) as source:
            return source.format
    except ConfigurationError:
        return Format.CSV


@pytest.mark.parametrize(
    ("name", "text", "form"),
    [
        ("a.csv", "l,t,o\n", Format.CSV),
        ("a.tsv", "l\tt\to\n", Format.CSV),
        ("a.ndjson", "", Format.NDJSON),
        ("a.jsonl", "", Format.NDJSON),
        ("a", ' {"l": 1}\n', Format.NDJSON),
        ("a.log", "l,t,o\n", Format.CSV),
        ("a.log", '"o",x\n{\n', Format.CSV),
        ("a.log", "user_id\n7\n", Format.CSV),
        ("a.log", 'not JSON\n\n{"l": 1}\n', Format.NDJSON),
        ("a.log", "", Format.NDJSON),
    ],
)
def test_the_format_is_found_out(tmp_path: Path, name: str, text: str, form: Format) -> None:
    """By the suffix, else by a header's columns or by a brace in one of the first lines; a .tsv has tabs."""
    assert found(file(tmp_path, name, text)) is form


def test_the_format_can_be_told(tmp_path: Path) -> None:
    """Whatever the file is called."""
    with open_source(file(tmp_path, "a.json", "l,t,o\n"), MAPPED, Format.CSV) as source:
        assert source.format is Format.CSV


def test_a_column_that_is_not_there_is_named(tmp_path: Path) -> None:
    """With those that are: a wrong mapping is found before the first row."""
    with pytest.raises(ConfigurationError, match="not there: o, t; there are l, x"):  # noqa: SIM117
        with open_source(file(tmp_path, "a.csv", "l,x\n"), MAPPED):
            pass


def test_csv_of_other_columns_needs_a_mapping(tmp_path: Path) -> None:
    """The fields of LeadEvent are known, others are not."""
    with pytest.raises(ConfigurationError, match=r"user_id.*--mapping"):  # noqa: SIM117
        with open_source(file(tmp_path, "a.csv", "user_id,event_type\n"), Mapping()):
            pass


@pytest.mark.parametrize("mapping", [Mapping(), MAPPED])
def test_an_address_where_a_header_should_be_is_not_shown(tmp_path: Path, mapping: Mapping) -> None:
    """A file without a header begins with a lead's row."""
    with pytest.raises(ConfigurationError, match=r"42, \(not shown\)") as caught:  # noqa: SIM117
        with open_source(file(tmp_path, "a.csv", "42,jo@example.com\n"), mapping):
            pass
    assert "jo@" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """With the reason."""
    with pytest.raises(ConfigurationError, match=r"none\.csv cannot be read: No such file"):  # noqa: SIM117
        with open_source(tmp_path / "none.csv", MAPPED):
            pass


def test_a_bad_first_row_of_json_is_a_rejection_like_any_other(tmp_path: Path) -> None:
    """Nothing that was read to find out the format is lost, and lines keep their numbers."""
    with open_source(file(tmp_path, "a", 'not JSON\n[1]\n{"l": 1}\n{"l": 2}\n'), MAPPED) as source:
        rows = list(source.rows)
    assert [(row.line, isinstance(row, Rejection)) for row in rows] == [(1, True), (2, True), (3, False), (4, False)]


def test_a_header_is_enough() -> None:
    """Where a header says that it is CSV, no row has to come before the reading begins."""
    read: list[int] = []

    def arriving() -> Iterator[Line]:
        for number, raw in enumerate((b"l,t,o", b"1,2,3"), start=1):
            read.append(number)
            yield Line(number, raw, 0)

    assert _sniffed(arriving(), MAPPED)[0] is Format.CSV
    assert read == [1]

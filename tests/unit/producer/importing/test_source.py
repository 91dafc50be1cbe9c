from pathlib import Path

import pytest

from producer.importing import Format, Mapping, open_source
from runtime.errors import ConfigurationError

MAPPED = Mapping.model_validate({"columns": {"lead_id": "l", "event_type": "t", "occurred_at": "o"}})


def file(tmp_path: Path, name: str, text: str) -> Path:
    path = tmp_path / name
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("name", "text", "form"),
    [
        ("a.csv", "l,t,o\n", Format.CSV),
        ("a.tsv", "l\tt\to\n", Format.CSV),
        ("a.ndjson", "", Format.NDJSON),
        ("a.jsonl", "", Format.NDJSON),
        ("a", ' {"l": 1}\n', Format.NDJSON),
        ("a.log", "l,t,o\n", Format.CSV),
    ],
)
def test_the_format_is_found_out(tmp_path: Path, name: str, text: str, form: Format) -> None:
    """By the suffix, else by the first character; a .tsv has tabs."""
    with open_source(file(tmp_path, name, text), MAPPED) as source:
        assert source.format is form


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


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """With the reason."""
    with pytest.raises(ConfigurationError, match=r"none\.csv cannot be read: No such file"):  # noqa: SIM117
        with open_source(tmp_path / "none.csv", MAPPED):
            pass

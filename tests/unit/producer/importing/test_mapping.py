from pathlib import Path

import pytest

from producer.importing import Mapping, load_mapping
from runtime.errors import ConfigurationError

EXAMPLE = Path(__file__).parents[4] / "examples" / "rees46-mapping.toml"


def faults(tmp_path: Path, text: str) -> str:
    path = tmp_path / "mapping.toml"
    path.write_text(text)
    with pytest.raises(ConfigurationError) as caught:
        load_mapping(path)
    return str(caught.value)


def test_the_example_is_a_mapping() -> None:
    """What the documentation shows can be used."""
    assert load_mapping(EXAMPLE).event_types["cart"] == "DEMO_REQUEST"


def test_all_faults_are_reported_at_once(tmp_path: Path) -> None:
    """With the key that each is at."""
    text = faults(
        tmp_path, 'colour = "red"\n[columns]\nnose = "n"\n[event_types]\nview = "LOOK"\n[times]\nformat = "%Y"\n'
    )
    for part in ("colour: ", "columns.nose", "event_types.view", "times: a pattern without %z needs a zone"):
        assert part in text


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ('[columns]\nlead_id = "u"', "event_type is neither a column nor a constant"),
        (
            '[columns]\nlead_id = "u"\nevent_type = "t"\noccurred_at = "o"\n[constants]\nlead_id = "x"',
            "lead_id is both a column and a constant",
        ),
        ('[constants]\nevent_type = "LOOK"', "constants.event_type"),
        ("[constants]\ncompany_headcount = -1", "constants.company_headcount"),
        ('[times]\nformat = "iso"', "format must be rfc3339"),
        ('[times]\nzone = "Mars/Base"', "zone must be a name"),
        ('[times]\nformat = "%Q"\nzone = "UTC"', "format is %Q, which is no pattern of strptime"),
        ('[times]\nformat = "%Y %Y"\nzone = "UTC"', "format is %Y %Y, which is no pattern of strptime"),
        ("[outcomes]\nevent_types = []", "outcomes.event_types"),
        ('[prefixes]\nemail = "x"', "takes no prefix"),
        ("columns", "is not TOML"),
    ],
)
def test_what_cannot_be_meant_is_refused(tmp_path: Path, text: str, fault: str) -> None:
    """Before the first row is read."""
    assert fault in faults(tmp_path, text)


@pytest.mark.parametrize("pattern", ["%d.%m. %H:%M", "%Y-%m-%dT%H:%M:%S.%f%z", "%b %d %I:%M:%S %p %Y", "%G-W%V-%u"])
def test_what_strptime_takes_is_a_pattern(tmp_path: Path, pattern: str) -> None:
    """With parts of a date missing, with names, by weeks."""
    (tmp_path / "mapping.toml").write_text(f'[times]\nformat = "{pattern}"\nzone = "UTC"\n')
    assert load_mapping(tmp_path / "mapping.toml").times.format == pattern


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """With the reason."""
    with pytest.raises(ConfigurationError, match="cannot be read: No such file"):
        load_mapping(tmp_path / "none.toml")


def test_a_byte_order_mark_is_no_part_of_a_file(tmp_path: Path) -> None:
    """Editors on Windows write it."""
    (path := tmp_path / "mapping.toml").write_bytes(b"\xef\xbb\xbf" + EXAMPLE.read_bytes())
    assert load_mapping(path) == load_mapping(EXAMPLE)


def test_brackets_without_end_are_no_toml(tmp_path: Path) -> None:
    """The parser gives up by another error."""
    assert "is not TOML" in faults(tmp_path, "a = " + "[" * 9999)


def test_the_empty_mapping_takes_every_column() -> None:
    """Columns named as the fields are need no mapping."""
    assert not Mapping().chooses_columns

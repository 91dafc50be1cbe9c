"""Names of a snapshot's columns from options and a file."""

from pathlib import Path

import pytest

from runtime.errors import ConfigurationError
from tests.unit.training.data import snapshot_rows
from training.mapping import Mapping, resolve

EXAMPLES = Path(__file__).parents[3] / "examples"


def test_options_stand_over_the_file(tmp_path: Path) -> None:
    """What is given by hand counts; exemptions add up."""
    path = tmp_path / "m.toml"
    path.write_text('exempt = ["email"]\n[columns]\nemail_opens = "A"\npage_visits = "B"\n')
    assert resolve(path, ["email_opens=C"], ["created_at"]) == Mapping(
        {"email_opens": "C", "page_visits": "B"}, frozenset({"email", "created_at"})
    )


def test_all_faults_are_said_at_once(tmp_path: Path) -> None:
    """Of the file and of the options."""
    path = tmp_path / "m.toml"
    path.write_text('exempt = "email"\nsurplus = 1\n[columns]\nnope = "A"\npage_visits = 3\n')
    with pytest.raises(ConfigurationError) as caught:
        resolve(path, ["email_opens"], ["converted"])
    assert len(caught.value.faults) == 6


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"columns = 3", "must be a table"),
        (b"= x", "not TOML"),
        (b"\xff", "not TOML"),
        (None, "cannot be read"),
        (b"a = " + b"[" * 9999, "not TOML"),
    ],
)
def test_a_file_that_cannot_be_used_is_named(tmp_path: Path, content: bytes | None, reason: str) -> None:
    """With what is wrong."""
    path = tmp_path / "m.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigurationError, match=reason) as caught:
        resolve(path, [], [])
    assert "m.toml" in str(caught.value)


def test_a_byte_order_mark_is_no_part_of_a_file(tmp_path: Path) -> None:
    """Editors on Windows write it."""
    (path := tmp_path / "m.toml").write_bytes(b'\xef\xbb\xbfexempt = ["email_opens"]')
    assert resolve(path, [], []).exempt == {"email_opens"}


def test_the_example_is_a_mapping() -> None:
    """Four columns of the online shoppers, four exempted."""
    found = resolve(EXAMPLES / "online-shoppers-columns.toml", [], [])
    assert set(found.columns) | found.exempt == set(snapshot_rows(1)[0])

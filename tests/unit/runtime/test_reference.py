"""The documentation says what the program does."""

from pathlib import Path

import pytest

from runtime import reference

DOCS = Path(__file__).parents[3] / "docs"


@pytest.mark.parametrize("page", reference.PAGES, ids=str)
def test_the_tables_are_current(page: Path) -> None:
    """The tables are those that the model gives; `python -m runtime.reference` writes them anew."""
    text = (DOCS / page).read_text(encoding="utf-8")
    assert text == reference.current(text)


def test_every_table_is_shown_somewhere() -> None:
    """Nothing that can be documented is left out of the pages."""
    pages = "".join((DOCS / page).read_text(encoding="utf-8") for page in reference.PAGES)
    assert [name for name in reference._TABLES if f"<!-- table: {name} -->" not in pages] == []


def test_a_page_is_written_anew(tmp_path: Path) -> None:
    """What stands between the markers is replaced, the rest is kept."""
    for page in reference.PAGES:
        (tmp_path / page).write_text("before\n<!-- table: edges -->\nold\n<!-- end -->\nafter\n")
    reference.main(tmp_path)
    written = (tmp_path / "metrics.md").read_text()
    assert "old" not in written
    assert written.startswith("before\n<!-- table: edges -->\n\n| histogram | edges |")
    assert written.endswith("<!-- end -->\nafter\n")

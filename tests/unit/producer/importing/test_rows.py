import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producer.importing.lines import LINE_BYTES_MAX, lines
from producer.importing.rejection import Rejection
from producer.importing.rows import CsvRows, json_rows
from producer.importing.translate import Row
from runtime.errors import ConfigurationError

Outcome = tuple[int, object]


def csv_of(text: bytes, delimiter: str = ",") -> list[Outcome]:
    """Line and cells of each row, or line and code of its rejection."""
    rows = CsvRows(lines(io.BytesIO(text)), delimiter)
    return [(row.line, row.code if isinstance(row, Rejection) else list(row.cells.values())) for row in rows]


def json_of(text: bytes) -> list[Outcome]:
    return [
        (row.line, row.code if isinstance(row, Rejection) else row.cells) for row in json_rows(lines(io.BytesIO(text)))
    ]


def test_rows_have_the_number_of_their_line() -> None:
    """The header is line 1; empty lines count and give nothing."""
    assert csv_of(b"a,b\n1,2\n\n3,4\n") == [(2, ["1", "2"]), (4, ["3", "4"])]


def test_windows_line_ends_and_byte_order_mark_are_no_data() -> None:
    """As spreadsheets write their files."""
    rows = CsvRows(lines(io.BytesIO(b"\xef\xbb\xbfa,b\r\n1,2\r\n")), ",")
    assert rows.header == ["a", "b"]
    assert [row.cells for row in rows if isinstance(row, Row)] == [{"a": "1", "b": "2"}]


def test_a_row_without_its_last_cells_is_rejected() -> None:
    """A row that was cut: the message says how many fields there are, and the next row goes through."""
    assert csv_of(b"a,b\n1\n3,4\n") == [(2, "field_count"), (3, ["3", "4"])]


def test_a_cell_may_hold_line_ends() -> None:
    """The row has the number of its first line, the next one counts on."""
    assert csv_of(b'a,b\n"x\ny",2\n3,4\n') == [(2, ["x\ny", "2"]), (4, ["3", "4"])]


def test_a_quote_that_is_never_closed_costs_one_row() -> None:
    """And not the rest of the file."""
    assert csv_of(b'a,b\n"1,2\n3,4\n5,6\n') == [(2, "not_csv"), (3, ["3", "4"]), (4, ["5", "6"])]


def test_a_stray_quote_that_meets_another_costs_its_row() -> None:
    """The lines between are read again as rows of their own."""
    assert csv_of(b'a,b\n"1,2\n3,4\n5,"6"\n') == [(2, "not_csv"), (3, ["3", "4"]), (4, ["5", "6"])]


def test_a_quote_far_away_is_not_looked_for() -> None:
    """A bounded search: a file with a stray quote in every row is read in bounded time and memory."""
    text = b"a,b\n" + b'"1,2\n' + b"3,4\n" * 500 + b'5,"6"\n'
    assert csv_of(text)[0] == (2, "not_csv")
    assert len(csv_of(text)) == 502


def test_bytes_that_are_not_utf_8_cost_one_row() -> None:
    """Also in CSV."""
    assert csv_of(b"a,b\n\xff,2\n3,4\n") == [(2, "not_utf8"), (3, ["3", "4"])]


def test_another_delimiter() -> None:
    """Semicolons, as in half of Europe."""
    assert csv_of(b"a;b\n1,5;2\n", ";") == [(2, ["1,5", "2"])]


@pytest.mark.parametrize(
    "text",
    [b"", b"\n1,2\n", b'"a\n', b"a,,b\n", b"\xff\n", b"a,b\r1,2\r", b'"a"x,b\n', b"a," + b"b" * 131_073],
    ids=lambda text: text[:9],
)
def test_a_file_without_a_header_is_refused(text: bytes) -> None:
    """Without names no column can be told."""
    with pytest.raises(ConfigurationError, match="header"):
        csv_of(text)


def test_a_column_twice_is_refused() -> None:
    """One of them would be lost without a word."""
    with pytest.raises(ConfigurationError, match="columns twice: a"):
        csv_of(b"a,b,a\n")


def test_a_line_too_long_costs_one_row() -> None:
    """However long it is, it is not held in memory, and the next one goes through."""
    long = b"x" * (LINE_BYTES_MAX * 2)
    assert csv_of(b"a,b\n" + long + b"\n3,4\n") == [(2, "too_long"), (3, ["3", "4"])]
    assert json_of(long + b"\n{}\n" + long) == [(1, "too_long"), (2, {}), (3, "too_long")]


def test_a_line_of_just_the_limit_is_read() -> None:
    """With its line end beyond the limit."""
    assert [len(line.raw or b"") for line in lines(io.BytesIO(b"x" * LINE_BYTES_MAX + b"\r\n"))] == [LINE_BYTES_MAX]


def test_lines_tell_how_far_the_file_is_read() -> None:
    """In bytes, those passed over included: the progress reaches the file's size."""
    text = b"a\r\n\n" + b"x" * (LINE_BYTES_MAX * 3) + b"\nlast"
    assert [line.end for line in lines(io.BytesIO(text))][-1] == len(text)


@pytest.mark.parametrize(
    ("line", "code"),
    [(b"{", "not_json"), (b"[]", "not_an_object"), (b'"\xff"', "not_utf8"), (b"[" * 100_000, "not_json")],
)
def test_a_line_that_is_no_object_costs_one_row(line: bytes, code: str) -> None:
    """With its reason; empty lines are nothing."""
    assert json_of(line + b'\n \n{"a": 1}\n') == [(1, code), (3, {"a": 1})]


@given(st.binary(max_size=200))
def test_any_bytes_are_rows_or_rejections(tail: bytes) -> None:
    """Whatever stands in a file, reading comes to its end, and each line is in at most one row."""
    found = [line for line, _ in csv_of(b"a,b\n" + tail)]
    assert found == sorted(set(found))
    json_of(tail)

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from cli.produce import REJECTIONS_SHOWN, app
from runtime.errors import ConfigurationError
from schemas.ndjson import parse_event

HEADER = "lead_id,event_type,occurred_at\n"
ROW = "42,PAGE_VISIT,2025-01-01T00:00:00Z\n"


def produce(*arguments: object, stdin: str = "") -> Result:
    """Runs the command; an error that ends it is raised, as the command's root would see it."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], input=stdin)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def test_the_same_arguments_give_the_same_bytes(tmp_path: Path) -> None:
    """Events and outcomes; the rate is not one of them."""
    files = [[tmp_path / f"{run}.ndjson", tmp_path / f"{run}.csv"] for run in "ab"]
    shares = ("--duplicates", 0.02, "--malformed", 0.02, "--late", 0.05)
    for (events, outcomes), rate in zip(files, ((), ("--rate", 1e6)), strict=True):
        produce("simulate", "--events", 2000, *shares, *rate, "--to", events, "--outcomes", outcomes)
    first, second = ([path.read_bytes() for path in pair] for pair in files)
    assert first == second


def test_another_seed_gives_other_events(tmp_path: Path) -> None:
    """And the events of two seeds are of different leads."""
    texts = []
    for seed in (1, 2):
        produce("simulate", "--events", 10, "--seed", seed, "--to", tmp_path / "out")
        texts.append((tmp_path / "out").read_text())
    leads = [{parse_event(line)["lead_id"] for line in text.splitlines()} for text in texts]
    assert leads[0].isdisjoint(leads[1])


def test_a_summary_closes_the_simulation(tmp_path: Path) -> None:
    """One line on standard error, with the number of records of each sort."""
    result = produce("simulate", "--events", 1000, "--malformed", 0.1, "--to", tmp_path / "out")
    assert result.stderr.startswith(f"1,000 records to {tmp_path / 'out'} in ")
    assert "900 events (0 late), 0 duplicates, 100 malformed;" in result.stderr


def test_standard_output_has_nothing_but_events() -> None:
    """So that it can be piped on."""
    result = produce("simulate", "--events", 5, "--to", "-")
    assert [parse_event(line)["source"] for line in result.stdout.splitlines()] == ["crm"] * 5


def test_a_day_is_a_start() -> None:
    """Beginning in UTC."""
    result = produce("simulate", "--events", 1, "--start", "2024-02-29", "--days", 0.01, "--to", "-")
    assert '"occurred_at":"2024-02-29T00:' in result.stdout


def test_a_time_line_into_the_future_is_warned_of() -> None:
    """The scorer's gate would refuse those events."""
    result = produce("simulate", "--events", 1, "--start", "2890-01-01", "--to", "-")
    assert result.stderr.startswith("warning: the time line ends at 2890-04-01T00:00:00.000Z")


@pytest.mark.parametrize(
    "arguments",
    [
        ("simulate", "--leads", 0),
        ("simulate", "--start", "tomorrow"),
        ("simulate", "--rate", 0),
        ("simulate", "--to", "/nowhere/out"),
        ("simulate", "--to", "-", "--outcomes", "/nowhere/out"),
        ("file", "/nowhere/in.csv"),
        ("file", "-", "--format", "xml"),
        ("file", "-", "--rate", 1, "--speedup", 1),
        ("file", "-", "--outcomes", "out.csv"),
        ("simulate", "--to", "same", "--outcomes", "./same"),
        ("file", "-", "--mapping", "/nowhere/mapping.toml"),
    ],
)
def test_wrong_usage_is_a_configuration_error(arguments: tuple[object, ...]) -> None:
    """Exit code 2, before anything is written."""
    with pytest.raises(ConfigurationError):
        produce(*arguments)


def test_the_rows_of_standard_input_go_through() -> None:
    """With ids, and with the source that the row does not name."""
    result = produce("file", "-", "--to", "-", stdin=HEADER + ROW)
    event = parse_event(result.stdout)
    assert (event["lead_id"], event["source"], len(event["event_id"])) == ("42", "stdin", 32)
    assert result.exit_code == 0


def test_a_rejected_row_is_reported_and_the_exit_code_is_1(tmp_path: Path) -> None:
    """By its line number; the others are written."""
    path = tmp_path / "in.csv"
    path.write_text(HEADER + ROW + "42,PAGE_VISIT\n" + ROW)
    result = produce("file", path, "--to", "-")
    assert result.exit_code == 1
    assert len(result.stdout.splitlines()) == 2
    assert "line 3: has 2 fields, the header has 3\n" in result.stderr
    assert "1 rejected (field_count 1)" in result.stderr


def test_every_rejected_row_is_reported_where_the_output_is_kept() -> None:
    """Standard error is no terminal: whoever mends the file finds each line."""
    result = produce("file", "-", "--to", "-", stdin=HEADER + "x\n" * 500)
    assert [line.split(":")[0] for line in result.stderr.splitlines()[:500]] == [f"line {n}" for n in range(2, 502)]
    assert "500 rejected" in result.stderr


def test_many_rejected_rows_are_counted_and_not_all_shown_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of another kind does not flood the terminal."""
    monkeypatch.setattr("cli.progress.ProgressBar.seen", True)
    result = produce("file", "-", "--to", "-", stdin=HEADER + "x\n" * 500)
    assert result.stderr.count("has 1 fields") == REJECTIONS_SHOWN
    assert "500 rejected" in result.stderr


def test_what_simulate_writes_file_reads() -> None:
    """The same events, unchanged."""
    written = produce("simulate", "--events", 300, "--to", "-").stdout
    assert produce("file", "-", "--to", "-", stdin=written).stdout == written


def test_a_path_that_cannot_be_looked_at_is_a_configuration_error() -> None:
    """As any other file that cannot be read."""
    with pytest.raises(ConfigurationError, match="cannot be read: File name too long"):
        produce("file", "x" * 300, "--to", "-")


@pytest.fixture
def sales(tmp_path: Path) -> Path:
    """A mapping that knows which rows are conversions."""
    path = tmp_path / "mapping.toml"
    path.write_text('[outcomes]\nevent_types = ["SALE"]\n[event_types]\nPAGE_VISIT = "PAGE_VISIT"\nSALE = "skip"\n')
    return path


def test_conversions_of_a_file_are_written(tmp_path: Path, sales: Path) -> None:
    """Beside its events."""
    sale = ROW.replace("PAGE_VISIT", "SALE")
    outcomes = tmp_path / "outcomes.csv"
    result = produce("file", "-", "--mapping", sales, "--to", "-", "--outcomes", outcomes, stdin=HEADER + ROW + sale)
    assert outcomes.read_text() == "lead_id,converted_at\n42,2025-01-01T00:00:00.000Z\n"
    assert len(result.stdout.splitlines()) == 1


def test_conversions_that_cannot_be_written_are_told_before_an_event_is_sent(tmp_path: Path, sales: Path) -> None:
    """An import takes hours, and would have to be made again."""
    events = tmp_path / "events.ndjson"
    arguments = ("--mapping", sales, "--to", events, "--outcomes", "/nowhere/out")
    with pytest.raises(ConfigurationError, match="/nowhere/out cannot be written: No such file"):
        produce("file", "-", *arguments, stdin=HEADER + ROW)
    assert not events.exists()

"""`train`: usage, refusals, and a whole run on simulated history."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from cli import train as module
from cli.main import app
from runtime.errors import ConfigurationError, FatalError
from tests.unit.training.data import snapshot_rows, write_csv
from training.errors import DataRefusedError

FAST = ["--trees", "10", "--out", "models"]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No configuration of the developer's is read."""
    monkeypatch.chdir(tmp_path)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, [*arguments])


def refusal(*arguments: str) -> FatalError:
    error = run("train", *arguments).exception
    assert isinstance(error, FatalError)
    return error


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ([], "either --events with --outcomes, or --snapshot"),
        (["--events", "e", "--snapshot", "s"], "either --events with --outcomes, or --snapshot"),
        (["--events", "e"], "--events needs --outcomes"),
        (["--snapshot", "s", "--outcomes", "o"], "a snapshot has its column converted"),
        (["--events", "e", "--outcomes", "o", "--column", "a=b"], "--column and --mapping are for --snapshot"),
        (["--events", "e", "--outcomes", "o", "--horizon", "0"], "allowed: above 0"),
        (["--snapshot", "s", "--trees", "500", "--depth", "6"], "may have 32000 leaves; the service takes 8192"),
        (["--snapshot", "s", "--as-of", "then"], "--as-of is not an ISO 8601 time"),
    ],
)
def test_usage_that_cannot_be_is_refused_in_words(arguments: list[str], reason: str) -> None:
    """Exit code 2."""
    error = refusal(*arguments)
    assert reason in str(error)
    assert error.exit_code == 2


def test_data_that_fail_a_gate_are_refused_and_nothing_is_written() -> None:
    """Exit code 1, with what and how much."""
    rows = [{**row, "email": ""} for row in snapshot_rows()]
    error = refusal("--snapshot", str(write_csv(Path("s.csv"), rows)), "--out", "models")
    assert isinstance(error, DataRefusedError)
    assert error.exit_code == 1
    assert "email: 300 of 300 missing" in str(error)
    assert not Path("models").exists()


def test_without_the_extra_training_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The service runs without these libraries."""
    monkeypatch.setattr(module, "find_spec", lambda name: None if name == "skl2onnx" else object())
    error = refusal("--snapshot", "s.csv")
    assert isinstance(error, ConfigurationError)
    assert "needs skl2onnx" in str(error)
    assert "pip install '.[training]'" in str(error)


def test_a_snapshot_becomes_the_champion() -> None:
    """Report on the screen, bundle in the directory, pointer on it."""
    path = write_csv(Path("s.csv"), snapshot_rows(400))
    result = run("train", "--snapshot", str(path), *FAST, "--promote")
    assert result.exit_code == 0, result.exception
    assert "Contact everybody at or above a score" in result.stdout
    version = Path("models/champion").read_text().strip()
    assert {found.name for found in Path("models", version).iterdir()} == {
        "manifest.json",
        "model.onnx",
        "report.html",
        "report.json",
    }


def test_a_simulated_history_gives_a_model_that_beats_the_rules() -> None:
    """On leads it has not seen, although the history has duplicates, late and malformed events."""
    simulated = ["--leads", "600", "--events", "6000", "--seed", "5", "--to", "e.ndjson", "--outcomes", "o.csv"]
    faults = ["--duplicates", "0.02", "--late", "0.05", "--malformed", "0.01"]
    assert run("produce", "simulate", *simulated, *faults).exit_code == 0
    result = run("train", "--events", "e.ndjson", "--outcomes", "o.csv", *FAST)
    assert result.exit_code == 0, result.exception
    (report,) = Path("models").glob("*/report.json")
    figures = json.loads(report.read_text())
    assert figures["gain"]["roc_auc"]["mean"] > 0.1
    assert figures["data"]["horizon_days"] == 14
    assert figures["data"]["left_out"]["duplicates"] == 120
    assert sum(figures["data"]["rejected"].values()) == 60

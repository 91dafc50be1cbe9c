"""`models`: list, show, diff, promote, rollback, history."""

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from cli.main import app
from tests.unit.training.small import Small
from training.errors import BundleRefusedError


@pytest.fixture(autouse=True)
def models(small: Small, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model directory with the versions a and b."""
    monkeypatch.chdir(tmp_path)
    for name in ("a", "b"):
        shutil.copytree(small.path, tmp_path / "models" / name)
        path = tmp_path / "models" / name / "manifest.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), "version": name}))


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["models", *arguments])


def test_promote_and_rollback_move_the_pointer_and_the_history_tells() -> None:
    """The commands of contract 1."""
    assert run("promote", "a").stdout == "champion: none -> a\n"
    assert run("promote", "b").stdout == "champion: a -> b\n"
    assert run("rollback").stdout == "champion: b -> a\n"
    assert run("promote", "none").stdout == "champion: a -> none\n"
    assert Path("models/champion").read_text() == "none\n"
    assert [word for word in ("promote", "rollback") if word in run("history").stdout] == ["promote", "rollback"]


def test_a_refused_promotion_is_exit_code_1_with_the_reason() -> None:
    """Nothing moves."""
    error = run("promote", "c").exception
    assert isinstance(error, BundleRefusedError)
    assert error.exit_code == 1
    assert "no such bundle" in str(error)
    assert not Path("models/champion").exists()


def test_the_list_marks_the_champion() -> None:
    """Both versions, one line each."""
    run("promote", "a")
    lines = run("list").stdout.splitlines()
    assert [("champion" in line) for line in lines if "events: test" in line] == [False, True]


def test_a_pointer_to_nothing_is_told() -> None:
    """The service goes on with what it has loaded."""
    Path("models/champion").write_text("gone")
    result = run("list")
    assert result.exit_code == 0
    assert "champion names gone, which is not there" in result.stderr


def test_show_prints_the_main_figures(small: Small) -> None:
    """Those of the manifest."""
    shown = run("show", "a").stdout
    assert f"{small.report.held_out.roc_auc.mean:.3f}" in shown
    assert f"{small.report.rules.roc_auc.mean:.3f}" in shown
    assert small.dataset.source.fingerprint in shown
    assert "0.80" in shown


def test_diff_shows_what_differs() -> None:
    """Right minus left, and whether the data are the same."""
    path = Path("models/b/manifest.json")
    manifest = json.loads(path.read_text())
    manifest["training"]["rows"] += 300
    manifest["training"]["fingerprint"] = "f" * 64
    path.write_text(json.dumps(manifest))
    shown = run("diff", "a", "b").stdout
    assert "+300" in shown
    assert "trained on different data" in shown
    assert "trained on the same data" in run("diff", "a", "a").stdout


def test_another_directory_can_be_named() -> None:
    """Beside that of the configuration."""
    shutil.copytree("models", "others")
    run("promote", "a", "--directory", "others")
    assert Path("others/champion").exists()
    assert not Path("models/champion").exists()

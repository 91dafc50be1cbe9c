"""What the demo does before there is a broker, and without the extra for training."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from cli.demo import model, session
from cli.demo.ending import Ending
from cli.main import app
from runtime.clock import SystemClock
from runtime.config import Settings
from runtime.errors import ConfigurationError


def test_without_the_extra_the_rules_score(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The demo goes on, and says what to install."""
    monkeypatch.setattr(model, "find_spec", lambda name: None if name == "sklearn" else object())
    console = Console(file=io.StringIO(), width=200)
    with console.capture() as capture:
        trained, without = session._model(Settings(), tmp_path, 1, session.Steps(console, SystemClock(), Ending()))
    assert trained is None
    assert without == "sklearn not installed (pip install '.[training]')"
    assert "none, the rules score: sklearn not installed" in capture.get()


def test_with_the_extra_nothing_is_missing() -> None:
    """The names are those of packages that there are."""
    assert model.missing_libraries() == []


@pytest.mark.parametrize("rate", ["0", "-1", "inf", "nan"])
def test_a_rate_that_is_none_is_refused(rate: str) -> None:
    """Before anything is started."""
    result = CliRunner().invoke(app, ["demo", "--rate", rate])
    assert isinstance(result.exception, ConfigurationError)
    assert f"--rate is {float(rate)}" in str(result.exception)


@pytest.mark.parametrize("option", [("--events", "0"), ("--seed", "-1"), ("--events", "many")])
def test_what_is_no_number_of_events_is_refused(option: tuple[str, str]) -> None:
    """A fault of usage."""
    assert CliRunner().invoke(app, ["demo", *option]).exit_code == 2

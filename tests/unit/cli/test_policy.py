"""`lead-scorer policy check`: shows what a policy does, refuses one with faults."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.policy import app
from runtime.errors import ConfigurationError

runner = CliRunner()


def table_rows(output: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.strip("│").split("│")] for line in output.splitlines() if "│" in line]


def test_the_bands_are_a_table() -> None:
    """Each band is a row: decision, where it begins and ends, and what the rules make of it."""
    result = runner.invoke(app, ["check", "default"])
    assert result.exit_code == 0
    assert table_rows(result.output) == [
        ["disqualify", "0", "0.3", "as it is"],
        ["nurture", "0.3", "0.7", "as it is"],
        ["contact_now", "0.7", "1, inclusive", "becomes nurture"],
    ]


def test_the_version_is_shown() -> None:
    """The version is that of the decisions that the policy makes."""
    from scoring.policy import Policy

    assert Policy.load("three_way").version in runner.invoke(app, ["check", "three_way"]).output


def test_the_rest_is_told() -> None:
    """Confidence, publication and review stand below the table."""
    output = runner.invoke(app, ["check", "default"]).output
    assert "HIGH from 0.7 and below 0.3, LOW from 0.45 to below 0.5" in output
    assert "again after 7 days, always on DEMO_REQUEST" in output
    assert "manual_review instead" in output


def test_a_policy_without_review_and_cap(tmp_path: Path) -> None:
    """What a policy does not have is not spoken of."""
    path = tmp_path / "short.toml"
    path.write_text('name = "short"\nalways_publish = []\nbands = [{ decision = "call" }]\n')
    output = runner.invoke(app, ["check", str(path)]).output
    assert "review" not in output
    assert "becomes" not in output
    assert "always on no event type" in output


def test_all_faults_at_once(tmp_path: Path) -> None:
    """A bad policy is a configuration error with every fault: exit code 2."""
    path = tmp_path / "bad.toml"
    path.write_text('name = "bad"\nbands = [{ decision = "A", below = 2.0 }, { decision = "b" }]\ncolour = 1\n')
    result = runner.invoke(app, ["check", str(path)])
    assert isinstance(result.exception, ConfigurationError)
    assert result.exception.exit_code == 2
    assert [fault.split(" = ")[0] for fault in result.exception.faults] == [
        "bands[0].decision",
        "bands[0].below",
        "colour",
    ]
    assert str(path) in str(result.exception)


@pytest.mark.parametrize("arguments", [["--help"], ["check", "--help"]])
def test_help_has_an_example(arguments: list[str]) -> None:
    """The group's and the command's help say what they do, with an example."""
    result = runner.invoke(app, arguments)
    assert result.exit_code == 0
    assert "Example: lead-scorer policy check" in result.output

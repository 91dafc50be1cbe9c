"""The command line: help everywhere, and errors that end in one clear line and their exit code."""

import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from cli import main as cli_main
from cli.context import Invocation
from cli.main import app
from runtime import logging
from runtime.errors import (
    ConfigurationError,
    DeadLetterLimitError,
    FatalError,
    FencedError,
    KafkaUnavailableError,
    StateError,
)

WIDE = {"COLUMNS": "200", "NO_COLOR": "1"}


def commands(group: typer.core.TyperGroup, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """All commands and groups, as what is typed after `lead-scorer`."""
    yield path
    for name, command in group.commands.items():
        if isinstance(command, typer.core.TyperGroup):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name)


def _root() -> typer.core.TyperGroup:
    root = typer.main.get_command(app)
    assert isinstance(root, typer.core.TyperGroup)
    return root


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No configuration of the developer's is read."""
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("path", list(commands(_root())), ids=" ".join)
def test_every_help_says_what_it_does_with_an_example(path: tuple[str, ...]) -> None:
    """Contract 1: `--help` of everything has a sentence and an example that can be typed."""
    result = CliRunner().invoke(app, [*path, "--help"], env=WIDE)
    assert result.exit_code == 0
    assert "Example: " in result.output
    example = result.output.partition("Example: ")[2].splitlines()[0]
    assert "lead-scorer" in example
    assert all(word in example.split() for word in path)


def test_help_of_run_says_that_each_process_needs_its_own_id() -> None:
    """Contract 1.1 wants it said there."""
    result = CliRunner().invoke(app, ["run", "--help"], env=WIDE)
    assert "Each process needs its own kafka.instance_id" in result.output


def test_no_arguments_show_the_help() -> None:
    """Who types the name alone learns what there is."""
    result = CliRunner().invoke(app, [], env=WIDE)
    assert "Usage: lead-scorer" in result.output


def test_the_version_is_told() -> None:
    """--version stands before the subcommand and needs none."""
    result = CliRunner().invoke(app, ["--version"])
    assert (result.exit_code, result.output) == (0, f"lead-scorer {version('lead-scorer')}\n")


def test_an_unknown_command_is_a_usage_error() -> None:
    """Exit code 2, as for every fault of usage."""
    assert CliRunner().invoke(app, ["scroe"]).exit_code == 2


def test_help_imports_nothing_heavy() -> None:
    """The model's runtime, training and the Kafka client are imported by the commands that need them."""
    heavy = "{'onnxruntime', 'sklearn', 'confluent_kafka', 'numpy', 'pydantic', 'prometheus_client', 'fastavro'}"
    code = f"import sys, cli.main; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=cli_root())
    assert done.stdout == "[]\n"


def cli_root() -> Path:
    return Path(__file__).parents[3]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (FatalError, 1),
        (ConfigurationError, 2),
        (KafkaUnavailableError, 3),
        (DeadLetterLimitError, 4),
        (StateError, 5),
        (FencedError, 6),
    ],
)
def test_a_fatal_error_ends_with_its_exit_code(
    error: type[FatalError], code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Contract 11: the code, and the message as the last line on standard error; no traceback."""

    def fails(**_: object) -> None:
        raise error("what happened. What to do.")

    monkeypatch.setattr(cli_main, "app", fails)
    with pytest.raises(SystemExit) as ended:
        cli_main.main()
    assert ended.value.code == code
    assert capsys.readouterr().err == "lead-scorer: what happened. What to do.\n"


def test_a_service_says_its_last_word_in_the_log(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where logs are read by machines, the last line is one of them."""

    def fails(obj: Invocation) -> None:
        logging.configure(format="json")
        obj.logs = True
        raise StateError("the changelog is gone")

    monkeypatch.setattr(cli_main, "app", fails)
    with pytest.raises(SystemExit):
        cli_main.main()
    assert '"event": "ended"' in (err := capsys.readouterr().err)
    assert '"reason": "the changelog is gone"' in err


def test_an_unexpected_error_is_logged_with_exit_code_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A bug leaves a traceback in the log."""

    def fails(**_: object) -> None:
        logging.configure(format="json")
        raise ZeroDivisionError

    monkeypatch.setattr(cli_main, "app", fails)
    with pytest.raises(SystemExit) as ended:
        cli_main.main()
    assert ended.value.code == 1
    assert "ZeroDivisionError" in capsys.readouterr().err


def test_a_wrong_configuration_ends_every_command_with_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The faults are told, one a line."""
    Path("lead-scorer.toml").write_text("[http]\nport = 0.5\nprot = 1\n")
    monkeypatch.setattr(sys, "argv", ["lead-scorer", "topics", "create"])
    with pytest.raises(SystemExit) as ended:
        cli_main.main()
    assert ended.value.code == 2
    assert len(capsys.readouterr().err.splitlines()) == 3

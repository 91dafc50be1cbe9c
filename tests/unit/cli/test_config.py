"""`config check` and `config show`."""

import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.main import app
from runtime.config import load
from runtime.errors import ConfigurationError


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No configuration of the developer's is read."""
    monkeypatch.chdir(tmp_path)


def test_a_right_configuration_is_told_so() -> None:
    """Exit code 0, and which policy will route."""
    result = CliRunner().invoke(app, ["config", "check"])
    assert result.exit_code == 0
    assert "The configuration is valid; the policy is default@" in result.output


def test_the_policy_and_the_client_are_judged_too() -> None:
    """A missing policy file, properties that clients do not know, a number out of range: all faults at once."""
    environ = {
        "LEAD_SCORER__POLICY__PATH": "none.toml",
        "LEAD_SCORER__KAFKA__CLIENT": "{nope=1}",
        "LEAD_SCORER__HTTP__PORT": "99999",
        "LEAD_SCORER__SCHEMA_REGISTRY__URL": "http://registry:8081",
        "LEAD_SCORER__SCHEMA_REGISTRY__CLIENT": "{nope=2}",
    }
    error = CliRunner().invoke(app, ["config", "check"], env=environ).exception
    assert isinstance(error, ConfigurationError)
    assert [fault.partition(":")[0] for fault in error.faults] == [
        "http.port = 99999 (LEAD_SCORER__HTTP__PORT)",
        "kafka.client.nope = 1",
        "schema_registry.client",
        "policy.path = none.toml",
    ]


def test_a_registry_without_properties_is_judged_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its client takes certificates from the environment."""
    monkeypatch.setenv("SSL_CERT_FILE", "nowhere.pem")
    environ = {"LEAD_SCORER__SCHEMA_REGISTRY__URL": "http://registry:8081"}
    error = CliRunner().invoke(app, ["config", "check"], env=environ).exception
    assert isinstance(error, ConfigurationError)
    assert error.faults == ("schema_registry.client: [Errno 2] No such file or directory",)


@pytest.mark.parametrize(
    ("key", "value", "fault"),
    [
        ("DECISIONS", "lead.actions.nurture", "topics: lead.actions.nurture: two topics would have this name"),
        (
            "EVENTS",
            "e" * 249,
            f"topics: {'e' * 249}.dead-letter: is no legal topic name (1 to 249 of A-Z a-z 0-9 . _ -)",
        ),
        ("DECISIONS", "lead.events", 'topics.events = "lead.events": must all differ'),
    ],
)
def test_topics_that_cannot_be_are_told_before_anything_starts(key: str, value: str, fault: str) -> None:
    """The names that follow from prefix, policy and other names are judged with the rest."""
    error = CliRunner().invoke(app, ["config", "check"], env={f"LEAD_SCORER__TOPICS__{key}": value}).exception
    assert isinstance(error, ConfigurationError)
    assert error.faults == (fault,)


def test_the_file_of_the_option_is_taken() -> None:
    """--config stands before the subcommand."""
    Path("own.toml").write_text("[http]\nport = 1234\n")
    result = CliRunner().invoke(app, ["--config", "own.toml", "config", "show"])
    assert tomllib.loads(result.stdout)["http"]["port"] == 1234


def test_the_effective_configuration_can_be_used_as_one() -> None:
    """The output is the configuration itself, and the fingerprints stand in comments."""
    environ = {"LEAD_SCORER__BUDGET__P95_MS": "100", "LEAD_SCORER__KAFKA__INSTANCE_ID": "007"}
    result = CliRunner().invoke(app, ["config", "show"], env=environ)
    Path("lead-scorer.toml").write_text(result.stdout)
    settings = load(None, {})
    assert (settings.budget.p95_ms, settings.kafka.instance_id) == (100, "007")


def test_the_fingerprints_of_the_schemas_are_shown() -> None:
    """The three record types, each with sixteen hex digits."""
    shown = CliRunner().invoke(app, ["config", "show"]).stdout.partition("fingerprints")[2]
    lines = [line.removeprefix("# ").partition(" = ") for line in shown.splitlines()[1:]]
    assert {name for name, _, _ in lines} == {"lead_event", "decision", "lead_profile"}
    assert all(len(bytes.fromhex(fingerprint)) == 8 for _, _, fingerprint in lines)


def test_secrets_are_redacted() -> None:
    """A password is shown as stars."""
    environ = {"LEAD_SCORER__KAFKA__CLIENT": '{"sasl.password"="hunter2"}'}
    shown = CliRunner().invoke(app, ["config", "show"], env=environ).stdout
    assert 'client = {"sasl.password" = "***"}' in shown
    assert "hunter2" not in shown

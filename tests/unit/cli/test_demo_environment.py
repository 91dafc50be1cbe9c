"""The demo's configuration: the user's, with names of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli.demo.environment import config_file, environment, given_address, new_name
from cli.demo.plan import make_plan
from runtime.config import Settings, load


def loaded(environ: dict[str, str], *, own_broker: bool, config: Path | None = None) -> Settings:
    settings = load(config, environ)
    made = environment(
        environ,
        settings,
        make_plan(3000),
        name="demo-1",
        bootstrap_servers="kafka:9092",
        own_broker=own_broker,
        models=Path("/models"),
    )
    return load(config, made)


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No configuration of the developer's is read."""
    monkeypatch.chdir(tmp_path)


def test_everything_on_kafka_has_the_runs_own_name() -> None:
    """A second demo on the same broker, or the user's own scorer, does not meet it."""
    settings = loaded(
        {"LEAD_SCORER__TOPICS__DEAD_LETTERS": "mine", "LEAD_SCORER__KAFKA__GROUP_ID": "mine"}, own_broker=True
    )
    topics = settings.topics
    names = [settings.kafka.group_id, topics.events, topics.decisions, topics.profiles, topics.dead_letters]
    assert all(name.startswith("demo-1") for name in [*names, topics.action("nurture")])
    assert new_name() != new_name()


def test_the_users_configuration_counts() -> None:
    """What is not the demo's affair stays: a budget, a policy."""
    settings = loaded({"LEAD_SCORER__BUDGET__P95_MS": "80", "LEAD_SCORER__POLICY__NAME": "three_way"}, own_broker=True)
    assert (settings.budget.p95_ms, settings.policy.name) == (80, "three_way")


def test_the_way_in_belongs_to_a_given_broker_only() -> None:
    """TLS of the user's own cluster does not fit a broker that the demo starts, nor does his registry."""
    environ = {
        "LEAD_SCORER__KAFKA__CLIENT": '{"security.protocol"="ssl"}',
        "LEAD_SCORER__SCHEMA_REGISTRY__URL": "http://registry",
    }
    own, given = loaded(environ, own_broker=True), loaded(environ, own_broker=False)
    assert (own.kafka.client, own.schema_registry.url) == ({}, "")
    assert (given.kafka.client, given.schema_registry.url) == ({"security.protocol": "ssl"}, "http://registry")


def test_the_way_in_of_a_file_belongs_to_a_given_broker_too() -> None:
    """The configuration file is read by the demo's processes; what it says about the client does not fit either."""
    Path("lead-scorer.toml").write_text('[kafka.client]\n"security.protocol" = "ssl"\n')
    assert loaded({}, own_broker=True).kafka.client == {}
    assert loaded({}, own_broker=False).kafka.client == {"security.protocol": "ssl"}


def test_a_policy_file_is_found_from_another_folder(tmp_path: Path) -> None:
    """The service works elsewhere."""
    settings = loaded({"LEAD_SCORER__POLICY__PATH": "own.toml"}, own_broker=True)
    assert settings.policy.path == tmp_path / "own.toml"


def test_the_configuration_file_is_found_from_another_folder(tmp_path: Path) -> None:
    """The one that was given, else the one that every command reads."""
    assert config_file(None) is None
    Path("lead-scorer.toml").touch()
    assert config_file(None) == tmp_path / "lead-scorer.toml"
    assert config_file(Path("other.toml")) == tmp_path / "other.toml"


@pytest.mark.parametrize(
    ("option", "environ", "address"),
    [
        (None, {}, None),
        (None, {"LEAD_SCORER_BROKER": "docker"}, None),
        (None, {"LEAD_SCORER_BROKER": "kafka:1", "KAFKA_BOOTSTRAP_SERVERS": "kafka:2"}, "kafka:1"),
        ("kafka:3", {"KAFKA_BOOTSTRAP_SERVERS": "kafka:2"}, "kafka:3"),
    ],
)
def test_a_broker_that_is_given_is_used(option: str | None, environ: dict[str, str], address: str | None) -> None:
    """The option before the environment, and the ladder where there is neither."""
    assert given_address(option, environ) == address

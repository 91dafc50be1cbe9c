"""The configuration: where values come from, and that every fault is told at once."""

import re
import socket
import tomllib
from pathlib import Path

import pytest

from runtime.config import Settings, load
from runtime.config_sources import environment_value
from runtime.config_toml import to_toml
from runtime.errors import ConfigurationError


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No ./lead-scorer.toml of the developer's is read."""
    monkeypatch.chdir(tmp_path)


def faults(text: str = "", **environ: str) -> tuple[str, ...]:
    """The faults of a file with that text under an environment."""
    path = Path("given.toml")
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigurationError) as raised:
        load(path, environ)
    return raised.value.faults


def test_without_file_and_environment_the_defaults_hold() -> None:
    """Nothing given, everything at its default."""
    assert load(None, {"PATH": "/bin", "LEAD_SCORER_BROKER": "local"}) == Settings()


def test_the_instance_is_named_after_the_host() -> None:
    """`kafka.instance_id` is the host name, and part of the transactional id."""
    settings = Settings()
    assert settings.kafka.instance_id == socket.gethostname()
    assert settings.transactional_id == f"lead-scorer-{socket.gethostname()}"


def test_the_file_in_the_working_directory_is_read() -> None:
    """Without --config ./lead-scorer.toml counts, if it exists."""
    Path("lead-scorer.toml").write_text("[http]\nport = 1234\n")
    assert load(None, {}).http.port == 1234


def test_a_given_file_takes_the_place_of_the_one_in_the_working_directory() -> None:
    """--config PATH: the other file is not read at all."""
    Path("lead-scorer.toml").write_text("[http]\nport = 1234\n")
    Path("other.toml").write_text("[budget]\np95_ms = 100\n")
    settings = load(Path("other.toml"), {})
    assert (settings.http.port, settings.budget.p95_ms) == (9464, 100)


def test_the_environment_stands_over_the_file() -> None:
    """A variable overrides the key of the file, and no other."""
    Path("lead-scorer.toml").write_text("[http]\nhost = '::'\nport = 1\n")
    settings = load(None, {"LEAD_SCORER__HTTP__PORT": "2"})
    assert (settings.http.host, settings.http.port) == ("::", 2)


def test_client_properties_are_overridden_one_by_one() -> None:
    """The environment's table is laid over the file's: a secret can come from the one and TLS from the other."""
    Path("lead-scorer.toml").write_text('[kafka.client]\n"linger.ms" = 5\n"session.timeout.ms" = 10000\n')
    settings = load(None, {"LEAD_SCORER__KAFKA__CLIENT": '{"session.timeout.ms"=6000}'})
    assert settings.kafka.client == {"linger.ms": 5, "session.timeout.ms": 6000}


def test_an_empty_table_takes_away_what_lies_below() -> None:
    """There is a way to say that there are no properties; a table that adds nothing would have no other use."""
    Path("lead-scorer.toml").write_text('[kafka.client]\n"linger.ms" = 5\n')
    assert load(None, {"LEAD_SCORER__KAFKA__CLIENT": "{}"}).kafka.client == {}


def test_unquoted_client_properties_are_understood() -> None:
    """To TOML `session.timeout.ms = 6000` is three tables; what is meant is one property."""
    Path("lead-scorer.toml").write_text("[kafka.client]\nsession.timeout.ms = 6000\nsession.x = true\n")
    assert load(None, {}).kafka.client == {"session.timeout.ms": 6000, "session.x": True}


@pytest.mark.parametrize("value", ["9" * 5000, "[" * 5000])
def test_toml_beyond_what_is_read_is_a_fault(value: str) -> None:
    """A number of thousands of digits, brackets nested as deep: told like any other fault, from either source."""
    assert len(faults(f"[http]\nport = {value}\n")) == 1
    assert len(faults(LEAD_SCORER__HTTP__PORT=value)) == 1


def test_a_byte_order_mark_is_no_fault() -> None:
    """Editors on Windows begin a file with one."""
    Path("lead-scorer.toml").write_text("[http]\nport = 1234\n", encoding="utf-8-sig")
    assert load(None, {}).http.port == 1234


@pytest.mark.parametrize("text", ["007", "true", "1.5", "2025-01-01", "a b", '[1, 2]"', "localhost:9092", ""])
def test_a_text_key_keeps_the_text(text: str) -> None:
    """For a key that holds text a variable means what it says, also where it looks like something else."""
    assert environment_value(text, str) == text


def test_a_quoted_text_loses_its_quotes() -> None:
    """A TOML string is TOML."""
    assert environment_value('"007"', str) == "007"


def test_a_variable_cannot_smuggle_in_another_key() -> None:
    """A value with a line break is no second assignment."""
    assert environment_value("1\nother = 2", int) == "1\nother = 2"


def test_numbers_of_an_instance_id_stay_text() -> None:
    """An instance called 007 keeps its zeros."""
    assert load(None, {"LEAD_SCORER__KAFKA__INSTANCE_ID": "007"}).kafka.instance_id == "007"


def test_the_slow_call_follows_the_deadline() -> None:
    """`breaker.slow_ms` is the deadline unless it is given."""
    assert load(None, {"LEAD_SCORER__BUDGET__INFERENCE_MS": "20"}).breaker.slow_ms == 20
    assert load(None, {"LEAD_SCORER__BREAKER__SLOW_MS": "30"}).breaker.slow_ms == 30


@pytest.mark.parametrize("value", ["0", "-5", "700000", "true"])
def test_a_deadline_that_is_not_allowed_is_one_fault(value: str) -> None:
    """The slow call, which follows it, is not told as a fault of its own: nobody gave it."""
    (fault,) = faults(LEAD_SCORER__BUDGET__INFERENCE_MS=value)
    assert fault.startswith(f"budget.inference_ms = {value} ")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"WINDOW": "4"}, {"window": 4, "min_calls": 4}),
        ({"MIN_CALLS": "40"}, {"window": 40, "min_calls": 40}),
        ({"MAX_OPEN_S": "2"}, {"open_s": 2, "max_open_s": 2}),
        ({"OPEN_S": "200"}, {"open_s": 200, "max_open_s": 200}),
        ({"WINDOW": "30", "MAX_OPEN_S": "60"}, {"window": 30, "min_calls": 5, "open_s": 5, "max_open_s": 60}),
    ],
)
def test_a_default_makes_way_for_what_is_given(given: dict[str, str], expected: dict[str, float]) -> None:
    """One key of the breaker is changed without looking up the default of another."""
    breaker = load(None, {f"LEAD_SCORER__BREAKER__{key}": value for key, value in given.items()}).breaker
    assert expected.items() <= breaker.model_dump().items()


def test_the_dead_letters_follow_the_events() -> None:
    """The default name of the dead letters is made of that of the events."""
    assert load(None, {"LEAD_SCORER__TOPICS__EVENTS": "crm"}).topics.dead_letters == "crm.dead-letter"


def test_an_action_topic_is_named_after_its_decision() -> None:
    """`_` is written `-` (contract 2)."""
    assert Settings().topics.action("manual_review") == "lead.actions.manual-review"


def test_all_faults_are_told_at_once() -> None:
    """File and environment, unknown sections and keys, types, ranges and rules between keys: one list."""
    found = faults(
        "surprise = 1\n[kafka]\ngrup_id = 'x'\n[budget]\np95_ms = -1\n[breaker]\nmin_calls = 50\nwindow = 20\n",
        LEAD_SCORER__HTTP__PORT="http",
        LEAD_SCORER__NOSUCH__KEY="1",
        LEAD_SCORER__HTTP="x",
    )
    told = {fault.partition(" ")[0] for fault in found}
    assert told == {
        "surprise",
        "kafka.grup_id",
        "budget.p95_ms",
        "breaker.min_calls",
        "http.port",
        "nosuch",
        "LEAD_SCORER__HTTP",
    }


def test_a_fault_has_key_value_origin_and_what_is_allowed() -> None:
    """Enough to mend it without looking anything up."""
    assert faults(LEAD_SCORER__HTTP__PORT="99999") == (
        "http.port = 99999 (LEAD_SCORER__HTTP__PORT): must be a whole number from 0 to 65535",
    )
    assert faults("[policy]\nname = 'best'\n") == (
        'policy.name = "best" (given.toml): must be one of `default`, `three_way`',
    )


def test_an_unknown_key_gets_a_suggestion() -> None:
    """A typing error is told with what was probably meant."""
    (fault,) = faults("[kafka]\ngrup_id = 'x'\n")
    assert "unknown, perhaps group_id is meant; the keys of kafka are bootstrap_servers" in fault


def test_an_unknown_section_is_told_with_where_it_came_from() -> None:
    """The variable's name: it is the only place where a typing error in it can be found."""
    with pytest.raises(ConfigurationError) as caught:
        load(None, {"LEAD_SCORER__KAFAK__GROUP_ID": "x"})
    assert 'kafak = {"group_id": "x"} (LEAD_SCORER__KAFAK__GROUP_ID): unknown' in str(caught.value)


def test_further_faults_come_with_the_others() -> None:
    """What only others can judge is told at once with the rest, and what they are given is right."""
    with pytest.raises(ConfigurationError) as caught:
        load(None, {"LEAD_SCORER__HTTP__PORT": "-1"}, lambda settings: [f"the port is {settings.http.port}"])
    assert caught.value.faults[1:] == ("the port is 9464",)


def test_nothing_is_converted_silently() -> None:
    """A text is no number, a number no text, 1 not true."""
    found = faults("[http]\nport = '80'\nhost = 5\n[drills]\nenabled = 1\n[state]\ndedup_window = 1.5\n")
    assert len(found) == 4


@pytest.mark.parametrize("value", ["nan", "inf", "-inf"])
def test_a_number_is_finite(value: str) -> None:
    """TOML knows nan and inf; no key takes them."""
    assert faults(f"[budget]\np95_ms = {value}\n")


def test_toml_that_cannot_be_read_is_told_with_its_line() -> None:
    """A syntax error names file and line, and the environment is judged all the same."""
    found = faults("[http]\nport = \n", LEAD_SCORER__BUDGET__MAX_BATCH="0")
    assert re.match(r"given\.toml: cannot be read as TOML: .*line 2", found[0])
    assert found[1].startswith("budget.max_batch = 0")


def test_a_file_that_is_not_utf8_is_told_with_its_line() -> None:
    """Bytes that are no text name the line they are in."""
    Path("latin.toml").write_bytes(b"[http]\nhost = '\xe4'\n")
    with pytest.raises(ConfigurationError, match=r"UTF-8 \(at line 2\)"):
        load(Path("latin.toml"), {})


def test_a_given_file_must_exist() -> None:
    """A wrong path to --config is a fault, not the defaults."""
    with pytest.raises(ConfigurationError, match=r"nowhere\.toml: cannot be read: No such file"):
        load(Path("nowhere.toml"), {})


def test_a_section_is_a_table() -> None:
    """`kafka = 3` is told as such."""
    assert faults("kafka = 3\n") == ("kafka = 3 (given.toml): must be a table",)


def test_refused_properties_are_told_by_name_with_the_reason() -> None:
    """Each property that the guarantee rests on is refused; the others of the table are no fault."""
    found = faults('[kafka.client]\nacks = 1\n"isolation.level" = "read_uncommitted"\n"linger.ms" = 5\n')
    assert [fault.partition(" (")[0] for fault in found] == [
        "kafka.client.acks = 1",
        'kafka.client.isolation.level = "read_uncommitted"',
    ]
    assert all("cannot be set: " in fault for fault in found)


def test_a_registry_url_has_its_own_key() -> None:
    """`schema_registry.client` cannot say another address."""
    (fault,) = faults("[schema_registry.client]\nurl = 'http://x'\n")
    assert "has its own key, schema_registry.url" in fault


def test_no_fault_shows_a_secret() -> None:
    """Passwords are redacted in faults: of known and unknown keys, in broken tables and in addresses."""
    found = faults(
        "[kafka]\npassword = 'hunter2'\n[kafka.client]\n'sasl.password' = ['hunter2']\n"
        "[schema_registry]\nurl = 'ftp://me:hunter2@registry'\n",
        LEAD_SCORER__SCHEMA_REGISTRY__CLIENT="basic.auth.user.info=me:hunter2",
        LEAD_SCORER__KAFKA_PASSWORD="hunter2",
    )
    assert len(found) == 5
    assert "hunter2" not in "".join(found)


def test_a_printed_configuration_shows_no_secret() -> None:
    """Not even its repr, which ends in tracebacks and test reports."""
    settings = load(None, {"LEAD_SCORER__KAFKA__CLIENT": '{"sasl.password"="hunter2"}'})
    assert "hunter2" not in repr(settings)
    assert '"sasl.password" = "***"' in to_toml(settings)


def test_the_shown_configuration_can_be_loaded_again() -> None:
    """What `config show` prints is a configuration, and the same one."""
    settings = load(
        None,
        {
            "LEAD_SCORER__KAFKA__CLIENT": '{"client.rack"="/a \\"b\\"\\u007f/ä", "linger.ms"=0.5, "check.crcs"=true}',
            "LEAD_SCORER__POLICY__PATH": "own.toml",
        },
    )
    Path("again.toml").write_text(to_toml(settings), encoding="utf-8")
    assert load(Path("again.toml"), {}) == settings


def test_the_shown_configuration_has_every_key() -> None:
    """No key is left out, also where it is empty."""
    shown = tomllib.loads(to_toml(Settings()))
    assert {name: set(section) for name, section in shown.items()} == {
        name: set(type(getattr(Settings(), name)).model_fields) for name in Settings.model_fields
    }


@pytest.mark.parametrize(
    ("given", "key"),
    [
        ("[breaker]\nopen_s = 20\nmax_open_s = 10\n", "breaker.open_s"),
        ("[breaker]\nmin_calls = 4\nwindow = 3\n", "breaker.min_calls"),
        ("[topics]\ndecisions = 'lead.events'\n", "topics.events"),
        ('[kafka.client]\n"session.timeout.ms" = 90000\n', "kafka.client.session.timeout.ms"),
        ('[kafka.client]\n"message.timeout.ms" = 20000\n', "kafka.client.message.timeout.ms"),
        ('[kafka.client]\n"delivery.timeout.ms" = 20000\n', "kafka.client.message.timeout.ms"),
        ("[kafka]\nbootstrap_servers = 'a:1,,b:2'\n", "kafka.bootstrap_servers"),
        ("[kafka]\ninstance_id = 'two words'\n", "kafka.instance_id"),
        ("[topics]\nevents = 'a/b'\n", "topics.events"),
        ("[schema_registry]\nurl = 'registry:8081'\n", "schema_registry.url"),
        ("[schema_registry]\nurl = 'http://a:1,b:2'\n", "schema_registry.url"),
        ("[schema_registry]\nurl = 'http://a:port'\n", "schema_registry.url"),
        ("[schema_registry]\nurl = 'http://[::1'\n", "schema_registry.url"),
        ("[schema_registry]\nurl = 'https://'\n", "schema_registry.url"),
        ("[schema_registry]\nurl = 'http://a b'\n", "schema_registry.url"),
        ("[http]\nhost = 'söhne'\n", "http.host"),
        ("[model]\ndirectory = ''\n", "model.directory"),
        ("[model]\nalias = '../champion'\n", "model.alias"),
    ],
)
def test_what_cannot_work_is_refused(given: str, key: str) -> None:
    """Values that would fail later, or silently, are faults at start."""
    (fault,) = faults(given)
    assert fault.startswith(f"{key} = ")


@pytest.mark.parametrize(
    "url", ["", "http://a", "https://user:word@a:8081/path", "http://a:1, http://[::1]:2", "mock://a"]
)
def test_addresses_of_registries(url: str) -> None:
    """What the registry's client takes as addresses is taken."""
    assert load(None, {"LEAD_SCORER__SCHEMA_REGISTRY__URL": url}).schema_registry.url == url


@pytest.mark.parametrize("servers", ["b:9092", "a:1, b:2", "[::1]:9092", "SASL_SSL://b.example.org:9093", "broker"])
def test_addresses_of_brokers(servers: str) -> None:
    """What librdkafka takes as addresses is taken."""
    assert load(None, {"LEAD_SCORER__KAFKA__BOOTSTRAP_SERVERS": servers}).kafka.bootstrap_servers == servers

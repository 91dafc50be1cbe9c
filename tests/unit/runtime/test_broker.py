"""The ladder to a real broker."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from runtime import broker
from runtime.broker import Broker, BrokerUnavailableError, Rung
from runtime.unavailable import UnavailableError


def names(environ: dict[str, str]) -> list[str]:
    return [name for name, _ in broker.ladder(environ)]


def test_without_a_word_the_local_broker_comes_before_docker() -> None:
    """An empty environment tries the local Kafka, then Docker."""
    assert names({}) == ["local", "docker"]


def test_a_given_address_is_the_only_rung() -> None:
    """With KAFKA_BOOTSTRAP_SERVERS nothing else is tried."""
    assert names({"KAFKA_BOOTSTRAP_SERVERS": "kafka:9092"}) == ["KAFKA_BOOTSTRAP_SERVERS=kafka:9092"]


@pytest.mark.parametrize("choice", ["local", "docker"])
def test_the_choice_goes_over_a_given_address(choice: str) -> None:
    """LEAD_SCORER_BROKER chooses, whatever KAFKA_BOOTSTRAP_SERVERS says."""
    assert names({"LEAD_SCORER_BROKER": choice, "KAFKA_BOOTSTRAP_SERVERS": "kafka:9092"}) == [choice]


def test_the_choice_may_be_an_address() -> None:
    """LEAD_SCORER_BROKER takes an address too."""
    assert names({"LEAD_SCORER_BROKER": "a:1,b:2"}) == ["LEAD_SCORER_BROKER=a:1,b:2"]


@pytest.mark.parametrize("nothing", ["", "  "])
def test_an_empty_variable_is_no_choice(nothing: str) -> None:
    """Empty variables count as not set."""
    assert names({"LEAD_SCORER_BROKER": nothing, "KAFKA_BOOTSTRAP_SERVERS": nothing}) == ["local", "docker"]


def test_the_first_rung_that_bears_is_taken(ladder: Callable[..., list[str]]) -> None:
    """A rung that fails gives way to the next, which is stopped at the end."""
    seen = ladder(local=None, docker=Broker("d:1", "docker"))
    with broker.start_or_find({}) as found:
        assert found.bootstrap_servers == "d:1"
        assert seen == ["local", "docker"]
    assert seen == ["local", "docker", "docker stopped"]


def test_no_rung_after_the_one_that_bears_is_tried(ladder: Callable[..., list[str]]) -> None:
    """With a local broker Docker is not asked."""
    seen = ladder(local=Broker("l:1", "local"), docker=None)
    with broker.start_or_find({}):
        pass
    assert seen == ["local", "local stopped"]


def test_a_chosen_rung_has_no_substitute(ladder: Callable[..., list[str]]) -> None:
    """Who chose local and has none gets an error, not Docker."""
    seen = ladder(local=None, docker=Broker("d:1", "docker"))
    with pytest.raises(BrokerUnavailableError), broker.start_or_find({"LEAD_SCORER_BROKER": "local"}):
        pass
    assert seen == ["local"]


def test_the_error_is_one_line_with_every_reason(ladder: Callable[..., list[str]]) -> None:
    """Without any broker the message says, in one line, what is wrong with each rung."""
    ladder(local=None, docker=None)
    with pytest.raises(BrokerUnavailableError) as caught, broker.start_or_find({}):
        pass
    assert str(caught.value) == "no Kafka broker: local: is not there; docker: is not there"


def test_an_error_of_the_user_is_not_taken_for_a_broken_rung(ladder: Callable[..., list[str]]) -> None:
    """An exception from within the `with` comes out as it is, and the broker is stopped."""
    seen = ladder(local=Broker("l:1", "local"), docker=Broker("d:1", "docker"))
    with pytest.raises(OSError, match="disk full"), broker.start_or_find({}):
        raise OSError("disk full")
    assert seen == ["local", "local stopped"]


@pytest.mark.parametrize(("ended_by", "left"), [(KeyboardInterrupt, 0), (SystemExit, 0), (UnavailableError, 1)])
def test_a_start_that_is_broken_off_leaves_nothing(
    ended_by: type[BaseException], left: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that fails leaves its folder: the message names the log in it."""

    def start(_: object) -> None:
        raise ended_by("while it starts")

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(broker, "jars", lambda: tmp_path)
    monkeypatch.setattr(broker, "LocalKafka", type("Cluster", (), {"__init__": lambda *_: None, "start": start}))
    with pytest.raises((ended_by, BrokerUnavailableError)), broker.start_or_find({"LEAD_SCORER_BROKER": "local"}):
        pass
    assert len(list(tmp_path.iterdir())) == left


@pytest.fixture
def ladder(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """Replaces the rungs by ones that bear, or not, and tell what happens to them."""
    seen: list[str] = []

    def replace(*, local: Broker | None, docker: Broker | None) -> list[str]:
        monkeypatch.setattr(broker, "_local", rung("local", local))
        monkeypatch.setattr(broker, "_docker", rung("docker", docker))
        return seen

    def rung(name: str, found: Broker | None) -> Rung:
        @contextmanager
        def run() -> Iterator[Broker]:
            seen.append(name)
            if found is None:
                raise UnavailableError("is\nnot there")
            try:
                yield found
            finally:
                seen.append(f"{name} stopped")

        return run

    return replace

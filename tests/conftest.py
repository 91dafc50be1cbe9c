"""Fixtures: a real broker by the ladder of contract 1.2, names of one's own on it, clusters to break, a registry."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from runtime import broker
from runtime.broker import Broker
from runtime.local_kafka import LocalKafka
from runtime.unavailable import UnavailableError
from tests.kafka import Namespace, warm_up
from tests.registry import LocalRegistry, local_registry

BROKER_FIXTURES = {"kafka", "namespace", "local_kafka", "kafka_cluster"}
LINES = pytest.StashKey[list[str]]()


@pytest.fixture(scope="session")
def kafka(pytestconfig: pytest.Config) -> Iterator[Broker]:
    """A broker that all tests share: use names of your own (`namespace`), never stop it."""
    with _server(pytestconfig, "Kafka"), broker.start_or_find() as found:
        pytestconfig.stash[LINES].append(f"Kafka: {found.description}")
        warm_up(found.bootstrap_servers)
        yield found


@pytest.fixture
def namespace(kafka: Broker, request: pytest.FixtureRequest) -> Iterator[Namespace]:
    """Names on the shared broker that only this test uses; its topics are deleted at the end."""
    space = Namespace(kafka.bootstrap_servers, request.node.name)
    yield space
    space.delete()


@pytest.fixture(scope="module")
def local_kafka(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalKafka]:
    """One broker of the module's own, to kill, stop, pause and start; leave it running after each test."""
    yield from _local(pytestconfig, tmp_path_factory.mktemp("kafka"), nodes=1)


@pytest.fixture(scope="session")
def kafka_cluster(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalKafka]:
    """Three brokers, to break one at a time; leave all running after each test."""
    yield from _local(pytestconfig, tmp_path_factory.mktemp("kafka"), nodes=3)


@pytest.fixture(scope="session")
def registry(pytestconfig: pytest.Config) -> Iterator[LocalRegistry]:
    """A schema registry that all tests share; `.kill()` and `.start()` it, but leave it running."""
    with _server(pytestconfig, "schema registry"), local_registry() as running:
        yield running


def _local(config: pytest.Config, directory: Path, *, nodes: int) -> Iterator[LocalKafka]:
    with _server(config, "Kafka"), LocalKafka(directory, nodes=nodes) as cluster:
        warm_up(cluster.bootstrap_servers)
        yield cluster


@contextmanager
def _server(config: pytest.Config, what: str) -> Iterator[None]:
    """Without the server the test is skipped, or fails where REQUIRE_KAFKA says that it must be there."""
    try:
        yield
    except UnavailableError as error:
        config.stash[LINES].append(f"WITHOUT {what.upper()}: {error}")
        if os.environ.get("REQUIRE_KAFKA") == "1":
            pytest.fail(f"REQUIRE_KAFKA=1, but: {error}", pytrace=False)
        pytest.skip(str(error))


def pytest_configure(config: pytest.Config) -> None:
    """Room for the lines about servers that the summary shows."""
    config.stash[LINES] = []


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks by fixture: `-m "not kafka"` needs no broker."""
    for item in items:
        names = set(getattr(item, "fixturenames", ()))
        if names & BROKER_FIXTURES:
            item.add_marker(pytest.mark.kafka)
        if "registry" in names:
            item.add_marker(pytest.mark.registry)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Says which broker the tests ran on, or, loudly and once, why they did not."""
    lines = config.stash[LINES]
    for line in dict.fromkeys(lines):
        terminalreporter.write_line(line, bold=True, red=line.startswith("WITHOUT"))

"""Fixtures: a real broker by the ladder of contract 1.2, names of one's own on it, clusters to break, a registry."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, ExitStack, nullcontext
from typing import TypeVar

import pytest
from hypothesis import settings

from runtime import broker
from runtime.broker import Broker
from runtime.local_kafka import LocalKafka
from runtime.unavailable import UnavailableError
from tests.faults.servers import FaultKafka
from tests.kafka import Namespace, warm_up
from tests.registry import LocalRegistry, local_registry

settings.register_profile("patient", deadline=None)  # a machine that is busy for 200 ms is no failure
settings.load_profile("patient")

BROKER_FIXTURES = {"kafka", "namespace", "local_kafka", "kafka_cluster", "fault_kafka"}
T = TypeVar("T")
LINES = pytest.StashKey[list[str]]()


@pytest.fixture(scope="session")
def kafka(pytestconfig: pytest.Config) -> Iterator[Broker]:
    """A broker that all tests share: use names of your own (`namespace`), never stop it."""
    for found in _serve(pytestconfig, "Kafka", broker.start_or_find):
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
    for cluster in _serve(pytestconfig, "Kafka", lambda: LocalKafka(tmp_path_factory.mktemp("kafka"))):
        warm_up(cluster.bootstrap_servers)
        yield cluster


@pytest.fixture(scope="session")
def kafka_cluster(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalKafka]:
    """Three brokers, to break one at a time; leave all running after each test."""
    for cluster in _serve(pytestconfig, "Kafka", lambda: LocalKafka(tmp_path_factory.mktemp("kafka"), nodes=3)):
        warm_up(cluster.bootstrap_servers)
        yield cluster


@pytest.fixture(scope="session")
def fault_kafka(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultKafka]:
    """One broker, to break it, its network or the rights on it; leave it running after each test."""
    for cluster in _serve(pytestconfig, "Kafka", lambda: FaultKafka(tmp_path_factory.mktemp("kafka"))):
        warm_up(cluster.bootstrap_servers)
        yield cluster


@pytest.fixture(scope="session")
def registry(pytestconfig: pytest.Config) -> Iterator[LocalRegistry]:
    """A schema registry that all tests share; `.kill()` and `.start()` it, but leave it running."""
    yield from _serve(pytestconfig, "schema registry", local_registry)


def _serve(config: pytest.Config, what: str, server: Callable[[], AbstractContextManager[T]]) -> Iterator[T]:
    """Runs a server; without it the test is skipped, or fails where REQUIRE_KAFKA says that it must be there."""
    with ExitStack() as stack:
        try:
            with _uncaptured(config):
                running = stack.enter_context(server())
        except UnavailableError as error:
            reason = f"WITHOUT {what.upper()}: {error}"
        else:
            yield running
            return
    config.stash[LINES].append(reason)
    if os.environ.get("REQUIRE_KAFKA") == "1":
        pytest.fail(f"REQUIRE_KAFKA=1, but {reason}", pytrace=False)
    pytest.skip(reason)


def _uncaptured(config: pytest.Config) -> AbstractContextManager[None]:
    """Lets the progress of a first download through to the terminal."""
    capture = config.pluginmanager.getplugin("capturemanager")
    return nullcontext() if capture is None else capture.global_and_fixture_disabled()


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


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Lets the summary fold all tests that a missing server skips into one line."""
    report = yield
    if report.skipped and isinstance(report.longrepr, tuple):
        reason = report.longrepr[2].removeprefix("Skipped: ")
        if reason in item.config.stash[LINES]:
            report.longrepr = (__file__, 0, reason)
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Says which broker the tests ran on, or, loudly and once, why they did not."""
    lines = config.stash[LINES]
    for line in dict.fromkeys(lines):
        terminalreporter.write_line(line, bold=True, red=line.startswith("WITHOUT"))

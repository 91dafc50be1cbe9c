"""Names on a broker that only one benchmark uses: an events topic, and for each run a group and its output topics."""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from confluent_kafka.admin import AdminClient

from runtime.broker import Broker, start_or_find
from runtime.config import Settings, load
from runtime.local_kafka import LocalKafka
from runtime.topic_specs import topic_specs
from runtime.topics import create_topics
from scoring.policy import Policy
from tests.bundles import write_bundle
from tests.kafka import eventually, warm_up

OUT = Path("out/benchmarks")
JVM = ("-Xmx1g",)
"""Both compilers and the default collector, unlike a broker for tests, which has to start fast and do little."""
DELETE_S = 60.0


class Space:
    """One benchmark's names.

    Args:
        bootstrap_servers: The broker.
        label: Begins every name.
        directory: Where processes write their logs, and where models are.
        environ: More of the configuration, `LEAD_SCORER__SECTION__KEY`.
        own_events: Each run has its own events too.
    """

    def __init__(
        self,
        bootstrap_servers: str,
        label: str,
        directory: Path,
        environ: Mapping[str, str] | None = None,
        *,
        own_events: bool = False,
    ) -> None:
        self.bootstrap_servers, self.directory = bootstrap_servers, directory
        self.prefix = f"bench-{label}-{uuid.uuid4().hex[:6]}"
        self.admin = AdminClient({"bootstrap.servers": bootstrap_servers, "log_level": 0})  # it outlives the broker
        self._more, self._own_events = dict(environ or {}), own_events

    def environ(self, run: str) -> dict[str, str]:
        """The configuration of one run as environment variables: the common events, a group and outputs of its own."""
        own = f"{self.prefix}.{run}"
        events = own if self._own_events else self.prefix
        return {
            "LEAD_SCORER__KAFKA__BOOTSTRAP_SERVERS": self.bootstrap_servers,
            "LEAD_SCORER__KAFKA__GROUP_ID": own,
            "LEAD_SCORER__KAFKA__INSTANCE_ID": run,
            "LEAD_SCORER__TOPICS__EVENTS": f"{events}.events",
            "LEAD_SCORER__TOPICS__DECISIONS": f"{own}.decisions",
            "LEAD_SCORER__TOPICS__PROFILES": f"{own}.profiles",
            "LEAD_SCORER__TOPICS__DEAD_LETTERS": f"{own}.dead-letter",
            "LEAD_SCORER__TOPICS__ACTIONS_PREFIX": f"{own}.actions.",
            **self._more,
        }

    def settings(self, run: str) -> Settings:
        """The same as the program reads it."""
        return load(None, self.environ(run))

    def create(self, run: str) -> Settings:
        """Creates the topics of a run, and those common to all."""
        settings = self.settings(run)
        decisions = Policy.load(settings.policy.path or settings.policy.name).decisions
        create_topics(self.admin, topic_specs(settings, decisions))
        return settings

    def give_model(self, wanted: bool) -> None:
        """Puts a model of the size that training makes where services look for it."""
        if wanted:
            write_bundle(self.directory / "models", "v1", trees=200)
            (self.directory / "models" / "champion").write_text("v1")

    def delete(self, run: str = "") -> None:
        """Deletes the topics of one run, or all."""
        begin = f"{self.prefix}.{run}." if run else self.prefix

        def left() -> list[str]:
            return [topic for topic in self.admin.list_topics(timeout=DELETE_S).topics if topic.startswith(begin)]

        for deleted in self.admin.delete_topics(left()).values() if left() else ():
            deleted.result(DELETE_S)
        eventually(lambda: not left(), within_s=DELETE_S)


@contextmanager
def broker(address: str | None) -> Iterator[Broker]:
    """The broker at an address, or a local one whose Java may compile and collect as it does in service.

    An address in `KAFKA_BOOTSTRAP_SERVERS` is not taken: what else runs there would be measured too.
    """
    if address:
        with start_or_find({"KAFKA_BOOTSTRAP_SERVERS": address}) as found:
            yield found
        return
    with (
        tempfile.TemporaryDirectory(prefix="bench-kafka-", ignore_cleanup_errors=True) as directory,
        LocalKafka(Path(directory), jvm=JVM) as kafka,
    ):
        yield Broker(kafka.bootstrap_servers, f"{kafka.description}, {' '.join(JVM)}")


@contextmanager
def space(
    options: argparse.Namespace, label: str, environ: Mapping[str, str] | None = None, *, own_events: bool = False
) -> Iterator[Space]:
    """A broker with names on it; topics and logs are gone at the end."""
    with (
        broker(options.broker) as found,
        tempfile.TemporaryDirectory(prefix=f"bench-{label}-") as directory,
    ):
        print(f"Kafka: {found.description}", flush=True)
        warm_up(found.bootstrap_servers)
        made = Space(found.bootstrap_servers, label, Path(directory), environ, own_events=own_events)
        try:
            yield made
        finally:
            made.delete()


def arguments(program: str, description: str | None) -> argparse.ArgumentParser:
    """What all programs that need a broker have in common."""
    parser = argparse.ArgumentParser(
        prog=f"python -m benchmarks.{program}", description=(description or "").splitlines()[0]
    )
    parser.add_argument("--broker", metavar="ADDRESS", help="a broker with nothing else to do; else a local one")
    return parser


def machine() -> dict[str, Any]:
    """What the figures are of: without it they mean nothing."""
    return {
        "cpus": os.cpu_count(),
        "load_average": os.getloadavg(),
        "platform": platform.platform(),
        "python": platform.python_version(),
    }


def save(name: str, result: Mapping[str, Any]) -> Path:
    """Writes a result as JSON where others are, with the machine and how busy it was."""
    OUT.mkdir(parents=True, exist_ok=True)
    path = OUT / f"{name}.json"
    path.write_text(json.dumps({"machine": machine(), **result}, indent=2, default=str) + "\n")
    return path

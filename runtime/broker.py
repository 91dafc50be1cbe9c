"""A real broker for tests and the demo: one that is given, a local one, or one from Docker (contract 1.2)."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from runtime.docker_kafka import IMAGE, docker_kafka
from runtime.local_kafka import PROPERTIES, LocalKafka, jars
from runtime.unavailable import UnavailableError

ANSWER_S = 15.0  # for a given address; one that is given is up, or it is an error


class BrokerUnavailableError(UnavailableError):
    """No rung of the ladder bears; the message is one line with the reason of each. Set `KAFKA_BOOTSTRAP_SERVERS`."""


@dataclass(frozen=True)
class Broker:
    """A broker that answers.

    Attributes:
        bootstrap_servers: Its address, for clients.
        description: What it is, for people: `local Apache Kafka 4.3.1 at 127.0.0.1:20092`.
    """

    bootstrap_servers: str
    description: str


Rung = Callable[[], AbstractContextManager[Broker]]


@contextmanager
def start_or_find(environ: Mapping[str, str] | None = None) -> Iterator[Broker]:
    """Climbs the ladder, gives a broker, and stops what it started.

    `LEAD_SCORER_BROKER` (`local`, `docker` or an address) chooses one rung; else `KAFKA_BOOTSTRAP_SERVERS` if it is
    set; else a local Apache Kafka; else Docker. A rung that was chosen and does not bear is an error: no other takes
    its place.

    Args:
        environ: The environment variables, by default those of this process.

    Raises:
        BrokerUnavailableError: No broker.
    """
    faults: list[str] = []
    with ExitStack() as stack:
        for name, rung in ladder(os.environ if environ is None else environ):
            try:
                broker = stack.enter_context(rung())
            except (OSError, UnavailableError) as error:
                faults.append(f"{name}: {' '.join(str(error).split())}")
            else:
                yield broker
                return
    raise BrokerUnavailableError(f"no Kafka broker: {'; '.join(faults)}")


def ladder(environ: Mapping[str, str]) -> list[tuple[str, Rung]]:
    """The rungs to try, in order, each with its name.

    >>> [name for name, _ in ladder({})]
    ['local', 'docker']
    >>> [name for name, _ in ladder({"KAFKA_BOOTSTRAP_SERVERS": "kafka:9092"})]
    ['KAFKA_BOOTSTRAP_SERVERS=kafka:9092']
    """
    rungs: dict[str, Rung] = {"local": _local, "docker": _docker}
    chosen = environ.get("LEAD_SCORER_BROKER", "").strip()
    if chosen in rungs:
        return [(chosen, rungs[chosen])]
    for variable in ("LEAD_SCORER_BROKER", "KAFKA_BOOTSTRAP_SERVERS"):
        if address := environ.get(variable, "").strip():
            return [(f"{variable}={address}", lambda: _given(address))]
    return list(rungs.items())


@contextmanager
def _given(address: str) -> Iterator[Broker]:
    # The client's own lines about refused connections would stand beside our one line.
    admin = AdminClient({"bootstrap.servers": address, "log_level": 0})
    try:
        admin.list_topics(timeout=ANSWER_S)
    except KafkaException as error:
        raise BrokerUnavailableError(f"no answer within {ANSWER_S:g} s: {error.args[0].str()}") from None
    yield Broker(address, f"the broker at {address}")


@contextmanager
def _local() -> Iterator[Broker]:
    jars()  # first: without them no folder is left behind
    directory = Path(tempfile.mkdtemp(prefix="lead-scorer-kafka-"))
    kafka = LocalKafka(directory)
    try:
        kafka.start()  # when this fails the folder stays: the message names the log in it
    except (KeyboardInterrupt, SystemExit):  # nobody asked why
        shutil.rmtree(directory, ignore_errors=True)
        raise
    try:
        yield Broker(kafka.bootstrap_servers, f"{kafka.description} at {kafka.bootstrap_servers}")
    finally:
        kafka.stop()
        shutil.rmtree(directory, ignore_errors=True)


@contextmanager
def _docker() -> Iterator[Broker]:
    with docker_kafka(PROPERTIES) as address:
        yield Broker(address, f"{IMAGE} in Docker at {address}")

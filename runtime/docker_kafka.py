"""Apache Kafka in Docker. The only importer of testcontainers, whose own Kafka container knows other images only."""

from __future__ import annotations

import gc
import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from runtime.unavailable import UnavailableError

if TYPE_CHECKING:
    from testcontainers.core.container import DockerContainer

IMAGE = "apache/kafka:4.3.1"
READY_S = 120
# The image takes its defaults only if no KAFKA_ variable is set at all: with one, all are needed.
ENVIRONMENT = {
    "KAFKA_NODE_ID": "1",
    "KAFKA_PROCESS_ROLES": "broker,controller",
    "KAFKA_CONTROLLER_LISTENER_NAMES": "CONTROLLER",
    "KAFKA_CONTROLLER_QUORUM_VOTERS": "1@localhost:9094",
    "KAFKA_INTER_BROKER_LISTENER_NAME": "BROKER",
    "KAFKA_LISTENERS": "CLIENT://:9092,BROKER://:9093,CONTROLLER://:9094",
    "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP": "CLIENT:PLAINTEXT,BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT",
    "KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR": "1",
    "KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR": "1",
    "KAFKA_TRANSACTION_STATE_LOG_MIN_ISR": "1",
}


# The address to advertise holds the port that Docker chooses, known after the start only: the script goes in then.
WAIT_FOR_SCRIPT = ["sh", "-c", "until [ -f /tmp/start ]; do sleep 0.1; done; . /tmp/start"]


@contextmanager
def docker_kafka(properties: Mapping[str, str]) -> Iterator[str]:
    """Runs a single broker in Docker; gives its bootstrap servers.

    Args:
        properties: Broker properties by their Kafka names.

    Raises:
        UnavailableError: No testcontainers, no engine, no image, or no start within 120 s.
    """
    # Its clean-up container is an image more to pull, and `with` cleans up; set the variable to have it.
    os.environ.setdefault("TESTCONTAINERS_RYUK_DISABLED", "true")
    try:
        from testcontainers.core.container import DockerContainer
    except ImportError:
        raise UnavailableError("testcontainers is not installed (the extra 'broker' brings it)") from None
    if fault := _engine_fault():
        raise UnavailableError(fault)
    own = {"KAFKA_" + name.upper().replace(".", "_"): value for name, value in properties.items()}
    with _reasons():
        container = DockerContainer(IMAGE).with_exposed_ports(9092).with_envs(**ENVIRONMENT, **own)
        container.with_command(WAIT_FOR_SCRIPT).start()
    try:
        with _reasons():
            address = _advertise(container)
        yield address
    finally:
        container.stop()


def _advertise(container: DockerContainer) -> str:
    from testcontainers.core.wait_strategies import LogMessageWaitStrategy

    address = f"{container.get_container_host_ip()}:{container.get_exposed_port(9092)}"
    listeners = f"CLIENT://{address},BROKER://localhost:9093"
    script = f"export KAFKA_ADVERTISED_LISTENERS={listeners}; exec /etc/kafka/docker/run\n"
    container.copy_into_container(script.encode(), "/tmp/start")  # noqa: S108 - in the container
    LogMessageWaitStrategy("Kafka Server started").with_startup_timeout(READY_S).wait_until_ready(container)
    return address


def _engine_fault() -> str | None:
    from testcontainers.core.docker_client import DockerClient

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # the client leaves its socket open when no engine answers
        try:
            DockerClient().client.close()
        except Exception as error:  # noqa: BLE001 - it lets through what its HTTP library raises
            fault = _one_line(error)
        else:
            return None
        gc.collect()  # that socket, while its warning is ignored
    return f"no Docker engine: {fault}"


@contextmanager
def _reasons() -> Iterator[None]:
    try:
        yield
    except Exception as error:  # noqa: BLE001 - as above
        raise UnavailableError(_one_line(error)) from None


def _one_line(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:300]

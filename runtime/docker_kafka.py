"""Apache Kafka in Docker. The only importer of testcontainers, whose own Kafka container knows other images only."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from runtime.unavailable import UnavailableError

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


@contextmanager
def docker_kafka(properties: dict[str, str]) -> Iterator[str]:
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
        from testcontainers.core.wait_strategies import LogMessageWaitStrategy
    except ImportError:
        raise UnavailableError("testcontainers is not installed (the extra 'broker' brings it)") from None
    own = {"KAFKA_" + name.upper().replace(".", "_"): value for name, value in properties.items()}
    # The address to advertise holds the port that Docker chooses, known after the start only: the script goes in then.
    wait_for_script = ["sh", "-c", "until [ -f /tmp/start ]; do sleep 0.1; done; . /tmp/start"]
    try:
        container = DockerContainer(IMAGE).with_exposed_ports(9092).with_envs(**ENVIRONMENT, **own)
        container.with_command(wait_for_script).start()
    except Exception as error:  # Docker's client raises many kinds, also of its HTTP library  # noqa: BLE001
        raise UnavailableError(f"{type(error).__name__}: {error}".splitlines()[0][:300]) from None
    try:
        address = f"{container.get_container_host_ip()}:{container.get_exposed_port(9092)}"
        listeners = f"CLIENT://{address},BROKER://localhost:9093"
        script = f"export KAFKA_ADVERTISED_LISTENERS={listeners}; exec /etc/kafka/docker/run\n"
        container.copy_into_container(script.encode(), "/tmp/start")  # noqa: S108 - in the container
        ready = LogMessageWaitStrategy("Kafka Server started").with_startup_timeout(READY_S)
        try:
            ready.wait_until_ready(container)
        except Exception as error:  # noqa: BLE001 - as above
            raise UnavailableError(f"{IMAGE} did not start: {error}".splitlines()[0][:300]) from None
        yield address
    finally:
        container.stop()

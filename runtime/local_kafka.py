"""A real Apache Kafka (KRaft) on this machine, of one or three nodes, with nothing installed but wheels.

    with LocalKafka(directory, nodes=3) as kafka:
        kafka.bootstrap_servers
        kafka.nodes[0].kill()  # and .stop(), .start(), .pause(), .resume(): same port, data kept

        kafka.listening["PROXIED"]  # the port of a further listener, with listeners=[Listener("PROXIED", ...)]

    python -m runtime.local_kafka --port 9092 --dir data

The jars are pinned in kafka-jars.sha256 (digest, size, coordinates): Kafka, what it depends on, and log4j-slf4j-impl,
without which a broker logs nothing.
"""

from __future__ import annotations

import argparse
import base64
import shutil
import signal
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Self

from runtime.java import java
from runtime.local_process import LocalProcess, free_ports
from runtime.maven import fetch, read_pins
from runtime.unavailable import UnavailableError

VERSION = "4.3.1"
PINS = Path(__file__).with_name("kafka-jars.sha256")
READY_LINE = "Kafka Server started"  # KafkaRaftServer's last line of a start, at INFO
# The serial collector and one compiler tier halve the processor time of a start. Benchmarks want ["-Xmx1g"] alone.
JVM = ("-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:+ExitOnOutOfMemoryError")
LOG4J = """rootLogger.level=WARN
rootLogger.appenderRef.o.ref=O
appender.o.type=Console
appender.o.name=O
appender.o.layout.type=PatternLayout
appender.o.layout.pattern=%d %p %c{1} %m%n
logger.started.name=kafka.server.KafkaRaftServer
logger.started.level=INFO
"""
# For tests and demos: small internal topics and short timers. Kafka's defaults are in brackets.
PROPERTIES = {
    "auto.create.topics.enable": "false",  # [true] a misspelt topic is an error
    "offsets.topic.num.partitions": "4",  # [50]
    "transaction.state.log.num.partitions": "4",  # [50]
    "group.initial.rebalance.delay.ms": "0",  # [3000] a new group's first assignment
    "group.min.session.timeout.ms": "1000",  # [6000] lets a client ask for a short session
    "group.consumer.min.session.timeout.ms": "1000",  # [45000]
    "group.consumer.session.timeout.ms": "6000",  # [45000] KIP-848: the broker's choice, not the client's
    "group.consumer.min.heartbeat.interval.ms": "500",  # [5000]
    "group.consumer.heartbeat.interval.ms": "1000",  # [5000]
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": "500",  # [10000] how late a late one is aborted
    "broker.heartbeat.interval.ms": "500",  # [2000]
    "broker.session.timeout.ms": "3000",  # [9000] a killed broker may register again after this
    # [10485760] Indexes are memory-mapped at this size; with 10 MiB each the first entries in a hundred new partitions
    # cost two seconds of page faults, in which the broker answers no produce request.
    "log.index.size.max.bytes": "1048576",
    "log.cleaner.backoff.ms": "500",  # [15000] how often compaction looks for work
}


class Node(LocalProcess):
    """One process, broker and controller; its storage is in `directory`."""

    def __init__(self, directory: Path, jvm: Sequence[str], properties: Mapping[str, str]) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._data, self._config = directory / "data", directory / "server.properties"
        log4j = directory / "log4j2.properties"
        log4j.write_text(LOG4J)
        own = {"log.dirs": str(self._data), **properties}
        self._config.write_text("".join(f"{name}={value}\n" for name, value in own.items()))
        self._java = [java(), *jvm, f"-Dlog4j2.configurationFile={log4j}", "-cp", str(jars() / "*")]
        command = [*self._java, "kafka.Kafka", str(self._config)]
        super().__init__(f"Kafka node {properties['node.id']}", command, directory, READY_LINE)

    def format(self, cluster_id: str) -> None:
        """Writes the storage once. Only this turns on what this version can (transactions v2, KIP-848 groups).

        Raises:
            UnavailableError: The tool failed.
        """
        if (self._data / "meta.properties").exists():
            return
        command = [*self._java, "kafka.tools.StorageTool", "format", "-t", cluster_id, "-c", str(self._config)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - the command is ours
        if done.returncode != 0:
            self.log.write_text(done.stdout + done.stderr)
            said = (done.stderr or done.stdout).strip().splitlines() or ["it said nothing"]
            raise UnavailableError(f"{self.name}: storage not formatted: {said[-1][:300]} (log: {self.log})")


@dataclass(frozen=True)
class Listener:
    """A further port of a single node.

    Attributes:
        name: In capitals, as Kafka wants it.
        protocol: `PLAINTEXT` or `SASL_PLAINTEXT`; what the latter needs goes into the broker's properties.
        advertised_port: What clients are told, as that of a proxy before it; None: the port itself.
    """

    name: str
    protocol: str = "PLAINTEXT"
    advertised_port: int | None = None


class LocalKafka:
    """A cluster on 127.0.0.1; a context manager that starts all nodes and stops them.

    Args:
        directory: Where data and logs are kept. A folder that holds data of a cluster goes on with it.
        nodes: 1, or 3 (replication factor 3, two in sync).
        port: Of the first broker, the others follow; 0 takes free ports.
        jvm: Options of Java.
        properties: Of the brokers, over those of `PROPERTIES`.
        listeners: Of a single node, beside its own; `listening` has their ports by name.

    Raises:
        UnavailableError: The jars cannot be had, or there is no Java.
    """

    def __init__(
        self,
        directory: Path,
        *,
        nodes: int = 1,
        port: int = 0,
        jvm: Sequence[str] = JVM,
        properties: Mapping[str, str] | None = None,
        listeners: Sequence[Listener] = (),
    ) -> None:
        assert nodes in {1, 3}, "two nodes have no quorum without both"
        assert nodes == 1 or not listeners, "further listeners are for one node"
        brokers = [port + i for i in range(nodes)] if port else free_ports(nodes)
        others = [free for free in free_ports(2 * nodes + len(listeners)) if free not in brokers]
        controllers = others[:nodes]
        self.listening = {one.name: free for one, free in zip(listeners, others[nodes:], strict=False)}
        copies, in_sync = ("3", "2") if nodes == 3 else ("1", "1")
        common = {
            "process.roles": "broker,controller",
            "controller.listener.names": "CONTROLLER",
            "controller.quorum.voters": ",".join(f"{i}@127.0.0.1:{p}" for i, p in enumerate(controllers, start=1)),
            "default.replication.factor": copies,
            "min.insync.replicas": in_sync,
            "offsets.topic.replication.factor": copies,
            "transaction.state.log.replication.factor": copies,
            "transaction.state.log.min.isr": in_sync,
            **PROPERTIES,
            **(properties or {}),
        }
        self.bootstrap_servers = ",".join(f"127.0.0.1:{p}" for p in brokers)
        self.description = f"local Apache Kafka {VERSION}" + (f", {nodes} nodes" if nodes > 1 else "")
        self.nodes = [
            Node(
                Path(directory, f"node-{i}").absolute(),
                jvm,
                {**common, "node.id": str(i), **_listening(b, c, listeners, self.listening)},
            )
            for i, (b, c) in enumerate(zip(brokers, controllers, strict=True), start=1)
        ]

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Formats what is new and returns when all nodes serve.

        Raises:
            UnavailableError: A node did not start; the others are stopped.
        """
        cluster_id = _cluster_id()
        with ThreadPoolExecutor() as pool:
            list(pool.map(lambda node: node.format(cluster_id), self.nodes))
        try:
            for node in self.nodes:  # all before any is waited for: one alone is no quorum
                node.start(wait=False)
            for node in self.nodes:
                node.wait_ready()
        except BaseException:  # also when a signal ends the wait
            self.stop()
            raise

    def stop(self) -> None:
        """Stops all nodes at once: one after the other, the last would miss its quorum."""
        with ThreadPoolExecutor() as pool:
            list(pool.map(Node.stop, self.nodes))


@cache
def jars() -> Path:
    """The folder with the pinned jars, downloaded the first time (45 MB)."""
    return fetch(f"Apache Kafka {VERSION}", read_pins(PINS.read_text()))


def _listening(broker: int, controller: int, further: Sequence[Listener], ports: Mapping[str, int]) -> dict[str, str]:
    own = [f"PLAINTEXT://127.0.0.1:{broker}", *(f"{one.name}://127.0.0.1:{ports[one.name]}" for one in further)]
    told = [f"{one.name}://127.0.0.1:{one.advertised_port or ports[one.name]}" for one in further]
    protocols = ["PLAINTEXT:PLAINTEXT", "CONTROLLER:PLAINTEXT", *(f"{one.name}:{one.protocol}" for one in further)]
    return {
        "listeners": ",".join([*own, f"CONTROLLER://127.0.0.1:{controller}"]),
        "advertised.listeners": ",".join([own[0], *told]),
        "listener.security.protocol.map": ",".join(protocols),
    }


def _cluster_id() -> str:
    # 16 bytes in URL-safe base64; the zero byte keeps it from starting with "-", which reads as an option.
    return base64.urlsafe_b64encode(b"\0" + uuid.uuid4().bytes[1:]).decode().rstrip("=")


def main() -> None:
    """The command: a broker until a signal comes."""
    parser = argparse.ArgumentParser(prog="python -m runtime.local_kafka", description="A local Apache Kafka.")
    parser.add_argument("--nodes", type=int, default=1, choices=(1, 3))
    parser.add_argument("--port", type=int, default=9092, help="of the first broker; 0 takes free ones")
    parser.add_argument("--dir", type=Path, help="keeps the data there; without it a folder that is deleted at the end")
    options = parser.parse_args()
    for number in (signal.SIGTERM, signal.SIGINT):  # a shell's background job starts with SIGINT ignored
        signal.signal(number, lambda *_: sys.exit(0))
    directory = options.dir or Path(tempfile.mkdtemp(prefix="local-kafka-"))
    try:
        with LocalKafka(directory, nodes=options.nodes, port=options.port) as kafka:
            sys.stdout.write(f"bootstrap.servers={kafka.bootstrap_servers}\n")
            sys.stdout.flush()
            signal.pause()
    finally:
        if options.dir is None:
            shutil.rmtree(directory)


if __name__ == "__main__":
    main()

"""Brokers to break: one with a way in through a proxy and one that asks who is there, and a scenario on any of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._config import AlterConfigOpType, ConfigEntry, ConfigResource

from runtime.local_kafka import Listener, LocalKafka
from runtime.local_process import free_ports
from tests.faults.scenario import Scenario
from tests.kafka import Namespace, eventually
from tests.proxy import HOST, Proxy

PASSWORD = "known-to-all"
AUTHORISATION = {
    "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    "super.users": "User:ANONYMOUS",  # who comes in without SASL: everybody but those who shall be refused
    "sasl.enabled.mechanisms": "PLAIN",
    "listener.name.sasl.plain.sasl.jaas.config": "org.apache.kafka.common.security.plain.PlainLoginModule required "
    f'user_scorer="{PASSWORD}" ;',
}
ANSWERS_S = 90.0
"""Three brokers that start at once on a busy machine took 30 s."""


class FaultKafka(LocalKafka):
    """One broker with three ways in.

    Attributes:
        bootstrap_servers: For those who look on: always open, no questions.
        proxied: The address through `proxy()`; nobody listens there without it.
        guarded: The address at which a client is `User:scorer`, who may do nothing yet.
    """

    def __init__(self, directory: Path) -> None:
        (self._proxy_port,) = free_ports(1)
        listeners = [Listener("PROXIED", advertised_port=self._proxy_port), Listener("SASL", "SASL_PLAINTEXT")]
        super().__init__(directory, properties=AUTHORISATION, listeners=listeners)
        self.proxied = f"{HOST}:{self._proxy_port}"
        self.guarded = f"{HOST}:{self.listening['SASL']}"

    def proxy(self) -> Proxy:
        """The network before the broker, whole."""
        return Proxy(self._proxy_port, self.listening["PROXIED"])


def alter(admin: AdminClient, topic: str, name: str, value: str) -> None:
    """Changes a setting of a topic."""
    entry = ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ConfigResource.Type.TOPIC, topic, incremental_configs=[entry])
    admin.incremental_alter_configs([resource])[resource].result(30)


@contextmanager
def scenario_on(
    kafka: LocalKafka, directory: Path, seed: int, label: str, environ: Mapping[str, str] | None = None
) -> Iterator[Scenario]:
    """A scenario on brokers that may be broken; they are whole again at the end."""
    space = Namespace(kafka.bootstrap_servers, label)
    try:
        with Scenario(space, directory, seed, environ) as scenario:
            yield scenario
    finally:
        mend(kafka)
        space.delete()


def mend(kafka: LocalKafka) -> None:
    """Starts and resumes what is down."""
    down = [node for node in kafka.nodes if node.pid is None]
    for node in kafka.nodes:
        node.resume()
    for node in down:
        node.start(wait=False)
    for node in down:
        node.wait_ready()


def wait_for_answers(scenario: Scenario) -> None:
    """Returns once the brokers answer those who look on; for a while after a restart they know nothing."""

    def answered() -> bool:
        try:
            scenario.hanging()
            scenario.topics.caught_up()
        except KafkaException:
            scenario.look_anew()
            return False
        return True

    eventually(answered, within_s=ANSWERS_S, every_s=0.2)

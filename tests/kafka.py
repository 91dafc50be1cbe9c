"""What tests do with a real broker: names of their own on it, topics, records, and waiting for a fact."""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

PATIENCE_S = 30.0
T = TypeVar("T")


class Namespace:
    """Names that no other test uses, on a broker that many share: topics, a group, the scorer's configuration."""

    def __init__(self, bootstrap_servers: str, label: str = "test") -> None:
        self.bootstrap_servers = bootstrap_servers
        self.prefix = f"{re.sub(r'[^a-z0-9]+', '-', label.lower())[:60].strip('-')}-{uuid.uuid4().hex[:8]}"
        self.group = self.prefix
        self.admin = AdminClient({"bootstrap.servers": bootstrap_servers})

    def name(self, what: str) -> str:
        """A name of this test's own, of a topic or anything else; nothing is created."""
        return f"{self.prefix}.{what}"

    def create(self, what: str, *, partitions: int = 1, config: Mapping[str, str] | None = None) -> str:
        """Creates a topic, and returns its full name once clients see it."""
        topic = self.name(what)
        new = NewTopic(topic, num_partitions=partitions, config=dict(config or {}))
        self.admin.create_topics([new])[topic].result(PATIENCE_S)
        eventually(lambda: topic in self.admin.list_topics(timeout=PATIENCE_S).topics)
        return topic

    def environ(self) -> dict[str, str]:
        """The environment in which `lead-scorer` uses this broker and these names only."""
        return {
            "LEAD_SCORER__KAFKA__BOOTSTRAP_SERVERS": self.bootstrap_servers,
            "LEAD_SCORER__KAFKA__GROUP_ID": self.group,
            "LEAD_SCORER__TOPICS__EVENTS": self.name("events"),
            "LEAD_SCORER__TOPICS__DECISIONS": self.name("decisions"),
            "LEAD_SCORER__TOPICS__PROFILES": self.name("profiles"),
            "LEAD_SCORER__TOPICS__ACTIONS_PREFIX": self.name("actions."),
        }

    def delete(self) -> None:
        """Deletes the topics of this namespace, whoever created them."""
        admin = AdminClient({"bootstrap.servers": self.bootstrap_servers})  # what the brokers went through, it has not
        found = answered(lambda: admin.list_topics(timeout=PATIENCE_S)).topics
        own = [topic for topic in found if topic.startswith(self.prefix)]
        if own:
            for deleted in admin.delete_topics(own).values():
                deleted.result(PATIENCE_S)


def answered(ask: Callable[[], T], *, within_s: float = PATIENCE_S) -> T:
    """The brokers' answer: what was just created, or led by another broker before, is not known everywhere at once."""
    deadline = time.monotonic() + within_s
    while True:
        try:
            return ask()
        except KafkaException:
            if time.monotonic() >= deadline:
                raise
            time.sleep(0.2)


def eventually(condition: Callable[[], object], *, within_s: float = PATIENCE_S, every_s: float = 0.05) -> None:
    """Returns as soon as the condition is true; fails when it is not in time."""
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, f"not within {within_s} s"
        time.sleep(every_s)


def produce(bootstrap_servers: str, topic: str, records: Iterable[tuple[bytes | None, bytes | None]]) -> None:
    """Writes records of key and value to partition 0 and returns when the broker has them."""
    producer = Producer({"bootstrap.servers": bootstrap_servers, "enable.idempotence": True})
    faults: list[KafkaError] = []

    def delivered(error: KafkaError | None, _message: Message) -> None:
        if error is not None:
            faults.append(error)

    for key, value in records:
        producer.produce(topic, value, key, partition=0, on_delivery=delivered)
        producer.poll(0)
    assert producer.flush(PATIENCE_S) == 0, "the broker did not take all records in time"
    if faults:
        raise KafkaException(faults[0])


def read(bootstrap_servers: str, topic: str, count: int, *, within_s: float = PATIENCE_S) -> list[Message]:
    """The first `count` committed records of a topic, of all partitions; fails when they are not there in time.

    It waits for the number: the end of a partition comes before the marker of a commit that has returned.
    """
    consumer = _reader(bootstrap_servers)
    try:
        partitions = consumer.list_topics(topic, timeout=within_s).topics[topic].partitions
        consumer.assign([TopicPartition(topic, partition, 0) for partition in partitions])
        found: list[Message] = []
        deadline = time.monotonic() + within_s
        while len(found) < count:
            assert time.monotonic() < deadline, f"{len(found)} of {count} records in {within_s} s"
            found += [message for message in consumer.consume(count - len(found), timeout=0.1) if not message.error()]
        return found
    finally:
        consumer.close()


def warm_up(bootstrap_servers: str) -> None:
    """One transaction and one group join: Kafka makes its internal topics then, and the first client waits seconds."""
    space = Namespace(bootstrap_servers, "warm-up")
    topic = space.create("topic")
    producer = Producer({"bootstrap.servers": bootstrap_servers, "transactional.id": space.name("id")})
    producer.init_transactions(PATIENCE_S)
    consumer = Consumer({"bootstrap.servers": bootstrap_servers, "group.id": space.group})
    consumer.subscribe([topic])

    def joined() -> bool:
        consumer.poll(0.1)
        return bool(consumer.assignment())

    eventually(joined)
    consumer.close()
    space.delete()


def _reader(bootstrap_servers: str) -> Consumer:
    return Consumer(
        {
            "bootstrap.servers": bootstrap_servers,
            "group.id": "unused",
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
            "auto.offset.reset": "earliest",
            "fetch.wait.max.ms": 50,
        }
    )

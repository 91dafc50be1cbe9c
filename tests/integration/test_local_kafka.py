"""The local broker that the other tests rest on: real transactions, and nothing committed is lost."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import KafkaException, Producer
from confluent_kafka.admin import AdminClient

from runtime.local_kafka import LocalKafka
from tests.kafka import Namespace, eventually, produce, read


@pytest.fixture
def space(local_kafka: LocalKafka) -> Namespace:
    return Namespace(local_kafka.bootstrap_servers)


@pytest.fixture
def whole_cluster(kafka_cluster: LocalKafka) -> Iterator[LocalKafka]:
    yield kafka_cluster
    for node in kafka_cluster.nodes:
        if node.pid is None:
            node.start()


def values(bootstrap_servers: str, topic: str, count: int) -> list[bytes | None]:
    return [record.value() for record in read(bootstrap_servers, topic, count)]


def numbered(count: int) -> list[tuple[bytes | None, bytes | None]]:
    return [(b"key", b"%d" % i) for i in range(count)]


def in_sync(admin: AdminClient, topic: str) -> int:
    return len(admin.list_topics(topic, timeout=10).topics[topic].partitions[0].isrs)


def test_what_was_written_is_there_after_a_kill(local_kafka: LocalKafka, space: Namespace) -> None:
    """A broker that is killed and started again has all its records, at the same address."""
    topic = space.create("kept")
    produce(local_kafka.bootstrap_servers, topic, numbered(100))
    local_kafka.nodes[0].kill()
    local_kafka.nodes[0].start()
    assert values(local_kafka.bootstrap_servers, topic, 100) == [b"%d" % i for i in range(100)]


def test_only_committed_transactions_are_read_after_a_kill(local_kafka: LocalKafka, space: Namespace) -> None:
    """Of two transactions, one committed and one open when the broker is killed, a reader gets the committed one."""
    topic = space.create("transactions")
    configuration: dict[str, Any] = {
        "bootstrap.servers": local_kafka.bootstrap_servers,
        "transactional.id": space.name("id"),
        "log_level": 0,  # the broker is killed: each try to reach it would be told
    }
    producer = Producer(configuration)
    producer.init_transactions(30)
    for value in (b"committed", b"open"):
        producer.begin_transaction()
        producer.produce(topic, value)
        assert producer.flush(30) == 0
        if value == b"committed":
            producer.commit_transaction()
    local_kafka.nodes[0].kill()
    local_kafka.nodes[0].start()
    successor = Producer(configuration)
    successor.init_transactions(30)  # aborts what the first left open
    successor.begin_transaction()
    successor.produce(topic, b"after")
    successor.commit_transaction()
    assert values(local_kafka.bootstrap_servers, topic, 2) == [b"committed", b"after"]


def test_a_paused_broker_is_silent_and_comes_back(local_kafka: LocalKafka) -> None:
    """A paused broker does not answer, and answers again when it is resumed."""
    admin = AdminClient({"bootstrap.servers": local_kafka.bootstrap_servers, "log_level": 0})
    admin.list_topics(timeout=10)

    def silent() -> bool:
        try:
            admin.list_topics(timeout=1)
        except KafkaException:
            return True
        return False

    local_kafka.nodes[0].pause()
    try:
        eventually(silent)  # a signal takes its time to reach every thread
    finally:
        local_kafka.nodes[0].resume()
    assert admin.list_topics(timeout=10).brokers


@pytest.mark.usefixtures("local_kafka")  # where that one runs, others do
def test_a_folder_with_data_goes_on(tmp_path: Path) -> None:
    """A new broker on the folder of one that was stopped has its topics, whatever its port."""
    with LocalKafka(tmp_path) as first:
        topic = Namespace(first.bootstrap_servers).create("kept")
        produce(first.bootstrap_servers, topic, numbered(3))
    with LocalKafka(tmp_path) as second:
        assert first.bootstrap_servers != second.bootstrap_servers
        assert values(second.bootstrap_servers, topic, 3) == [b"0", b"1", b"2"]


def test_three_nodes_go_on_without_one(whole_cluster: LocalKafka) -> None:
    """With one of three nodes killed, records are still written and read; back again, it catches up."""
    space = Namespace(whole_cluster.bootstrap_servers)
    topic = space.create("replicated")
    produce(whole_cluster.bootstrap_servers, topic, numbered(10))
    leader = space.admin.list_topics(topic, timeout=10).topics[topic].partitions[0].leader
    whole_cluster.nodes[leader - 1].kill()
    produce(whole_cluster.bootstrap_servers, topic, numbered(10))
    assert len(values(whole_cluster.bootstrap_servers, topic, 20)) == 20
    whole_cluster.nodes[leader - 1].start()
    eventually(lambda: in_sync(space.admin, topic) == 3)

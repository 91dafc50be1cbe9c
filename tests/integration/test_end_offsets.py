"""Ends of partitions, asked of a real broker that was away meanwhile."""

from __future__ import annotations

from confluent_kafka import IsolationLevel, KafkaException
from confluent_kafka.admin import AdminClient

from consumer.end_offsets import end_offsets
from runtime.local_kafka import LocalKafka
from tests.kafka import Namespace, eventually, produce


def test_ends_are_known_again_after_a_restart(local_kafka: LocalKafka) -> None:
    """A restarted broker has a new leader epoch; a client that asked before it gets answers within seconds."""
    space = Namespace(local_kafka.bootstrap_servers, "ends")
    topic = space.create("topic")
    produce(local_kafka.bootstrap_servers, topic, [(b"k", b"v")])
    admin = AdminClient({"bootstrap.servers": local_kafka.bootstrap_servers, "log_level": 0})

    def end() -> int:
        try:
            return end_offsets(admin, topic, [0], IsolationLevel.READ_COMMITTED)[0]
        except KafkaException:
            return -1

    eventually(lambda: end() == 1)
    local_kafka.nodes[0].kill()
    local_kafka.nodes[0].start()
    eventually(lambda: end() == 1, within_s=15.0)
    space.delete()

"""The local broker that the other tests rest on."""

from __future__ import annotations

from runtime.local_kafka import LocalKafka
from tests.kafka import Namespace, produce, read


def test_what_was_committed_is_there_after_a_kill_and_a_restart(local_kafka: LocalKafka) -> None:
    """A broker that is killed and started again has all committed records, on the same port."""
    space = Namespace(local_kafka.bootstrap_servers)
    topic = space.create("kept")
    produce(local_kafka.bootstrap_servers, topic, [(b"k", b"%d" % i) for i in range(100)])
    local_kafka.nodes[0].kill()
    assert local_kafka.nodes[0].pid is None
    local_kafka.nodes[0].start()
    records = read(local_kafka.bootstrap_servers, topic, 100)
    assert [record.value() for record in records] == [b"%d" % i for i in range(100)]

"""The echo: what the client and the broker allow for a loop that does no work.

It reads as the service does and writes as many outputs, in transactions of the same size with the same client
settings: for each event one to the decisions and one to the profiles, for every tenth one to an action topic. What it
writes are the event's own bytes.

    python -m benchmarks.echo         configured as `lead-scorer run` is, by LEAD_SCORER__SECTION__KEY
"""

from __future__ import annotations

import os
import signal
from types import FrameType
from typing import Any

from confluent_kafka import Consumer, Producer, TopicPartition

from runtime import kafka
from runtime.config import Settings, load

ACTION_EVERY = 10
INIT_S = 30.0
POLL_S = 0.05


class Stop:
    """Set by SIGTERM."""

    def __init__(self) -> None:
        self.asked = False
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._ask)

    def _ask(self, _number: int, _frame: FrameType | None) -> None:
        self.asked = True


def clients(settings: Settings) -> tuple[Consumer, Producer]:
    """A member of the group and a transactional producer, with the service's own settings."""
    consumer = kafka.consumer(settings, **{"auto.offset.reset": "earliest"})
    producer = kafka.transactional_producer(settings)
    producer.init_transactions(INIT_S)
    consumer.subscribe([settings.topics.events])
    return consumer, producer


def gather(consumer: Consumer, max_batch: int) -> list[Any]:
    """A first record and what waits behind it: `Message`s, untyped as their accessors are optional."""
    first = consumer.poll(POLL_S)
    return [] if first is None else [first, *consumer.consume(max_batch - 1, timeout=0)]


def commit(consumer: Consumer, producer: Producer, topic: str, next_offsets: dict[int, int]) -> None:
    """Sends the offsets and ends the transaction."""
    offsets = [TopicPartition(topic, number, offset) for number, offset in next_offsets.items()]
    producer.send_offsets_to_transaction(offsets, consumer.consumer_group_metadata())
    producer.commit_transaction()


def main() -> None:
    """The loop."""
    settings, stop = load(None, os.environ), Stop()
    consumer, producer = clients(settings)
    topics, limit = settings.topics, settings.budget.max_batch
    action, count = topics.action("nurture"), 0
    while not stop.asked:
        messages = gather(consumer, limit)
        if not messages:
            continue
        producer.begin_transaction()
        next_offsets: dict[int, int] = {}
        for message in messages:
            if message.error():
                continue
            number, key, value, time_ms = message.partition(), message.key(), message.value(), message.timestamp()[1]
            producer.produce(topics.decisions, value, key, number, timestamp=time_ms)
            producer.produce(topics.profiles, value, key, number, timestamp=time_ms)
            count += 1
            if count % ACTION_EVERY == 0:
                producer.produce(action, value, key, number, timestamp=time_ms)
            next_offsets[number] = message.offset() + 1
        commit(consumer, producer, topics.events, next_offsets)
    consumer.close()


if __name__ == "__main__":
    main()

"""Reads a topic beside the group: for the terminal, for dead letters, for tests."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator

from confluent_kafka import OFFSET_BEGINNING, OFFSET_END, Consumer, KafkaError, KafkaException, Message, TopicPartition

from runtime.errors import ConfigurationError, KafkaUnavailableError
from runtime.kafka import REFUSALS

METADATA_TIMEOUT_S = 10.0
POLL_S = 0.2
CHUNK_RECORDS = 500


def next_chunk(consumer: Consumer, max_records: int) -> list[Message]:
    """Waits a moment for a first message, then takes what waits: a batch call alone would wait for a full batch."""
    first = consumer.poll(POLL_S)
    return [] if first is None else [first, *consumer.consume(max_records, timeout=0)]


def read_topic(
    consumer: Consumer,
    topic: str,
    *,
    numbers: Collection[int] | None = None,
    from_beginning: bool = True,
    follow: bool = False,
    stopped: Callable[[], bool] = lambda: False,
) -> Iterator[Message]:
    """The committed records of a topic, in order for each partition.

    Args:
        consumer: Read committed, `enable.partition.eof`; it is assigned here and never commits.
        topic: What to read.
        numbers: Only these partitions; None: all.
        from_beginning: From the first record, else only what comes from now on.
        follow: Goes on at the end; otherwise it ends once every partition was read to where it ended at the time.
        stopped: Asked between polls.

    Raises:
        ConfigurationError: There is no such topic.
        KafkaUnavailableError: Kafka does not let us read it.
        KafkaException: Kafka cannot give what it has.
    """
    found = consumer.list_topics(topic, timeout=METADATA_TIMEOUT_S).topics[topic]
    if found.error is not None:
        _raise_if_refused(topic, found.error)
    if not found.partitions:
        raise ConfigurationError(f"{topic}: does not exist; `lead-scorer topics create` creates it")
    partitions = found.partitions if numbers is None else numbers
    start = OFFSET_BEGINNING if from_beginning else OFFSET_END
    consumer.assign([TopicPartition(topic, number, start) for number in partitions])
    open_partitions = set(partitions)
    while (open_partitions or follow) and not stopped():
        for message in next_chunk(consumer, CHUNK_RECORDS):
            error = message.error()
            if error is None:
                yield message
            elif error.code() == KafkaError._PARTITION_EOF:
                open_partitions.discard(message.partition())
            else:
                _raise_if_refused(topic, error)
                raise KafkaException(error)


def _raise_if_refused(topic: str, error: KafkaError) -> None:
    if error.code() in REFUSALS:
        raise KafkaUnavailableError(
            f"not authorised to read {topic}: {error.str()}. Check the principal's rights on it"
        )

"""What the stand-ins for the Kafka client hand out: messages, ends of partitions, errors."""

from __future__ import annotations

from typing import NoReturn

from confluent_kafka import TIMESTAMP_LOG_APPEND_TIME, KafkaError, KafkaException

from tests.simulation.logs import Entry, Headers


class SimulatedMessage:
    """As much of a `confluent_kafka.Message` as the service looks at."""

    __slots__ = ("_entry", "_number", "_offset", "_topic")

    def __init__(self, number: int, offset: int, entry: Entry | None, topic: str = "") -> None:
        self._number, self._offset, self._entry, self._topic = number, offset, entry, topic

    def topic(self) -> str:
        """Where it is from, if it was a reader who asked."""
        return self._topic

    def error(self) -> KafkaError | None:
        """The end of the partition is one."""
        return None if self._entry is not None else KafkaError(KafkaError._PARTITION_EOF)

    def partition(self) -> int:
        """Where it is from."""
        return self._number

    def offset(self) -> int:
        """Where it stands, or where the partition ends."""
        return self._offset

    def key(self) -> bytes | None:
        """As written."""
        return self._held().key

    def value(self) -> bytes | None:
        """As written."""
        return self._held().value

    def timestamp(self) -> tuple[int, int]:
        """Its kind and its milliseconds."""
        return TIMESTAMP_LOG_APPEND_TIME, self._held().timestamp_ms

    def headers(self) -> Headers | None:
        """As written."""
        return self._held().headers

    def _held(self) -> Entry:
        assert self._entry is not None
        return self._entry


def fail(code: int, *, fatal: bool = False, retriable: bool = False, abort: bool = False) -> NoReturn:
    """Raises what the client would."""
    raise KafkaException(KafkaError(code, None, fatal, retriable, abort))

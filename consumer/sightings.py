"""Whether records of a transaction can be seen: what is left to go by where nothing else tells how it ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import structlog
from confluent_kafka import IsolationLevel, KafkaError, KafkaException, Message, TopicPartition

from consumer.end_offsets import OffsetLister, Place, ends_of_existing, starts
from consumer.reader import Reader
from consumer.records import Output, last_by_place
from runtime.kafka import REFUSALS

log = structlog.get_logger(__name__)

CHUNK_RECORDS = 1000
WINDOW = 256
"""So many offsets before its end a partition is read from at first; four times as many where nothing is to be seen."""


class Sight(NamedTuple):
    """What was looked at; not what we may not read.

    Attributes:
        seen: The partitions that show the last record.
        missing: Those that do not.
    """

    seen: set[Place]
    missing: set[Place]


class Sightings:
    """Reads the ends of partitions as their subscribers do.

    Args:
        reader: Reads committed, from the earliest offset where the asked one is gone.
        admin: The cluster.
    """

    def __init__(self, reader: Reader, admin: OffsetLister) -> None:
        self._reader, self._admin = reader, admin

    def look(self, outputs: Sequence[Output]) -> Sight:
        """Where the last record that a transaction wrote to a partition can be seen, and where not.

        Args:
            outputs: All of the transaction's.

        Raises:
            KafkaException: Kafka could not answer.
        """
        last = last_by_place(outputs)
        undecided = ends_of_existing(self._admin, last, IsolationLevel.READ_COMMITTED)
        sight, window = Sight(set(), set()), WINDOW
        while undecided:
            begins = {place: max(0, end - window) for place, end in undecided.items()}
            found = self._read(begins, undecided, last)
            # What stands behind it are tries that were aborted, however many: only a record that can be seen and is
            # another one tells that it is not there.
            sight.seen.update(place for place, same in found.items() if same)
            sight.missing.update(place for place, same in found.items() if same is False)
            empty = [place for place, same in found.items() if same is None and begins[place] == 0]
            kept = starts(self._admin, empty)
            sight.missing.update(place for place, start in kept.items() if start == 0)  # else it may be out of date
            undecided = {p: undecided[p] for p, same in found.items() if same is None and begins[p] > 0}
            window *= 4
        return sight

    def _read(
        self, begins: Mapping[Place, int], ends: Mapping[Place, int], last: Mapping[Place, Output]
    ) -> dict[Place, bool | None]:
        """Whether partitions show a record: None where they show none at all; without those that we may not read."""
        found: dict[Place, bool | None] = dict.fromkeys(begins)
        waiting, partitions = set(begins), [TopicPartition(*place, begin) for place, begin in begins.items()]
        with self._reader.reading(partitions, CHUNK_RECORDS) as chunks:
            for messages in chunks:
                for message in messages:
                    place = message.topic() or "", message.partition() or 0
                    error = message.error()
                    if error is None:
                        found[place] = found.get(place) or _same(message, last[place])
                        continue
                    if error.code() == KafkaError._PARTITION_EOF:
                        if (message.offset() or 0) >= ends[place]:  # else a replica that is behind
                            waiting.discard(place)
                        continue
                    waiting.discard(place)
                    if error.code() in REFUSALS:
                        log.warning(
                            "not_authorised_to_read", topic=place[0], why="nobody can tell what is missing there"
                        )
                        found.pop(place, None)
                    else:
                        raise KafkaException(error)
                if not waiting:
                    break
        return found


def _same(message: Message, output: Output) -> bool:
    """Its headers tell a dead letter from another one: they name the place that it comes from."""
    found = message.key(), message.value(), message.headers() or []
    return found == (output.key, output.value, output.headers or [])

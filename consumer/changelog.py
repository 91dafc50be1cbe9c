"""Reads the changelog: the committed state of the leads of a partition."""

from __future__ import annotations

from collections.abc import Callable
from itertools import takewhile

from confluent_kafka import (
    OFFSET_BEGINNING,
    IsolationLevel,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)

from consumer.damage import DAMAGED, damaged
from consumer.drills import At, nowhere
from consumer.end_offsets import OffsetLister, end_offsets
from consumer.reader import Reader
from consumer.start import Changelog
from runtime.errors import StateError
from schemas.codec import Codec, UndecodableError, UnknownSchemaError
from scoring.profile import from_record, pack

CHUNK_RECORDS = 5_000


class OpenTransactionError(Exception):
    """A transaction is open on the changelog: its owner or the brokers will end it."""


class ChangelogReader:
    """Reads partitions of the changelog from their start to their end as of now."""

    def __init__(
        self,
        reader: Reader,
        admin: OffsetLister,
        codec: Codec,
        topic: str,
        group_id: str,
        *,
        dedup_window: int,
        at: At = nowhere,
    ) -> None:
        self._reader, self._admin, self._codec = reader, admin, codec
        self._topic, self._group_id, self._dedup_window, self._at = topic, group_id, dedup_window, at

    def read(self, number: int, stop: Callable[[], bool]) -> Changelog | None:
        """What a partition holds; None when `stop` ended it early.

        The end is the high watermark, not the last stable offset: commit markers are written per partition, and one
        may be missing here while the input offset of its transaction is committed already. Only once the last stable
        offset has passed the mark is the partition read, so that its end is reached with every marker in place.

        Raises:
            OpenTransactionError: Read it later.
            StateError: A value is another group's, or what the brokers keep is damaged.
            KafkaException: Kafka could not answer.
        """
        end = self._end(number, IsolationLevel.READ_UNCOMMITTED)
        if self._end(number, IsolationLevel.READ_COMMITTED) < end:
            raise OpenTransactionError
        changelog = Changelog()
        if end <= 0:
            return changelog
        with self._reader.reading([TopicPartition(self._topic, number, OFFSET_BEGINNING)], CHUNK_RECORDS) as chunks:
            for messages in takewhile(lambda _: not stop(), chunks):
                if self._apply(messages, changelog, end):
                    return changelog
        return None

    def _end(self, number: int, isolation: IsolationLevel) -> int:
        return end_offsets(self._admin, self._topic, [number], isolation)[number]

    def _apply(self, messages: list[Message], changelog: Changelog, end: int) -> bool:
        """Folds messages into the state; True at the end of the partition."""
        self._at("in_restore")
        for message in messages:
            error = message.error()
            if error is not None:
                if error.code() in DAMAGED:
                    raise StateError(self._damaged(message, error))
                if error.code() != KafkaError._PARTITION_EOF:
                    raise KafkaException(error)
                if (message.offset() or 0) >= end:
                    return True  # the last stable offset is past the mark: nothing is missing
                continue  # a replica that is behind, or a new leader, which does not know of its end yet
            self._take(message, changelog)
            if (message.offset() or 0) >= end - 1:
                return True
        return False

    def _damaged(self, message: Message, error: KafkaError) -> str:
        what = damaged(self._topic, message.partition(), message.offset(), error)
        return f"{what}; or delete the topic, `lead-scorer topics create`, and then `lead-scorer run --rebuild-state`"

    def _take(self, message: Message, changelog: Changelog) -> None:
        # A key that is no text cannot be a lead's, but must be named to be written over.
        lead_id = (message.key() or b"").decode(errors="surrogateescape")
        changelog.unreadable.pop(lead_id, None)
        changelog.leads.pop(lead_id, None)
        value = message.value()
        if value is None:
            return
        where = f"{self._topic}-{message.partition()} at offset {message.offset()}"
        try:
            recorded_id, group_id, profile = from_record(self._codec.decode(value), self._dedup_window)
        except (UndecodableError, UnknownSchemaError) as error:
            changelog.unreadable[lead_id] = f"{where}: {type(error).__name__}: {error}"
            return
        if group_id != self._group_id:
            raise StateError(
                f"the changelog is another group's: {where} belongs to {group_id!r}, this is {self._group_id!r}. "
                "Give each group its own topics.profiles (`lead-scorer topics create` makes it), or start with the "
                "group_id that wrote it"
            )
        if recorded_id != lead_id:
            changelog.unreadable[lead_id] = f"{where}: its key is not its lead"
            return
        changelog.leads[lead_id] = pack(profile)
        changelog.highest_offset = max(changelog.highest_offset, profile.last_offset)

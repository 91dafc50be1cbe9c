"""State from the changelog: where a partition goes on, and what its leads' profiles were there."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from threading import Event, Thread

import structlog
from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    IsolationLevel,
    KafkaError,
    KafkaException,
    Message,
    TopicCollection,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient

from consumer.assignment import Leads, Partition
from consumer.end_offsets import end_offsets
from consumer.ports import Restored
from consumer.processor import REBUILD_HINT
from runtime.clock import Clock
from runtime.errors import FatalError, StateError
from schemas.codec import Codec, UndecodableError, UnknownSchemaError
from scoring.profile import from_record, pack

log = structlog.get_logger(__name__)

RETRY_S = 0.5
REQUEST_TIMEOUT_S = 10.0
CHUNK_RECORDS = 5_000


@dataclass(frozen=True, slots=True)
class TopicIds:
    """Which topics the state belongs to: a topic that was recreated has another id."""

    events: str
    profiles: str

    def to_metadata(self) -> str:
        """What goes with each committed offset."""
        return json.dumps({"events": self.events, "profiles": self.profiles}, separators=(",", ":"))

    @classmethod
    def of(cls, admin: AdminClient, events: str, profiles: str) -> TopicIds:
        """Asks the cluster.

        Raises:
            KafkaException: It could not tell.
        """
        described = admin.describe_topics(TopicCollection([events, profiles]), request_timeout=REQUEST_TIMEOUT_S)
        return cls(*(str(described[name].result().topic_id) for name in (events, profiles)))


@dataclass(slots=True)
class Changelog:
    """A partition of the changelog, folded."""

    leads: Leads = field(default_factory=dict)
    last_offset: int = -1
    """The highest input offset that a profile has applied."""


class ChangelogReader:
    """Reads partitions of the changelog from their start to their end as of now."""

    def __init__(self, consumer: Consumer, admin: AdminClient, codec: Codec, topic: str, group_id: str) -> None:
        self._consumer, self._admin, self._codec = consumer, admin, codec
        self._topic, self._group_id = topic, group_id

    def read(self, number: int, stop: Callable[[], bool]) -> Changelog | None:
        """What a partition holds; None when `stop` ended it early.

        The end is the high watermark, not the last stable offset: commit markers are written per partition, and one
        may be missing here while the input offset of its transaction is committed already. Only once the last stable
        offset has passed the mark is the partition read, so that its end is reached with every marker in place.

        Raises:
            StateError: A value cannot be read, or is another group's.
            KafkaException: Kafka could not answer.
        """
        end = self._end(number, IsolationLevel.READ_UNCOMMITTED)
        while self._end(number, IsolationLevel.READ_COMMITTED) < end:
            if stop():
                return None
            log.info("restore_waits", partition=number, why="a transaction is open on the changelog")
            Event().wait(RETRY_S)
        changelog = Changelog()
        if end <= 0:
            return changelog
        self._consumer.assign([TopicPartition(self._topic, number, OFFSET_BEGINNING)])
        try:
            while not stop():
                if self._apply(self._poll(), changelog, number, end):
                    return changelog
        finally:
            self._consumer.unassign()
        return None

    def _poll(self) -> list[Message]:
        first = self._consumer.poll(0.2)
        return [] if first is None else [first, *self._consumer.consume(CHUNK_RECORDS, timeout=0)]

    def _end(self, number: int, isolation: IsolationLevel) -> int:
        return end_offsets(self._admin, self._topic, [number], isolation)[number]

    def _apply(self, messages: list[Message], changelog: Changelog, number: int, end: int) -> bool:
        """Folds messages into the state; True at the end of the partition."""
        for message in messages:
            error = message.error()
            if error is not None:
                if error.code() == KafkaError._PARTITION_EOF:
                    return True  # read committed, and the last stable offset is past the mark: nothing is missing
                raise KafkaException(error)
            self._take(message.key(), message.value(), message.offset() or 0, changelog, number)
            if (message.offset() or 0) >= end - 1:
                return True
        return False

    def _take(self, key: bytes | None, value: bytes | None, offset: int, changelog: Changelog, number: int) -> None:
        where = f"{self._topic}-{number} at offset {offset}"
        try:
            lead_id = (key or b"").decode()
            if value is None:
                changelog.leads.pop(lead_id, None)
                return
            recorded_id, group_id, profile = from_record(self._codec.decode(value))
        except (UndecodableError, UnknownSchemaError, UnicodeDecodeError) as error:
            raise StateError(
                f"the changelog cannot be read: {where}: {type(error).__name__}. {REBUILD_HINT}"
            ) from error
        if group_id != self._group_id:
            raise StateError(
                f"the changelog is another group's: {where} belongs to {group_id!r}, this is {self._group_id!r}. "
                "Give each group its own topics.profiles, or start with the group_id that wrote it"
            )
        if recorded_id != lead_id:
            raise StateError(f"the changelog cannot be read: {where}: its key is not its lead. {REBUILD_HINT}")
        changelog.leads[lead_id] = pack(profile)
        changelog.last_offset = max(changelog.last_offset, profile.last_offset)


class StartOffsets:
    """Where each input partition goes on, checked against the topic and the state."""

    def __init__(self, consumer: Consumer, topic: str, ids: TopicIds) -> None:
        self._consumer, self._topic, self._ids = consumer, topic, ids

    def committed(self, numbers: list[int]) -> dict[int, int]:
        """Committed offsets, pending ones waited for; partitions without one are left out.

        Raises:
            KafkaException: The coordinator could not answer in time.
        """
        return {p.partition: p.offset for p in self._fetch(numbers) if p.offset >= 0}

    def check(self, number: int) -> tuple[int, bool]:
        """The next offset of a partition and whether the group is new to it.

        Raises:
            StateError: The topic is not the one that was committed for, or records after the offset are gone.
            KafkaException: Kafka could not answer.
        """
        (found,) = self._fetch([number])
        low, high = self._consumer.get_watermark_offsets(
            TopicPartition(self._topic, number), timeout=REQUEST_TIMEOUT_S, cached=False
        )
        if found.offset < 0:
            return low, True
        self._check_ids(number, found.metadata)
        where = f"{self._topic}-{number}: committed offset {found.offset}"
        if found.offset < low:
            raise StateError(
                f"{where}, but the log begins at {low}: {low - found.offset} records were lost to retention "
                f"before they were scored. {REBUILD_HINT}"
            )
        if found.offset > high:
            raise StateError(
                f"{where}, but the log ends at {high}: the topic was truncated or recreated. {REBUILD_HINT}"
            )
        return found.offset, False

    def _check_ids(self, number: int, metadata: str | None) -> None:
        expected = json.loads(self._ids.to_metadata())
        try:
            named = json.loads(metadata or "")
        except ValueError:
            named = None
        if not isinstance(named, dict):
            raise StateError(
                f"{self._topic}-{number}: the committed offset was not written by this service (its metadata names no "
                f"topics): the group's offsets were reset. {REBUILD_HINT}"
            )
        wrong = [name for name, topic_id in expected.items() if named.get(name) != topic_id]
        if wrong:
            raise StateError(
                f"{self._topic}-{number}: the {' and '.join(wrong)} topic was recreated since the offset was committed "
                f"(committed for {named}, now {expected}). {REBUILD_HINT}"
            )

    def _fetch(self, numbers: list[int]) -> list[TopicPartition]:
        asked = [TopicPartition(self._topic, number) for number in numbers]
        found = self._consumer.committed(asked, timeout=REQUEST_TIMEOUT_S)
        for partition in found:
            if partition.error:
                raise KafkaException(partition.error)
        return found


class BackgroundRestorer:
    """Implements `consumer.ports.Restorer` on a thread: the loop goes on serving what it has."""

    def __init__(
        self,
        offsets: StartOffsets,
        changelog: ChangelogReader,
        clock: Clock,
        report_seconds: Callable[[float], None],
    ) -> None:
        self._offsets, self._changelog, self._clock = offsets, changelog, clock
        self._report_seconds = report_seconds
        self._requests: SimpleQueue[list[Partition]] = SimpleQueue()
        self._results: SimpleQueue[Restored | FatalError] = SimpleQueue()
        self._stop = Event()
        self._thread = Thread(target=self._work, name="restore", daemon=True)
        self._thread.start()

    def request(self, partitions: list[Partition]) -> None:
        """Asks for the state of partitions."""
        self._requests.put(partitions)

    def finished(self) -> list[Restored | FatalError]:
        """What was restored since the last call; an error ends the service."""
        found = []
        while True:
            try:
                found.append(self._results.get_nowait())
            except Empty:
                return found

    def close(self) -> None:
        """Ends the thread at its next step."""
        self._stop.set()
        self._requests.put([])

    def _work(self) -> None:
        while not self._stop.is_set():
            partitions = self._requests.get()
            began_s = self._clock.monotonic()
            for partition in partitions:
                self._restore(partition)
            if partitions:
                seconds = self._clock.monotonic() - began_s
                self._report_seconds(seconds)
                log.info("restored", partitions=[p.number for p in partitions], seconds=round(seconds, 3), next="reads")

    def _restore(self, partition: Partition) -> None:
        """Tries until it is restored, impossible, or not wanted any more."""

        def unwanted() -> bool:
            return self._stop.is_set() or partition.dropped

        while not unwanted():
            try:
                result = self._attempt(partition, unwanted)
            except FatalError as error:
                self._results.put(error)
                return
            except KafkaException as exception:
                log.warning("restore_failed", partition=partition.number, error=str(exception), next="tries again")
                self._stop.wait(RETRY_S)
            except Exception as error:
                log.exception("restore_failed", partition=partition.number)
                self._results.put(FatalError(f"restore of partition {partition.number} failed: {error!r}"))
                return
            else:
                if result is not None:
                    self._results.put(result)
                return

    def _attempt(self, partition: Partition, unwanted: Callable[[], bool]) -> Restored | None:
        number = partition.number
        next_offset, new = self._offsets.check(number)  # before the changelog's end is taken
        changelog = self._changelog.read(number, unwanted)
        if changelog is None:
            return None
        if new and changelog.leads:
            raise StateError(
                f"partition {number} has the profiles of {len(changelog.leads)} leads but no committed offset: "
                f"the group's offsets expired or were deleted. {REBUILD_HINT}"
            )
        if not new and changelog.last_offset >= next_offset:
            raise StateError(
                f"partition {number}: the committed offset is {next_offset}, but the state has offset "
                f"{changelog.last_offset} applied: the group's offsets went back. {REBUILD_HINT}"
            )
        return Restored(partition, changelog.leads, next_offset, new)

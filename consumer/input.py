"""The events topic, read as a member of the consumer group. Only this module knows how the client wants it done."""

from __future__ import annotations

import struct
from collections.abc import Callable
from functools import partial
from threading import Thread

import structlog
from confluent_kafka import OFFSET_END, Consumer, KafkaError, KafkaException, Message, TopicPartition

from consumer.damage import DAMAGED, damaged
from consumer.drills import At, nowhere
from consumer.ports import Membership, RebalanceListener
from consumer.records import Headers, Polled, Record, new
from runtime.clock import Clock, SystemClock
from runtime.errors import ConfigurationError, FatalError, KafkaUnavailableError, StateError
from runtime.kafka import REFUSALS, RIGHTS
from schemas.times import MAX_MS

log = structlog.get_logger(__name__)

UNTOLD_S = 3.0
"""A member of a group that hears of no partitions for so long has none."""
HOMELESS_S = 90.0
"""A client that hears of no assignment for so long is replaced, the next one after twice as long. Longer than
`max.poll.interval.ms`, for which a rebalance may wait for other members."""
ASK_S, GAP_S = 1.0, 10.0
"""So often it is asked; where it was not asked for longer the process stood still, and the client still has to see."""
_MEMBERSHIP = b"CGMDv2:"
"""How the client writes a membership; the generation follows, -1 before the group was joined."""

_GONE = {KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC, KafkaError._UNKNOWN_PARTITION}


class KafkaInput:
    """Implements `consumer.ports.Input`.

    Partitions are assigned at their end, and nothing is given of them until `start`, when the state is there; the group
    keeps its member meanwhile. Where the end is the client asks the broker, and the answer moves the partition there
    even if a seek has come before it (librdkafka#2256): what was written in between would never be read. So a partition
    is sought only once it was heard of, be it by a record or by its end; it is paused then, and resumed with the seek.

    A client whose session ended while its coordinator was away may never look for it again, and says nothing (seen with
    confluent-kafka 2.16, once in some 30 restarts of a lone broker on a busy machine): it is replaced. That it lost its
    partitions it tells; where it had none, that it is no member any more (by the protocol `consumer` it says neither).
    """

    def __init__(
        self, make_consumer: Callable[[], Consumer], topic: str, at: At = nowhere, clock: Clock | None = None
    ) -> None:
        self._make_consumer, self._consumer = make_consumer, make_consumer()
        self._topic, self._at = topic, at
        self._clock = clock or SystemClock()
        self._listener: RebalanceListener | None = None
        self._told = False
        self._joined_s: float | None = None
        self._homeless_since_s = self._clock.monotonic()
        self._patience_s = HOMELESS_S
        self._asked_s = 0.0
        self._seeks: dict[int, int] = {}
        self._heard_of: set[int] = set()
        self._started: set[int] = set()
        self._to_resume: set[int] = set()
        self._paused = False
        self._damaged: dict[int, int] = {}
        """By partition, where a batch could not be read the last time."""
        self._read_again: set[int] = set()
        """Those of them of which nothing was read since."""

    def subscribe(self, listener: RebalanceListener) -> None:
        """Joins the group; the listener hears of assignments from within `poll`."""
        self._listener, own = listener, self._consumer

        def heard(tell: Callable[[list[int]], None]) -> Callable[[Consumer, list[TopicPartition]], None]:
            def hear(_: Consumer, partitions: list[TopicPartition]) -> None:
                if own is self._consumer:  # else it was replaced, and comes too late
                    tell([p.partition for p in partitions])

            return hear

        def assigned(numbers: list[int]) -> None:
            self._told, self._patience_s = True, HOMELESS_S
            ends = [TopicPartition(self._topic, number, OFFSET_END) for number in numbers]
            own.incremental_assign(ends)
            # A partition that was taken away while it was paused is still paused: nothing would be heard of it.
            own.resume(ends)
            self._forget(numbers)
            listener.assigned(numbers)

        def revoked(numbers: list[int]) -> None:
            listener.revoked(numbers)
            self._forget(numbers)

        def lost(numbers: list[int]) -> None:
            listener.lost(numbers)
            self._forget(numbers)
            self._told, self._joined_s, self._homeless_since_s = False, None, self._clock.monotonic()

        self._consumer.subscribe(
            [self._topic], on_assign=heard(assigned), on_revoke=heard(revoked), on_lost=heard(lost)
        )

    def poll(self, timeout_s: float, max_records: int) -> Polled:
        """Waits for a first record, then takes what waits: the batch call alone would wait for a full batch.

        Raises:
            StateError: The offset to read from is not there (any more).
            ConfigurationError: The topic is gone.
            KafkaUnavailableError: This principal may not read the topic or join the group.
        """
        self._replace_if_homeless()
        self._seek()
        self._set_paused(max_records <= 0)
        first = self._consumer.poll(timeout_s)
        if first is None:
            if not self._told:
                self._tell_of_nothing()
            return Polled([], {})
        messages = [first]
        if max_records > 1:
            messages += self._consumer.consume(max_records - 1, timeout=0)
        self._at("after_poll")
        return self._sort(messages)

    def start(self, number: int, next_offset: int) -> None:
        """Reads a restored partition from `next_offset` on."""
        self._started.add(number)
        self._to_resume.add(number)
        self.rewind({number: next_offset})

    def rewind(self, next_offsets: dict[int, int]) -> None:
        """Reads partitions again from these offsets, before the next poll."""
        self._seeks.update(next_offsets)

    def membership(self) -> Membership | None:
        """A snapshot of the group metadata.

        Without a member id the broker would not fence a commit: then there is nothing to commit under.
        """
        if not self._consumer.memberid():
            return None
        metadata: Membership | None = self._consumer.consumer_group_metadata()
        return metadata

    def owned(self) -> set[int]:
        """The partitions that the client holds assigned now."""
        return {partition.partition for partition in self._consumer.assignment()}

    def reopen(self) -> None:
        """Leaves the group and joins it again with another client; the listener hears of it as of a rebalance."""
        self._consumer.close()
        self._begin_anew()

    def _replace_if_homeless(self) -> None:
        now_s = self._clock.monotonic()
        unwatched_s, waited_s = now_s - self._asked_s, now_s - self._homeless_since_s
        if unwatched_s < ASK_S:
            return
        self._asked_s = now_s
        if unwatched_s > GAP_S or self.owned() or (self._told and self._consumer.memberid()):
            self._homeless_since_s = now_s
            return
        if waited_s < self._patience_s:
            return
        log.error("assignment_missing", waited_s=round(waited_s), next="joins the group with a new client")
        self._patience_s *= 2
        old = self._consumer
        self._begin_anew()
        Thread(target=old.close, name="abandoned-consumer", daemon=True).start()  # which may take for ever

    def _begin_anew(self) -> None:
        assert self._listener is not None, "subscribe() comes first"
        for known in (self._seeks, self._heard_of, self._started, self._to_resume, self._read_again):
            known.clear()
        self._told, self._joined_s, self._paused = False, None, False
        self._consumer, self._homeless_since_s = self._make_consumer(), self._clock.monotonic()
        self.subscribe(self._listener)

    def close(self) -> None:
        """Leaves the group; the listener hears of the partitions once more."""
        self._consumer.close()

    def _tell_of_nothing(self) -> None:
        """Tells of a first assignment without partitions: by the protocol `consumer` the client keeps it to itself."""
        if self._joined_s is None and _generation(self.membership()) > 0:
            self._joined_s = self._clock.monotonic()
        silent_s = 0.0 if self._joined_s is None else self._clock.monotonic() - self._joined_s
        if self._listener is not None and silent_s >= UNTOLD_S:
            self._told = True
            self._listener.assigned([])

    def _forget(self, numbers: list[int]) -> None:
        for number in numbers:
            self._seeks.pop(number, None)
            self._heard_of.discard(number)
            self._started.discard(number)
            self._to_resume.discard(number)
            self._read_again.discard(number)

    def _seek(self) -> None:
        for number, offset in list(self._seeks.items()):
            if number not in self._heard_of:
                continue
            try:
                self._consumer.seek(TopicPartition(self._topic, number, offset))
            except KafkaException as error:
                # The fetcher of a partition that was just assigned may not have started: again at the next poll.
                log.debug("seek_postponed", partition=number, offset=offset, error=str(error))
                continue
            del self._seeks[number]
            if number in self._to_resume:
                self._to_resume.discard(number)
                if not self._paused:
                    self._consumer.resume([TopicPartition(self._topic, number)])

    def _set_paused(self, paused: bool) -> None:
        """Back-pressure: the group is served by polling on, but nothing may be delivered."""
        if paused == self._paused:
            return
        started = [TopicPartition(self._topic, n) for n in self._started - self._to_resume]
        if started:
            (self._consumer.pause if paused else self._consumer.resume)(started)
        self._paused = paused

    def _sort(self, messages: list[Message]) -> Polled:
        records: list[Record] = []
        ends: dict[int, int] = {}
        add, readable, again = records.append, self._started - self._seeks.keys(), self._read_again
        for message in messages:
            number: int = message.partition()  # type: ignore[assignment]
            error = message.error()
            if number not in readable:
                self._hear_of(number, error)
            if error is not None:
                self._on_error(error, number, message.offset(), ends)
                readable -= self._seeks.keys()
            elif number in readable:
                at_ms = message.timestamp()[1]
                if at_ms > MAX_MS:  # a producer's clock may say what no profile can hold
                    at_ms = MAX_MS
                fields = (number, message.offset(), at_ms, message.key(), message.value(), partial(_headers, message))
                add(new(Record, fields))
                if again:
                    again.discard(number)
        return Polled(records, ends)

    def _hear_of(self, number: int, error: KafkaError | None) -> None:
        """The first record or end of an assigned partition: the client knows where it is."""
        if number not in self._heard_of and (error is None or error.code() == KafkaError._PARTITION_EOF):
            self._heard_of.add(number)
            self._consumer.pause([TopicPartition(self._topic, number)])

    def _on_error(self, error: KafkaError, number: int, offset: int | None, ends: dict[int, int]) -> None:
        code = error.code()
        readable = number in self._started and number not in self._seeks
        if code == KafkaError._PARTITION_EOF:
            if readable and offset is not None:
                ends[number] = offset
        elif code in (KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE):
            if readable:
                self._on_out_of_range(number, offset, error)
        elif code in DAMAGED:
            if readable:
                self._on_damage(number, offset, error)
        elif code == KafkaError._FATAL:
            raise FatalError(
                f"the Kafka client cannot go on: {error.str()}. `group.protocol` in kafka.client must be one that the "
                "brokers know (consumer: from Kafka 4.0 on); else start again"
            )
        elif code in REFUSALS:
            raise KafkaUnavailableError(f"not authorised to read {self._topic}: {error.str()}. {RIGHTS}")
        elif code in _GONE:
            raise ConfigurationError(
                f"{self._topic} is gone: {error.str()}. If it was deleted on purpose, `lead-scorer topics create`"
            )
        else:
            log.warning("consumer_error", error=error.name(), detail=error.str(), next="the client retries by itself")

    def _on_out_of_range(self, number: int, offset: int | None, error: KafkaError) -> None:
        if number in self._read_again and offset != self._damaged[number]:
            self._seeks[number] = self._damaged[number]  # the client had gone on behind the batch, past the end
            self._read_again.discard(number)
            return
        raise StateError(
            f"{self._topic}-{number}: the next record to be read is gone ({error.str()}). Records were lost "
            "to retention or the topic was recreated. `lead-scorer run --rebuild-state` goes on with the rest"
        )

    def _on_damage(self, number: int, offset: int | None, error: KafkaError) -> None:
        """The client has gone on with what comes after the batch: nothing of that may be taken."""
        if offset is None or offset < 0 or self._damaged.get(number) == offset:
            raise StateError(
                f"{damaged(self._topic, number, offset, error)}. If there is none, delete the records up to the end of "
                "its batch (`kafka-dump-log.sh` tells where that is, `kafka-delete-records.sh` does it), and then "
                "`lead-scorer run --rebuild-state` goes on with the rest"
            )
        log.warning("batch_unreadable", partition=number, offset=offset, error=error.str(), next="reads it again")
        self._damaged[number] = self._seeks[number] = offset
        self._read_again.add(number)


def _generation(membership: object) -> int:
    """The generation (or epoch) of a membership; -1 without one.

    The client has no other way to say whether the group was joined.
    """
    if not isinstance(membership, bytes) or not membership.startswith(_MEMBERSHIP):
        return -1
    return int(struct.unpack_from("=i", membership, len(_MEMBERSHIP))[0])


def _headers(message: Message) -> Headers | None:
    """A record's headers; none where a name is no UTF-8.

    The client cannot read such a name, and gives an unfinished tuple when it is asked again: touching that is a crash.
    """
    try:
        return message.headers()  # type: ignore[return-value]
    except SystemError:
        message.set_headers([])
        log.warning("headers_unreadable", partition=message.partition(), offset=message.offset(), next="goes without")
        return []

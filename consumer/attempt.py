"""The client's calls for one transaction: all that may block, fail, or never come back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from threading import Lock
from typing import NamedTuple

import structlog
from confluent_kafka import KafkaError, KafkaException, Message, Producer, TopicPartition

from consumer.drills import At
from consumer.end_offsets import Place
from consumer.ports import Settlement, Transaction
from consumer.records import Output, last_by_place
from runtime.clock import Clock

log = structlog.get_logger(__name__)

SLOW_END_S = 1.0
"""An end that took longer may have been sent twice; a late first copy must not meet the next transaction."""
FLUSH_TIMEOUT_S = 10.0
MEMBERSHIP = {KafkaError.UNKNOWN_MEMBER_ID, KafkaError.ILLEGAL_GENERATION, KafkaError.FENCED_INSTANCE_ID}
"""What the broker says to offsets of a membership that is over."""
REBALANCES = MEMBERSHIP | {
    KafkaError.REBALANCE_IN_PROGRESS,
    KafkaError.FENCED_MEMBER_EPOCH,
    KafkaError.STALE_MEMBER_EPOCH,
}
"""What it says in ordinary life."""

_PURGED = {KafkaError._PURGE_QUEUE, KafkaError._PURGE_INFLIGHT}
"""Of records that an abort took back."""


class Undelivered:
    """A producer's callback for records that were not delivered: keeps why, for the commit only says that."""

    def __init__(self) -> None:
        self.error: KafkaError | None = None
        self.topic: str | None = None

    def __call__(self, error: KafkaError | None, message: Message) -> None:
        """A record's fate."""
        if error is not None and error.code() not in _PURGED:
            self.error, self.topic = error, message.topic()


class End(NamedTuple):
    """How the calls ended.

    Attributes:
        committed: None where the client did not tell.
        error: Why it is not committed, or why nobody knows.
        prompt: The end was answered at once: no copy of it can still be under way.
    """

    committed: bool | None
    error: KafkaError | None = None
    prompt: bool = False


class Attempt:
    """One transaction on one producer.

    Whoever claims it decides how it ended, and only one can: the thread that makes the calls once they are back, or
    the one that has waited long enough for it.

    Args:
        producer: Whose transaction it is.
        undelivered: What its records could not be delivered for.
        transaction: What is to be committed.
        events_topic: The topic whose offsets are sent.
        metadata: What goes with each offset; no other transaction has it.
        clock: Monotonic time.
        back_off: Waits before a try of the given number.
        at: Passed between the steps; for drills.

    Attributes:
        offsets: What is committed of the input, with the metadata.
        settlement: Set by who claimed it.
        began_s: In monotonic seconds.
    """

    def __init__(
        self,
        producer: Producer,
        undelivered: Undelivered,
        transaction: Transaction,
        events_topic: str,
        metadata: str,
        *,
        clock: Clock,
        back_off: Callable[[int], None],
        at: At,
    ) -> None:
        self.transaction, self.metadata = transaction, metadata
        self.offsets = [TopicPartition(events_topic, n, o, metadata) for n, o in transaction.next_offsets.items()]
        self._producer, self._undelivered = producer, undelivered
        self._clock, self._back_off, self._at = clock, back_off, at
        self._claimed = Lock()
        self.settlement: Future[Settlement] = Future()
        self.began_s = clock.monotonic()

    def claim(self) -> bool:
        """Whether the caller is the one who decides."""
        return self._claimed.acquire(blocking=False)

    @property
    def last_outputs(self) -> dict[Place, Output]:
        """Of each partition that it writes to, the last record."""
        return last_by_place(self.transaction.outputs)

    def has_landed(self, committed: Iterable[TopicPartition]) -> bool:
        """Whether its metadata stand beside one of the committed offsets."""
        return any(partition.metadata == self.metadata for partition in committed)

    def run(self) -> End:
        """Makes the calls; may never return."""
        try:
            return End(committed=True, prompt=self._commit())
        except KafkaException as exception:
            error: KafkaError = exception.args[0]
        if self._claimed.locked():  # given up, and long decided: what comes back now is no news
            return End(committed=None, error=error)
        aborts, undelivered = error.txn_requires_abort(), self._undelivered
        if error.code() == KafkaError._INCONSISTENT and undelivered.error is not None:
            error = undelivered.error
        age_s = round(self._clock.monotonic() - self.began_s, 3)
        log.warning(
            "transaction_failed",
            error=error.name(),
            detail=error.str(),
            undelivered_to=undelivered.topic,
            age_s=age_s,
        )
        if not aborts:
            return End(committed=None, error=error)
        try:
            return End(committed=False, error=error, prompt=self._ending(self._producer.abort_transaction))
        except KafkaException as exception:
            error = exception.args[0]
            log.warning("abort_failed", error=error.name(), detail=error.str(), next="a new producer")
        return End(committed=None, error=error)

    def run_into_abort(self) -> bool:
        """Writes to the same partitions and aborts it: what a transaction of this id has left open there ends with it.

        Returns:
            Whether the offsets were sent too, or refused as those of a membership that is over: only after their
            partition has become part of the transaction.

        Raises:
            KafkaException: It may be open still.
        """
        self._producer.begin_transaction()
        whole = True
        try:
            self._produce(self.transaction.outputs)
            self._producer.flush(FLUSH_TIMEOUT_S)
            self._send_offsets()
        except KafkaException as exception:
            error: KafkaError = exception.args[0]
            if not error.txn_requires_abort():
                raise
            whole = error.code() in MEMBERSHIP
        self._retrying(self._producer.abort_transaction)
        return whole

    def _commit(self) -> bool:
        producer = self._producer
        self._undelivered.error = self._undelivered.topic = None
        producer.begin_transaction()
        self._produce(self.transaction.outputs)
        self._at("after_produce")
        self._send_offsets()
        self._at("after_offsets")
        self._at("in_commit")
        prompt = self._ending(producer.commit_transaction)
        self._at("after_commit")
        return prompt

    def _produce(self, outputs: Sequence[Output]) -> None:
        produce = self._producer.produce
        for topic, partition, key, value, timestamp_ms, headers in outputs:
            while True:
                try:
                    if headers is None:
                        produce(topic, value, key, partition, timestamp=timestamp_ms)
                    else:
                        produce(topic, value, key, partition, timestamp=timestamp_ms, headers=headers)  # type: ignore[arg-type]
                except BufferError:
                    self._producer.poll(0.05)  # the queue is full: what was sent makes room
                else:
                    break

    def _send_offsets(self) -> None:
        offsets, membership = self.offsets, self.transaction.standing.membership
        self._retrying(lambda: self._producer.send_offsets_to_transaction(offsets, membership))

    def _ending(self, end: Callable[[], None]) -> bool:
        """Commits or aborts; whether that was answered at once."""
        began_s = self._clock.monotonic()
        attempts = self._retrying(end)
        return attempts == 1 and self._clock.monotonic() - began_s <= SLOW_END_S

    def _retrying(self, call: Callable[[], None]) -> int:
        """Makes the same call again while the client says that it is retriable, and nobody has given up."""
        attempt = 0
        while True:
            attempt += 1
            try:
                call()
            except KafkaException as exception:
                error: KafkaError = exception.args[0]
                final = error.fatal() or error.txn_requires_abort() or not error.retriable()
                if final or self._claimed.locked():
                    raise
                self._back_off(attempt)
            else:
                return attempt

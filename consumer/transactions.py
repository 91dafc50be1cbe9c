"""One transaction at a time, on a thread of its own, until its end is known.

The five steps, as the contract's section 2 wants them:

1. begin (local);
2. produce every output to the partition number that its input came from;
3. send the input's next offsets under the membership that was current when the input was polled;
4. commit, without a timeout: the client finishes it, however long the broker is away;
5. on an error: abort if the client says so, else build a new producer. Its `init_transactions()` completes or aborts
   what the old one left, and the committed offsets then tell which of the two it was.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from secrets import token_hex
from threading import Event

import structlog
from confluent_kafka import KafkaError, KafkaException, Producer, TopicPartition

from consumer.drills import At, nowhere
from consumer.fencing import Fencing
from consumer.ports import Settlement, Transaction
from consumer.records import Output
from runtime.clock import Clock
from runtime.errors import ConfigurationError, FatalError, FencedError, KafkaUnavailableError
from runtime.kafka import REFUSALS

log = structlog.get_logger(__name__)

FENCED = {
    KafkaError._FENCED,
    KafkaError.INVALID_PRODUCER_EPOCH,
    KafkaError.PRODUCER_FENCED,
    KafkaError.TRANSACTION_COORDINATOR_FENCED,
}
INIT_TIMEOUT_S = 10.0
START_TIMEOUT_S = 27.0
SLOW_END_S = 1.0
"""An end that took longer may have been sent twice; a late first copy must not meet the next transaction."""
TOKEN_BYTES = 8
BACKOFF_S = 0.05
BACKOFF_MAX_S = 2.0


class Transactor:
    """Implements `consumer.ports.Transactions` on a transactional producer.

    Args:
        make_producer: Builds a producer; it is given the callback for delivery errors.
        committed_metadata: Reads what was committed with the offsets of input partitions, waiting for pending ones.
        events_topic: The topic whose offsets are sent.
        metadata: What goes with each offset of a transaction, made of a token that no other transaction has.
        clock: Monotonic time, for the age of transactions.
        fencing: Decides whether a fenced process ends.
        at: Passed between the steps; for drills.
    """

    def __init__(
        self,
        *,
        make_producer: Callable[[], Producer],
        committed_metadata: Callable[[list[int]], list[str]],
        events_topic: str,
        metadata: Callable[[str], str],
        clock: Clock,
        fencing: Fencing,
        at: At = nowhere,
    ) -> None:
        self._make_producer, self._committed_metadata = make_producer, committed_metadata
        self._events_topic, self._metadata = events_topic, metadata
        self._clock, self._fencing, self._at = clock, fencing, at
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="transactions")
        self._stop = Event()
        self._producer: Producer | None = None

    def open(self) -> None:
        """Takes over the transactional id; what an earlier holder left open is aborted.

        Raises:
            KafkaUnavailableError: Not within 27 s, or not authorised.
            ConfigurationError: The broker allows no transaction to take so long as is configured.
        """
        deadline = self._clock.monotonic() + START_TIMEOUT_S
        attempt = 0
        while True:
            attempt += 1
            producer = self._make_producer()
            try:
                producer.init_transactions(INIT_TIMEOUT_S)
            except KafkaException as exception:
                error: KafkaError = exception.args[0]
                if error.code() in REFUSALS:
                    raise KafkaUnavailableError(f"not authorised for transactions: {error.str()}") from exception
                if error.code() == KafkaError.INVALID_TRANSACTION_TIMEOUT:
                    timeout_ms = round(1000 * self._fencing.timeout_s)
                    raise ConfigurationError(
                        f"kafka.client.transaction.timeout.ms = {timeout_ms}: must be at most the broker's "
                        "transaction.max.timeout.ms (900000, unless the broker sets another)"
                    ) from exception
                if self._clock.monotonic() >= deadline:
                    raise KafkaUnavailableError(f"no transaction coordinator: {error.str()}") from exception
                self._back_off(attempt)  # some errors come at once, and each try makes a new client
            else:
                self._producer = producer
                return

    def submit(self, transaction: Transaction) -> Future[Settlement]:
        """Runs a transaction on this object's thread."""
        return self._executor.submit(self._run, transaction)

    def close(self) -> None:
        """Takes no more transactions and stops waiting between tries."""
        self._stop.set()
        self._executor.shutdown(wait=False, cancel_futures=True)

    def _run(self, transaction: Transaction) -> Settlement:
        began_s = self._clock.monotonic()
        metadata = self._metadata(token_hex(TOKEN_BYTES))
        try:
            self._attempt(transaction, metadata)
        except KafkaException as exception:
            return self._recover(transaction, metadata, exception.args[0], began_s)
        return Settlement(committed=True)

    def _attempt(self, transaction: Transaction, metadata: str) -> None:
        producer = self._held()
        producer.begin_transaction()
        self._produce(producer, transaction.outputs)
        self._at("after_produce")
        offsets = [
            TopicPartition(self._events_topic, number, offset, metadata)
            for number, offset in transaction.next_offsets.items()
        ]
        self._retrying(lambda: producer.send_offsets_to_transaction(offsets, transaction.membership))
        self._at("after_offsets")
        self._at("in_commit")
        self._ending(producer.commit_transaction)
        self._at("after_commit")

    def _produce(self, producer: Producer, outputs: Sequence[Output]) -> None:
        produce = producer.produce
        for topic, partition, key, value, timestamp_ms, headers in outputs:
            while True:
                try:
                    if headers is None:
                        produce(topic, value, key, partition, timestamp=timestamp_ms)
                    else:
                        produce(topic, value, key, partition, timestamp=timestamp_ms, headers=headers)  # type: ignore[arg-type]
                except BufferError:
                    producer.poll(0.05)  # the queue is full: what was sent makes room
                else:
                    break

    def _recover(self, transaction: Transaction, metadata: str, error: KafkaError, began_s: float) -> Settlement:
        """Makes sure how the transaction ended, whatever it takes."""
        age_s = round(self._clock.monotonic() - began_s, 3)
        log.warning("transaction_failed", error=error.name(), detail=error.str(), age_s=age_s)
        if error.txn_requires_abort():
            try:
                self._ending(self._held().abort_transaction)
            except KafkaException as exception:
                error = exception.args[0]
                log.warning("abort_failed", error=error.name(), detail=error.str(), next="a new producer")
            else:
                return Settlement(committed=False, error=error.name())
        now_s = self._clock.monotonic()  # the abort may have waited for the network: the age at the error is not enough
        if error.code() in FENCED and self._fencing.must_end(now_s, now_s - began_s):
            raise FencedError(
                "fenced twice within 60 s: another instance runs with this kafka.instance_id. "
                "Give each process its own instance_id"
            )
        self._rebuild()
        landed = self._landed(list(transaction.next_offsets), metadata)
        log.info("transaction_resolved", committed=landed)
        return Settlement(committed=landed, error=error.name())

    def _landed(self, numbers: list[int], metadata: str) -> bool:
        """Whether a transaction whose end was not told is committed; the broker has ended it by now.

        The offsets alone would not tell: another owner may have committed the same since. A transaction is atomic, so
        one partition that has its metadata is enough; if none has, it was aborted, or all are somebody else's by now.
        """
        attempt = 0
        while True:
            attempt += 1
            try:
                return metadata in self._committed_metadata(numbers)
            except KafkaException as exception:
                log.warning("committed_offsets_unknown", error=str(exception), next="asks again")
                self._back_off(attempt)

    def _rebuild(self) -> None:
        """A new producer under the same id: its epoch shuts out whatever of the old one is still on its way."""
        self._producer = None
        for attempt in range(10**6):
            producer = self._make_producer()
            try:
                producer.init_transactions(INIT_TIMEOUT_S)
            except KafkaException as exception:
                error: KafkaError = exception.args[0]
                if error.code() in REFUSALS:
                    raise KafkaUnavailableError(f"not authorised for transactions: {error.str()}") from exception
                log.warning("producer_rebuild_failed", error=error.name(), next="tries again")
                self._back_off(attempt)
            else:
                self._producer = producer
                return

    def _ending(self, end: Callable[[], None]) -> None:
        """Commits or aborts; an end that was slow or repeated is followed by a new producer."""
        began_s = self._clock.monotonic()
        attempts = self._retrying(end)
        if attempts > 1 or self._clock.monotonic() - began_s > SLOW_END_S:
            log.info("producer_rebuilt", why="the end of a transaction was slow: a late copy must not meet the next")
            self._rebuild()

    def _retrying(self, call: Callable[[], None]) -> int:
        """Makes the same call again while the client says that it is retriable."""
        attempt = 0
        while True:
            attempt += 1
            try:
                call()
            except KafkaException as exception:
                error: KafkaError = exception.args[0]
                if error.fatal() or error.txn_requires_abort() or not error.retriable():
                    raise
                self._back_off(attempt)
            else:
                return attempt

    def _back_off(self, attempt: int) -> None:
        """Exponential with full jitter."""
        ceiling_s = min(BACKOFF_MAX_S, BACKOFF_S * 2 ** min(attempt, 10))
        if self._stop.wait(random.uniform(0, ceiling_s)):  # noqa: S311 - jitter
            raise FatalError("stopped while a transaction was open: it stays uncommitted")

    def _held(self) -> Producer:
        assert self._producer is not None, "open() comes first"
        return self._producer

"""One transaction at a time, each on a thread of its own, until its end is known.

The five steps, as the contract's section 2 wants them:

1. begin (local);
2. produce every output to the partition number that its input came from;
3. send the input's next offsets under the membership that was current when the input was polled;
4. commit, without a timeout: the client finishes it, however long the broker is away;
5. on an error: abort if the client says so, else, and when the client does not come back, build a new producer. Its
   `init_transactions()` completes or aborts what the old one left, and the committed offsets then tell which of the two
   it was. What the brokers left open on some partitions is aborted there.

Steps 1 to 4 and the abort are `consumer.attempt`, what follows an end that is not clear is `consumer.aftermath`, and
the rest is here.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from secrets import token_hex
from threading import Event

import structlog
from confluent_kafka import KafkaError, KafkaException, Producer

from consumer.aftermath import PATIENCE_S, Aftermath
from consumer.attempt import REBALANCES, Attempt, End, Undelivered
from consumer.detached import detached
from consumer.drills import At, nowhere
from consumer.endings import Endings
from consumer.fencing import Fencing
from consumer.ports import Settlement, Standing, Transaction
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
THREAD = "transactions"
INIT_TIMEOUT_S = 10.0
START_TIMEOUT_S = 27.0
PATIENCE_PAST_TIMEOUT_S = 1.0
"""Patience doubles each time in a row, so that slow brokers get as much as they need: to so much more than the
transaction's timeout, for by then the broker has ended it."""
OUTAGE_S = 2.0
"""From one end to the next: in so short a time no broker dies and comes back."""
LOOK_AGAIN_S = 1.0
"""A process that was stopped for a while lets its client hear of it first."""
TOKEN_BYTES = 8
BACKOFF_S = 0.05
BACKOFF_MAX_S = 2.0


class Transactor:
    """Implements `consumer.ports.Transactions` on a transactional producer, and `consumer.aftermath.Producers`.

    Args:
        make_producer: Builds a producer; it is given the callback for records that were not delivered.
        endings: Tell how transactions ended.
        events_topic: The topic whose offsets are sent.
        changelog_topic: The topic that a next owner restores from.
        metadata: What goes with each offset of a transaction, made of a token that no other transaction has.
        clock: Monotonic time, for the age of transactions.
        fencing: Decides whether a fenced process ends.
        at: Passed between the steps; for drills.
    """

    def __init__(
        self,
        *,
        make_producer: Callable[[Undelivered], Producer],
        endings: Endings,
        events_topic: str,
        changelog_topic: str,
        metadata: Callable[[str], str],
        clock: Clock,
        fencing: Fencing,
        at: At = nowhere,
    ) -> None:
        self._make_producer, self._aftermath = make_producer, Aftermath(endings, self, changelog_topic)
        self._events_topic, self._metadata = events_topic, metadata
        self._clock, self._fencing, self._at = clock, fencing, at
        self._stop = Event()
        self._producer: Producer | None = None
        self._undelivered = Undelivered()
        self._maybe_fenced = False
        """Set when a renewal got no answer: it may have been granted all the same, and that was no twin."""
        self._attempt: Attempt | None = None
        self._overdue: Attempt | None = None
        self._overdue_s = 0.0
        self._patience = 1.0
        self._ended_s: float | None = None
        """When the last transaction ended; None once it was looked at everywhere."""

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
            try:
                self._take_over()
            except KafkaException as exception:
                _raise_if_refused(exception)
                error: KafkaError = exception.args[0]
                if error.code() == KafkaError.INVALID_TRANSACTION_TIMEOUT:
                    timeout_ms = round(1000 * self._fencing.timeout_s)
                    raise ConfigurationError(
                        f"kafka.client.transaction.timeout.ms = {timeout_ms}: must be at most the broker's "
                        "transaction.max.timeout.ms (900000, unless the broker sets another)"
                    ) from exception
                if self._clock.monotonic() >= deadline:
                    raise KafkaUnavailableError(f"no transaction coordinator: {error.str()}") from exception
                self.back_off(attempt)  # some errors come at once, and each try makes a new client
            else:
                return

    def _take_over(self) -> None:
        """A new producer under the id: its epoch shuts out whatever an older one still has on its way."""
        undelivered = Undelivered()
        producer = self._make_producer(undelivered)
        producer.init_transactions(INIT_TIMEOUT_S)
        self._producer, self._undelivered, self._maybe_fenced = producer, undelivered, False

    def submit(self, transaction: Transaction) -> Future[Settlement]:
        """Runs a transaction on a thread of its own."""
        attempt = self._attempt = self.attempt(transaction)
        detached(THREAD, partial(self._run, attempt))
        return attempt.settlement

    def verify(self, standing: Standing | None, *, everywhere: bool) -> Future[Settlement]:
        """Makes sure of the last transaction that was committed, on a thread of its own."""
        return detached(THREAD, partial(self._verify, standing, everywhere))

    def renew(self) -> Future[None]:
        """Tries to take the transactional id anew, on a thread of its own; else the present producer stays."""
        return detached(THREAD, self._renew)

    def give_up_stuck(self) -> None:
        """Stops waiting for calls of the client that have not come back for long.

        librdkafka may wait for ever for a group coordinator that it has forgotten (librdkafka#5511), as it does after
        most restarts of a lone broker, and a timeout of that call is not looked at (librdkafka#5456). Its thread and
        its producer are left to themselves; then comes what comes after any end that is not known.
        """
        attempt, now_s = self._attempt, self._clock.monotonic()
        if attempt is None or now_s - attempt.began_s < self._patience_s():
            return
        if self._overdue is not attempt:
            self._overdue, self._overdue_s = attempt, now_s
        if now_s - self._overdue_s < LOOK_AGAIN_S:
            return
        self._attempt = self._overdue = None
        if self._stop.is_set() or not attempt.claim():
            return
        self._patience = min(2.0 * self._patience, 1000.0)
        log.error("transaction_stuck", next="a new producer; how the transaction ended is asked for")
        end = End(committed=None, error=KafkaError(KafkaError._TIMED_OUT))
        detached(THREAD, partial(self._settle, attempt, end))

    def _patience_s(self) -> float:
        return min(self._fencing.timeout_s + PATIENCE_PAST_TIMEOUT_S, PATIENCE_S * self._patience)

    def close(self) -> None:
        """Stops waiting between tries: what is under way stays uncommitted."""
        self._stop.set()

    def attempt(self, transaction: Transaction) -> Attempt:
        """A transaction of the present producer."""
        assert self._producer is not None, "open() comes first"
        return Attempt(
            self._producer,
            self._undelivered,
            transaction,
            self._events_topic,
            self._metadata(token_hex(TOKEN_BYTES)),
            clock=self._clock,
            back_off=self.back_off,
            at=self._at,
        )

    def _run(self, attempt: Attempt) -> None:
        try:
            end = attempt.run()
        except Exception as error:  # noqa: BLE001 - whoever waits for the settlement gets it
            if attempt.claim():
                attempt.settlement.set_exception(error)
            return
        if attempt.claim():
            self._settle(attempt, end)

    def _settle(self, attempt: Attempt, end: End) -> None:
        try:
            attempt.settlement.set_result(self._settlement(attempt, end))
        except Exception as error:  # noqa: BLE001 - as above
            attempt.settlement.set_exception(error)

    def _verify(self, standing: Standing | None, everywhere: bool) -> Settlement:
        if everywhere:
            verdict = self._aftermath.verify_quietly(standing)
            self._ended_s = None
        else:
            verdict = self._aftermath.verify(None, standing, thorough=False)
        return Settlement(not verdict.undone, undone=verdict.undone, postponed=verdict.postponed)

    def _renew(self) -> None:
        try:
            self._take_over()
        except (KafkaException, ConfigurationError) as exception:  # the latter too where threads or files are short
            _raise_if_refused(exception)
            self._maybe_fenced = True
            log.info("id_not_renewed", error=str(exception), next="tries again in a while")

    def _settlement(self, attempt: Attempt, end: End) -> Settlement:
        """Makes sure how the transaction ended, whatever it takes."""
        error = None if end.error is None else end.error.name()
        since_s = attempt.began_s if self._ended_s is None else self._ended_s
        brisk = self._clock.monotonic() - since_s <= OUTAGE_S
        if end.committed and end.prompt and brisk:
            self._patience = 1.0
            self._aftermath.committed(attempt)
            self._ended_s = self._clock.monotonic()
            return Settlement(committed=True)
        if end.committed is None:
            self._end_if_fenced(attempt, end)
        if not end.prompt:
            # A new producer ends what is not ended; and a late copy of an end that was slow must not meet the next
            # transaction.
            log.info("producer_rebuilt", why="the end of a transaction was slow, or is not known")
            self.rebuild()
        healthy = brisk and end.prompt and end.error is not None and end.error.code() in REBALANCES
        settlement = self._aftermath.of(attempt, end.committed, thorough=not healthy)
        self._ended_s = self._clock.monotonic()
        return settlement._replace(error=error)

    def _end_if_fenced(self, attempt: Attempt, end: End) -> None:
        now_s = self._clock.monotonic()  # the abort may have waited for the network: the age at the error is not enough
        fenced = end.error is not None and end.error.code() in FENCED
        if fenced and not self._maybe_fenced and self._fencing.must_end(now_s, now_s - attempt.began_s):
            raise FencedError(
                "fenced twice within 60 s: another instance runs with this kafka.instance_id. "
                "Give each process its own instance_id"
            )

    def rebuild(self) -> None:
        """A new producer, however long it takes."""
        self._producer = None
        for attempt in range(10**6):
            try:
                self._take_over()
            except KafkaException as exception:
                _raise_if_refused(exception)
                log.warning("producer_rebuild_failed", error=exception.args[0].name(), next="tries again")
                self.back_off(attempt)
            else:
                return

    def back_off(self, attempt: int) -> None:
        """Exponential with full jitter."""
        ceiling_s = min(BACKOFF_MAX_S, BACKOFF_S * 2 ** min(attempt, 10))
        if self._stop.wait(random.uniform(0, ceiling_s)):  # noqa: S311 - jitter
            raise FatalError("stopped while a transaction was open: it stays uncommitted")


def _raise_if_refused(exception: Exception) -> None:
    if isinstance(exception, KafkaException) and exception.args[0].code() in REFUSALS:
        raise KafkaUnavailableError(f"not authorised for transactions: {exception.args[0].str()}") from exception

"""What comes after an end that was not told, or not told to everybody: until it is known, and the same for all readers.

A coordinator answers a commit before it tells the partitions, and one that dies and comes back may forget to tell those
that have no leader at that moment (KAFKA-20734; seen with Kafka 4.3.1, after kill -9 of a lone broker). There
`read_committed` readers wait for ever, and the producer's next transaction takes up what is open: a commit would show
what was aborted, an abort would take what was committed. So it is looked at what became of this transaction and of the
one before it, after every end but a prompt commit soon after the last one, and of the last after a while without any:

- what is open of an aborted one is taken up and aborted again;
- one that was committed and of which nothing can be seen is undone: aborted everywhere, and done again;
- of one that can be seen in part the rest is written again. If its offsets are there, what hangs on the changelog comes
  last, and is not aborted before: it keeps next owners from restoring, and going on from offsets whose records are not
  there yet.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from concurrent.futures import wait
from itertools import count
from typing import NamedTuple, Protocol, TypeVar

import structlog
from confluent_kafka import KafkaException

from consumer.attempt import MEMBERSHIP, Attempt, End
from consumer.detached import detached
from consumer.end_offsets import Place
from consumer.endings import Endings, Loss, kept
from consumer.ports import Settlement, Standing, Transaction

log = structlog.get_logger(__name__)
T = TypeVar("T")

PATIENCE_S = 5.0
"""With calls of the client that do not come back, the first time."""
ABORTS_MAX = 2
"""What is open still after so many aborts is not ours."""
LATER = "makes it good once it is known what this instance is in the group"
TRIES_MAX = 20
"""To make a loss good; with their pauses half a minute."""


class Producers(Protocol):
    """One producer after the other under the transactional id."""

    def attempt(self, transaction: Transaction) -> Attempt:
        """A transaction of the present one."""

    def rebuild(self) -> None:
        """A new one, however long it takes: what the old one left is ended, and its late requests are refused."""

    def back_off(self, tries: int) -> None:
        """Waits before the next try."""


class Verdict(NamedTuple):
    """What became of a transaction that was told to be committed.

    Attributes:
        undone: It is not, and the state with it is wrong.
        postponed: Its offsets are missing, and can be sent only under a membership that is known and not over.
    """

    undone: bool = False
    postponed: bool = False


class Aftermath:
    """Keeps the last transaction that was committed until the next one has ended well.

    Args:
        endings: Tell what can be seen of a transaction.
        producers: Those of the transactional id.
        changelog_topic: The topic that a next owner restores from.
    """

    def __init__(self, endings: Endings, producers: Producers, changelog_topic: str) -> None:
        self._endings, self._producers, self._changelog_topic = endings, producers, changelog_topic
        self._last: Attempt | None = None

    def committed(self, attempt: Attempt) -> None:
        """A transaction was committed, all of it promptly, soon after the one before: so all before it are well."""
        self._last = attempt

    def of(self, attempt: Attempt, told: bool | None, *, thorough: bool) -> Settlement:
        """Makes sure how a transaction ended.

        Args:
            attempt: What was tried.
            told: How the client said that it ended.
            thorough: The brokers may have died: look at every partition.
        """
        standing = attempt.transaction.standing if told else None  # else it may be over by now
        before = self.verify(attempt, standing, thorough=thorough)
        committed, after = self._resolve(attempt, False if before.undone else told), Verdict()
        if committed:
            if before.postponed:
                before = self.verify(attempt, attempt.transaction.standing, thorough=thorough)
            self._last = attempt
            after = self.verify(None, standing, thorough=True)
        postponed = before.postponed or after.postponed
        return Settlement(committed and not after.undone, undone=before.undone, postponed=postponed)

    def verify_quietly(self, standing: Standing | None) -> Verdict:
        """As `verify`: thorough only where something is open. Meant for when every marker had time to come."""
        verdict = self.verify(None, standing, thorough=False)  # first: it waits until the brokers answer
        if self._last is None or verdict.postponed or not self._endings.hanging(self._last.last_outputs):
            return verdict
        return self.verify(None, standing, thorough=True)

    def verify(self, then: Attempt | None, standing: Standing | None, *, thorough: bool) -> Verdict:
        """Looks what became of the last transaction, which was told to be committed; what is missing of it is mended.

        Args:
            then: The one after it, however it ended; None if there was none.
            standing: Now, to mend it under; None if it is not known.
            thorough: Look at every partition, not only at the offsets.
        """
        last = self._last
        if last is None or not self._loss(last, then, standing, thorough):
            return Verdict()
        self._producers.rebuild()  # its markers may have been late and no more than that; after this they are there
        loss = self._loss(last, then, standing, thorough)
        if not loss:
            return Verdict()
        if standing is None and not loss.landed and not loss.undone:
            log.warning("transaction_lost", partitions=loss.names(), why="the brokers lost its end", next=LATER)
            return Verdict(postponed=True)
        log.error("transaction_lost", partitions=loss.names(), why="the brokers lost its end", next="makes it good")
        spared = self._spared(last, then)
        if (places := loss.first(spared)) or loss.undone:
            self._abort(last, places)
        for tries in range(TRIES_MAX):
            verdict = self._mend(last, then, standing, spared)
            if verdict is not None:
                return verdict
            self._producers.back_off(tries)
        log.error("transaction_not_mended", partitions=loss.names(), next="goes on; look for what is missing there")
        return Verdict()

    def _spared(self, last: Attempt, then: Attempt | None) -> set[Place]:
        """Where what hangs is not aborted but committed with what is written again: the changelog.

        Its records stand there twice then, which makes no state another one. Not where the next transaction wrote too:
        if that was aborted, and the broker forgot it again, the commit would show it.
        """
        written = then.last_outputs if then is not None else {}
        places = [place for place in last.last_outputs if place[0] == self._changelog_topic and place not in written]
        return set(self._endings.hanging(places))

    def _mend(
        self, last: Attempt, then: Attempt | None, standing: Standing | None, spared: set[Place]
    ) -> Verdict | None:
        """One step; None if it has to be looked at again."""
        hanging = self._endings.hanging(last.last_outputs)  # first: what is stable by then is seen
        loss = self._loss(last, then, standing, thorough=True)
        if not loss:
            return None if spared.intersection(hanging) else Verdict()  # where it hangs nobody can have gone on from it
        if hidden := loss.first(spared).intersection(hanging):
            self._abort(last, hidden)  # what is open there and hides ours may be ours too
            return None
        if loss.undone:
            self._resolve(last, told=False, suspicious=True)
            self._last = None
            return Verdict(undone=True)
        places = loss.first(spared) or loss.missing
        outputs = [output for output in last.transaction.outputs if output.place in places]
        # Records go with all offsets: the group refuses them where somebody else has a partition by now.
        numbers = loss.ours if outputs and not loss.landed else loss.behind
        under = last.transaction.standing
        if standing is not None and all(kept(last, standing, number) for number in numbers):
            under = standing
        offsets = {number: last.transaction.next_offsets[number] for number in numbers}
        end = self._run(Transaction(outputs, offsets, under))
        spared -= places  # what hangs there now somebody else has open, or the brokers forgot it again
        if not offsets or end.error is None or end.error.code() not in MEMBERSHIP:
            return None
        if under is standing:
            log.warning("transaction_not_mended", partitions=loss.names(), next=LATER)
            return Verdict(postponed=True)
        self._last = None  # the group has moved on: whoever has the partitions does it again
        return Verdict(undone=True)

    def _run(self, transaction: Transaction) -> End:
        end = self._patiently(self._producers.attempt(transaction).run) or End(committed=None)
        self._producers.rebuild()  # all its markers are there then: what is looked at next is no marker that is late
        return end

    def _loss(self, last: Attempt, then: Attempt | None, standing: Standing | None, thorough: bool) -> Loss:
        for tries in count(1):
            try:
                return self._endings.loss(last, then, standing, thorough=thorough)
            except KafkaException as exception:
                log.warning("committed_offsets_unknown", error=str(exception), next="asks again")
                self._producers.back_off(tries)
        raise AssertionError("unreachable")

    def _resolve(self, attempt: Attempt, told: bool | None, *, suspicious: bool = False) -> bool:
        """Whether it is committed; what of an aborted one is open still is aborted there."""
        aborts = 0
        for tries in count(1):
            ending = self._endings.of(attempt, told, suspicious=suspicious)
            if ending.committed is None:
                self._producers.back_off(tries)
                continue
            if told is None:
                log.info("transaction_resolved", committed=ending.committed)
            told = ending.committed
            if told or aborts >= ABORTS_MAX or not (ending.hanging or ending.pending):
                break
            suspicious = True
            log.warning("transaction_hangs", partitions=ending.names(), next="aborts it there")
            done = self._abort(attempt, ending.hanging)
            aborts += done
            if not done:
                self._producers.back_off(tries)
        return bool(told)

    def _abort(self, attempt: Attempt, places: Collection[Place]) -> bool:
        """Whether it could be done.

        The new producer that follows has heard of every marker, and shuts out late copies of the abort.
        """
        outputs = attempt.last_outputs
        again = attempt.transaction._replace(outputs=[outputs[place] for place in places])
        done: bool | None = False
        try:
            done = self._patiently(self._producers.attempt(again).run_into_abort)
        except KafkaException as exception:
            log.warning("abort_failed", error=str(exception), next="a new producer")
        self._producers.rebuild()
        return bool(done)

    def _patiently(self, call: Callable[[], T]) -> T | None:
        """What calls of the client return; None where they are stuck, and left to themselves."""
        future = detached("aftermath", call)
        wait([future], PATIENCE_S)
        return future.result() if future.done() else None

"""Restores partitions on a thread of its own: the loop goes on serving what it has."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from threading import Event, Thread

import structlog
from confluent_kafka import KafkaException

from consumer.assignment import Partition
from consumer.changelog import ChangelogReader, OpenTransactionError
from consumer.offsets import GroupOffsets
from consumer.ports import Restored
from consumer.rebuild import Rebuilder
from consumer.start import REBUILD_HINT, Changelog, Start, TopicIds, disagreement
from runtime.clock import Clock
from runtime.errors import FatalError, KafkaUnavailableError, StateError
from runtime.kafka import RIGHTS, UNAUTHORISED
from schemas.codec import RegistryUnavailableError

log = structlog.get_logger(__name__)

RETRY_S = 0.5
RETRY_S_MAX = 5.0
UNAUTHORISED_MAX = 3
"""So often in a row: what was granted just now not every broker knows yet."""
LATE_S = 30.0
"""By then the broker has ended every transaction that it knows: `transaction.timeout.ms` is 15 s."""


class _OvertakenError(Exception):
    """The group's offset moved while the state was read."""

    def __str__(self) -> str:
        return "the partition's committed offset moved meanwhile: another instance has it, and this one will hear so"


@dataclass(slots=True)
class _Request:
    """Partitions that were assigned together.

    Attributes:
        numbers: All of them.
        waiting: Those that are not restored.
        began_s: When they were asked for.
        tries: How often all that wait were tried.
        failures: By number, how often it failed, and when in monotonic seconds it is tried again.
        refusals: By number, how often in a row a right was missing.
    """

    numbers: list[int]
    waiting: list[Partition]
    began_s: float
    tries: int = 0
    failures: dict[int, tuple[int, float]] = field(default_factory=dict)
    refusals: Counter[int] = field(default_factory=Counter)


class BackgroundRestorer:
    """Implements `consumer.ports.Restorer`.

    A partition that has to wait, or cannot be asked, is left for the next round: it holds up the others for as long as
    one question takes at most (10 s where its offsets hang, else moments).

    Args:
        offsets: Where the group stands.
        changelog: The committed state.
        ids: The topics that the state belongs to.
        rebuilder: Mends a state that disagrees with the input; None refuses it.
        clock: For durations.
        report_seconds: Told how long a restore took.
    """

    def __init__(
        self,
        offsets: GroupOffsets,
        changelog: ChangelogReader,
        ids: TopicIds,
        rebuilder: Rebuilder | None,
        clock: Clock,
        report_seconds: Callable[[float], None],
    ) -> None:
        self._offsets, self._changelog, self._ids = offsets, changelog, ids
        self._rebuilder, self._clock = rebuilder, clock
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
        requests: list[_Request] = []
        while not self._stop.is_set():
            requests += self._asked(RETRY_S if requests else None)
            for request in requests:
                request.waiting = [p for p in request.waiting if not self._restore(p, request)]
                request.tries += 1
                if request.numbers and not request.waiting:
                    seconds = self._clock.monotonic() - request.began_s
                    self._report_seconds(seconds)
                    log.info("restored", partitions=request.numbers, seconds=round(seconds, 3), next="reads")
            requests = [request for request in requests if request.waiting]

    def _asked(self, within_s: float | None) -> list[_Request]:
        try:
            partitions = self._requests.get(timeout=within_s)
        except Empty:
            return []
        return [_Request([p.number for p in partitions], partitions, self._clock.monotonic())]

    def _restore(self, partition: Partition, request: _Request) -> bool:
        """Whether it is restored, impossible, or not wanted any more; False: it has to be tried again."""

        def unwanted() -> bool:
            return self._stop.is_set() or partition.dropped

        if unwanted():
            return True
        if self._clock.monotonic() < request.failures.get(partition.number, (0, 0.0))[1]:
            return False
        try:
            result = self._attempt(partition, unwanted)
        except OpenTransactionError:
            _tell_of_open_transaction(partition.number, request.tries)
            self._note_where_it_waits(partition)
            return False
        except FatalError as error:
            self._results.put(error)
        except (KafkaException, RegistryUnavailableError, _OvertakenError) as exception:
            return self._failed(partition, request, exception)
        except Exception as error:
            log.exception("restore_failed", partition=partition.number)
            self._results.put(FatalError(f"restore of partition {partition.number} failed: {error!r}"))
        else:
            if result is not None:
                self._results.put(result)
        return True

    def _failed(self, partition: Partition, request: _Request, exception: Exception) -> bool:
        """Whether there is no use in trying again."""
        failures = request.failures.get(partition.number, (0, 0.0))[0]
        refusals = request.refusals[partition.number]
        request.refusals[partition.number] = refusals + 1 if _unauthorised(exception) else 0
        if request.refusals[partition.number] >= UNAUTHORISED_MAX:
            self._results.put(
                KafkaUnavailableError(
                    f"not authorised to restore partition {partition.number}: {exception}. {RIGHTS}; `--rebuild-state` "
                    "also Read on the decisions and dead letter topics"
                )
            )
            return True
        log.warning("restore_failed", partition=partition.number, error=str(exception), next="tries again")
        wait_s = min(RETRY_S_MAX, RETRY_S * 2 ** min(failures, 10))
        request.failures[partition.number] = failures + 1, self._clock.monotonic() + wait_s
        self._note_where_it_waits(partition)
        return False

    def _note_where_it_waits(self, partition: Partition) -> None:
        """For the lag, which grows meanwhile."""
        if partition.waits_at >= 0:
            return
        with suppress(KafkaException):
            (found,) = self._offsets.committed_without_pending([partition.number])
            partition.waits_at = found.offset

    def _attempt(self, partition: Partition, unwanted: Callable[[], bool]) -> Restored | None:
        start = self._offsets.start(partition.number)  # before the changelog's end is taken
        changelog = self._changelog.read(partition.number, unwanted)
        if changelog is None:
            return None
        fault = disagreement(start, changelog, self._ids)
        if fault is not None and self._offsets.start(partition.number).committed != start.committed:
            raise _OvertakenError  # somebody else owns it and works on it: nothing disagrees
        if fault is not None:
            return self._mend(partition, start, changelog, fault, unwanted)
        if start.committed is None:
            return Restored(partition, changelog.leads, start.low, new=True)
        return Restored(partition, changelog.leads, start.committed, new=False)

    def _mend(
        self, partition: Partition, start: Start, changelog: Changelog, fault: str, unwanted: Callable[[], bool]
    ) -> Restored | None:
        if self._rebuilder is None:
            raise StateError(f"{fault}. {REBUILD_HINT}")
        log.warning("state_disagrees", reason=fault, next="rebuilds it")
        rebuilt = self._rebuilder.rebuild(start, changelog, unwanted)
        if rebuilt is None:
            return None
        return Restored(partition, {}, rebuilt.next_offset, new=True, rewrite=rebuilt.profiles)


def _unauthorised(exception: Exception) -> bool:
    return isinstance(exception, KafkaException) and exception.args[0].code() in UNAUTHORISED


def _tell_of_open_transaction(number: int, waits: int) -> None:
    """Ever more rarely: it may take as long as its owner's transaction timeout."""
    if waits.bit_count() > 1:
        return
    waited_s = waits * RETRY_S
    late = waited_s >= LATE_S
    ask = "ask `kafka-transactions.sh find-hanging`, with the options that docs/reliability.md gives"
    next_step = ask if late else "its owner or the broker ends it"
    (log.warning if late else log.info)(
        "restore_waits",
        partition=number,
        why="a transaction is open on the changelog",
        waited_s=waited_s,
        next=next_step,
    )

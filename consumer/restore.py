"""Restores partitions on a thread of its own: the loop goes on serving what it has."""

from __future__ import annotations

from collections.abc import Callable
from queue import Empty, SimpleQueue
from threading import Event, Thread

import structlog
from confluent_kafka import KafkaException

from consumer.assignment import Partition
from consumer.changelog import ChangelogReader
from consumer.offsets import GroupOffsets
from consumer.ports import Restored
from consumer.rebuild import Rebuilder
from consumer.start import REBUILD_HINT, Changelog, Start, TopicIds, disagreement
from runtime.clock import Clock
from runtime.errors import FatalError, StateError
from schemas.codec import RegistryUnavailableError

log = structlog.get_logger(__name__)

RETRY_S = 0.5
RETRY_S_MAX = 5.0


class _OvertakenError(Exception):
    """The group's offset moved while the state was read."""

    def __str__(self) -> str:
        return "the partition's committed offset moved meanwhile: another instance has it, and this one will hear so"


class BackgroundRestorer:
    """Implements `consumer.ports.Restorer`.

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

        tries = 0
        while not unwanted():
            try:
                result = self._attempt(partition, unwanted)
            except FatalError as error:
                self._results.put(error)
                return
            except (KafkaException, RegistryUnavailableError, _OvertakenError) as exception:
                log.warning("restore_failed", partition=partition.number, error=str(exception), next="tries again")
                self._stop.wait(min(RETRY_S_MAX, RETRY_S * 2**tries))
                tries = min(tries + 1, 10)
            except Exception as error:
                log.exception("restore_failed", partition=partition.number)
                self._results.put(FatalError(f"restore of partition {partition.number} failed: {error!r}"))
                return
            else:
                if result is not None:
                    self._results.put(result)
                return

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

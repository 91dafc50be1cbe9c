"""The transaction coordinator: epochs, the life of transactions, and markers that reach partitions in their time."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple, Protocol

from confluent_kafka import KafkaError

from tests.simulation.kernel import Kernel
from tests.simulation.logs import Entry, Log, Write

Place = tuple[str, int]


class RefusedError(Exception):
    """A broker's answer that is an error.

    Attributes:
        code: Kafka's number of it.
    """

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class OffsetStore(Protocol):
    """The group's offsets, which are committed with a transaction."""

    def settle(self, write: Write, *, commit: bool) -> None:
        """The marker has come: offsets that were pending take effect or are dropped."""


class Skips(Protocol):
    """Decides which markers are forgotten."""

    def __call__(self, transactional_id: str, markers: int, *, commit: bool) -> set[int]:
        """Which, of so many."""


class Identity(NamedTuple):
    """Who writes: a transactional id in one of its lives."""

    transactional_id: str
    epoch: int


class _Producer:
    """What the coordinator keeps of a transactional id."""

    def __init__(self) -> None:
        self.epoch = -1
        self.write: Write | None = None
        self.ending: bool | None = None
        """Whether the current transaction is on its way to a commit (True) or an abort (False)."""
        self.last_end: bool | None = None
        self.places: set[Place] = set()
        self.offsets: OffsetStore | None = None
        self.unmarked = 0
        self.number = 0


class Coordinator:
    """Kafka before KIP-890: an end names its producer and epoch, not its transaction.

    Args:
        kernel: Time and chance.
        log: Finds a partition.
        timeout_s: `transaction.timeout.ms` of all producers.
        marker_delay_s: How long a marker may take to one partition.
        skips: Which of the markers of an id's transaction are forgotten (KAFKA-20734), of so many. After a
            commit that is answered the broker dies; one that follows before it is back fails, or waits for it.
        clock_ms: The brokers' clock.
    """

    def __init__(
        self,
        kernel: Kernel,
        log: Callable[[Place], Log],
        *,
        timeout_s: float,
        marker_delay_s: Callable[[], float],
        skips: Skips,
        clock_ms: Callable[[], int],
    ) -> None:
        self._kernel, self._log, self._timeout_s = kernel, log, timeout_s
        self._marker_delay_s, self._skips, self._clock_ms = marker_delay_s, skips, clock_ms
        self._producers: dict[str, _Producer] = {}
        self.forgotten: dict[str, float] = {}
        """Since when markers of an id's last transaction are forgotten: the broker has died and comes back."""

    @property
    def open(self) -> list[str]:
        """The transactional ids with a transaction that has not ended everywhere."""
        return [name for name, producer in self._producers.items() if producer.write is not None]

    def initialise(self, transactional_id: str) -> Identity:
        """Takes over an id: fences who had it and ends what was left open."""
        producer = self._producers.setdefault(transactional_id, _Producer())
        if producer.write is not None:
            if producer.ending is None:
                producer.epoch += 1
                self._end(transactional_id, producer, commit=False)
            raise RefusedError(KafkaError.CONCURRENT_TRANSACTIONS)
        producer.epoch += 1
        producer.last_end = None
        return Identity(transactional_id, producer.epoch)

    def add_places(self, identity: Identity, places: set[Place]) -> None:
        """Makes partitions part of the transaction, which begins with the first."""
        self._running(identity).places |= places

    def add_offsets(self, identity: Identity, store: OffsetStore) -> Write:
        """Makes the group's offsets part of the transaction."""
        producer = self._running(identity)
        producer.offsets = store
        assert producer.write is not None
        return producer.write

    def append(self, identity: Identity, place: Place, entries: list[Entry]) -> None:
        """Writes records to a partition, as its leader does: it knows the epoch and nothing else."""
        log, producer = self._log(place), self._producers[identity.transactional_id]
        if log.epochs.get(identity.transactional_id, -1) > identity.epoch or producer.epoch != identity.epoch:
            raise RefusedError(KafkaError.INVALID_PRODUCER_EPOCH)
        if producer.write is None or place not in producer.places or producer.ending is not None:
            raise RefusedError(KafkaError.INVALID_TXN_STATE)
        log.epochs[identity.transactional_id] = identity.epoch
        for entry in entries:
            log.append(entry._replace(write=producer.write))

    def end(self, identity: Identity, *, commit: bool, unheard: bool = False) -> None:
        """Decides the transaction that is open now, whichever the request was meant for.

        Args:
            identity: Whose.
            commit: How.
            unheard: The answer will not be heard.
        """
        producer = self._current(identity)
        if producer.write is None:
            if producer.last_end is not commit:
                raise RefusedError(KafkaError.INVALID_TXN_STATE)
        elif producer.ending is None:
            self._end(identity.transactional_id, producer, commit=commit, unheard=unheard)
        elif producer.ending is commit:
            raise RefusedError(KafkaError.CONCURRENT_TRANSACTIONS)
        else:
            raise RefusedError(KafkaError.INVALID_TXN_STATE)

    def _current(self, identity: Identity) -> _Producer:
        producer = self._producers[identity.transactional_id]
        if producer.epoch != identity.epoch:
            raise RefusedError(KafkaError.INVALID_PRODUCER_EPOCH)
        return producer

    def _running(self, identity: Identity) -> _Producer:
        producer = self._current(identity)
        if producer.ending is not None:
            raise RefusedError(KafkaError.CONCURRENT_TRANSACTIONS)
        if producer.write is None:
            producer.number += 1
            producer.write = Write(identity.transactional_id, producer.number)
            self._kernel.at(self._timeout_s, partial(self._expire, identity.transactional_id, producer.write))
        return producer

    def _expire(self, transactional_id: str, write: Write) -> None:
        producer = self._producers[transactional_id]
        if producer.write is write and producer.ending is None:
            producer.epoch += 1
            self._kernel.note("transaction timed out", write=write.name)
            self._end(transactional_id, producer, commit=False)

    def _end(self, transactional_id: str, producer: _Producer, *, commit: bool, unheard: bool = True) -> None:
        write = producer.write
        assert write is not None
        producer.ending, write.aborted = commit, not commit
        producer.unmarked = len(producer.places) + 1
        self._kernel.note("transaction ends", write=write.name, commit=commit)
        tell = [partial(self._mark, transactional_id, producer, place) for place in sorted(producer.places)]
        tell.append(partial(self._settle, producer))
        skipped = self._skips(transactional_id, len(tell), commit=commit)
        if skipped and not unheard:
            if commit:
                self.forgotten[transactional_id] = self._kernel.now_s
            else:
                skipped = set()
        for number, call in enumerate(tell):
            self._kernel.at(self._marker_delay_s(), partial(self._marked, producer) if number in skipped else call)

    def _mark(self, transactional_id: str, producer: _Producer, place: Place) -> None:
        log = self._log(place)
        log.epochs[transactional_id] = producer.epoch
        log.append(Entry(None, None, None, self._clock_ms(), producer.write, control=True))
        self._marked(producer)

    def _settle(self, producer: _Producer) -> None:
        if producer.offsets is not None and producer.write is not None:
            producer.offsets.settle(producer.write, commit=producer.ending is True)
        self._marked(producer)

    def _marked(self, producer: _Producer) -> None:
        producer.unmarked -= 1
        if producer.unmarked == 0:
            producer.last_end = producer.ending
            producer.write = producer.ending = producer.offsets = None
            producer.places = set()

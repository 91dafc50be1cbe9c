"""How far behind: records to the last stable offset, and the age of the oldest readable record not yet processed."""

from __future__ import annotations

from collections.abc import Callable
from threading import Event, Thread
from typing import NamedTuple

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from consumer.assignment import Partition, Phase
from consumer.end_offsets import OffsetLister, known_end_offsets
from consumer.stalls import Stalls
from runtime.clock import Clock
from runtime.metrics import Metrics

log = structlog.get_logger(__name__)

ASK_INTERVAL_S = 1.0
MEASURE_INTERVAL_S = 0.5
PROBE_S = 1.0


class Lag(NamedTuple):
    """One partition's lag."""

    records: int
    seconds: float


class _Probe(NamedTuple):
    """What was read from an offset on; no append time: up to this end nothing was readable."""

    offset: int
    end: int
    append_ms: int | None


class LagMonitor:
    """Measures beside the loop, so that a loop that waits is measured too.

    The append time of the oldest unprocessed record is known when the loop has polled it; when it has not (the
    partition is paused or just assigned), the record is read here, once for each offset. Kafka is asked on a thread of
    its own: while it is silent, what is known to wait goes on growing older.
    """

    def __init__(
        self,
        *,
        admin: OffsetLister,
        consumer: Consumer,
        topic: str,
        partitions: Callable[[], list[Partition]],
        read_to: Callable[[Partition], int],
        hindered_s: Callable[[], float],
        oldest_unprocessed_ms: Callable[[], dict[int, int]],
        metrics: Metrics,
        clock: Clock,
    ) -> None:
        self._admin, self._consumer, self._topic = admin, consumer, topic
        self._partitions, self._oldest_unprocessed_ms = partitions, oldest_unprocessed_ms
        self._metrics, self._clock = metrics, clock
        self._read_to, self._hindered_s = read_to, hindered_s
        self._stalls = Stalls(clock)
        self._stalled: dict[int, int] = {}
        self._ends: dict[int, int] = {}
        self._probes: dict[int, _Probe] = {}
        self._waits_since: dict[int, tuple[int, int]] = {}
        """By partition, an offset and since when (epoch ms) its record waits, as far as is known."""
        self.lags: dict[int, Lag] = {}
        self._stop = Event()
        self._threads = [
            Thread(target=self._keep_asking, name="lag-ends", daemon=True),
            Thread(target=self._keep_measuring, name="lag", daemon=True),
        ]

    def start(self) -> None:
        """Begins to ask, each second, and to measure, twice as often."""
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """Ends at the next step."""
        self._stop.set()

    def _keep_asking(self) -> None:
        self._every(ASK_INTERVAL_S, self.ask)

    def _keep_measuring(self) -> None:
        self._every(MEASURE_INTERVAL_S, self.measure)

    def _every(self, interval_s: float, step: Callable[[], None]) -> None:
        while not self._stop.wait(interval_s):
            try:
                step()
            except Exception:
                log.exception("lag_unknown")

    def ask(self) -> None:
        """Asks Kafka for the ends and for records that the loop has not polled; returns when it answers or gives up."""
        known = self._known()
        ends = {p.number: self._ends[p.number] for p in known if p.number in self._ends}
        fresh: dict[int, int] = {}
        try:
            fresh = known_end_offsets(self._admin, self._topic, [p.number for p in known])
        except KafkaException as exception:
            log.warning("lag_unknown", error=str(exception), next="tries again; the last end offsets stand")
        self._ends = ends = ends | fresh
        positions = {p.number: self._read_to(p) for p in known if p.phase is Phase.ACTIVE and not p.dropped}
        self._stalled = self._stalls.find(positions, fresh, self._hindered_s()) or self._stalled
        polled = self._oldest_unprocessed_ms()
        for partition in known:
            number, next_offset = partition.number, partition.done_to
            if number in polled or next_offset >= ends.get(number, next_offset) or partition.dropped:
                continue
            try:
                self._probe(number, next_offset, ends[number])
            except KafkaException as exception:
                log.warning("lag_unknown", partition=number, error=str(exception), next="tries again")

    def take_stalled(self) -> list[int]:
        """Partitions of which the client has given nothing for long, though there is something; told once."""
        stalled, self._stalled = self._stalled, {}
        return sorted(p.number for p in self._known() if stalled.get(p.number) == self._read_to(p)) if stalled else []

    def measure(self) -> None:
        """Sets the lag of every partition whose position and end are known; waits for nobody.

        Where Kafka does not answer, what it said last stands, and what waits grows older.
        """
        # The offsets first: the age of a record that is committed meanwhile must not stick to the offset after it.
        behind = [(p, p.done_to) for p in self._known()]
        polled = self._oldest_unprocessed_ms()
        found = {p.number: self._lag(p, next_offset, polled.get(p.number)) for p, next_offset in behind}
        lags = {number: lag for number, lag in found.items() if lag is not None}
        for number in self.lags.keys() - lags.keys():
            self._metrics.drop_partition(number)
        for number, lag in lags.items():
            self._metrics.set_lag(number, lag.records, lag.seconds)
        self.lags = lags
        self._metrics.set_state_leads(sum(len(p.leads) for p in self._partitions()))

    def _known(self) -> list[Partition]:
        """The partitions of which it is known where they stand, those among them whose restore has to wait."""
        return [p for p in self._partitions() if p.done_to >= 0]

    def _lag(self, partition: Partition, next_offset: int, polled_ms: int | None) -> Lag | None:
        """A partition's lag; None if it is not known and never was."""
        end = self._ends.get(partition.number)
        if end is None:
            return None
        # What was polled was readable, should the end be an old one.
        records = max(end, partition.position) - next_offset
        if records <= 0:
            return Lag(0, 0.0)
        since_ms = self._since_ms(partition.number, next_offset, polled_ms)
        return None if since_ms is None else Lag(records, max(0.0, (self._clock.now_ms() - since_ms) / 1000.0))

    def _since_ms(self, number: int, offset: int, polled_ms: int | None) -> int | None:
        """Since when the oldest readable record from an offset on waits; now if none is readable yet."""
        known, probe = self._waits_since.get(number), self._probes.get(number)
        if polled_ms is not None:
            since_ms = polled_ms
        elif probe is not None and probe.offset == offset and probe.append_ms is not None:
            since_ms = probe.append_ms
        elif probe is not None and (probe.offset, probe.end) == (offset, self._ends.get(number)):
            return self._clock.now_ms()
        elif known is not None and known[0] == offset:
            return known[1]
        elif number in self.lags:
            since_ms = self._clock.now_ms()  # it waits at least from now on: better than to stand still
        else:
            return None
        self._waits_since[number] = (offset, since_ms)
        return since_ms

    def _probe(self, number: int, offset: int, end: int) -> None:
        """Finds the append time of the first readable record from an offset on.

        Raises:
            KafkaException: Kafka does not answer.
        """
        known = self._probes.get(number)
        if known is None or known.offset != offset or (known.append_ms is None and known.end != end):
            self._probes[number] = _Probe(offset, end, self._read_one(number, offset))

    def _read_one(self, number: int, offset: int) -> int | None:
        self._consumer.assign([TopicPartition(self._topic, number, offset)])
        try:
            message = self._consumer.poll(PROBE_S)
        finally:
            self._consumer.unassign()
        if message is None:
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT, f"no answer within {PROBE_S} s"))
        error = message.error()
        if error is None:
            return message.timestamp()[1]
        if error.code() != KafkaError._PARTITION_EOF:
            raise KafkaException(error)
        return None

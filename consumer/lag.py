"""How far behind: records to the last stable offset, and the age of the oldest readable record not yet processed."""

from __future__ import annotations

from collections.abc import Callable
from threading import Event, Thread
from typing import NamedTuple

import structlog
from confluent_kafka import Consumer, IsolationLevel, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from consumer.assignment import Partition, Phase
from consumer.end_offsets import end_offsets
from runtime.clock import Clock
from runtime.metrics import Metrics

log = structlog.get_logger(__name__)

INTERVAL_S = 1.0
PROBE_S = 1.0


class Lag(NamedTuple):
    """One partition's lag."""

    records: int
    seconds: float


class LagMonitor:
    """Measures beside the loop, so that a loop that waits is measured too.

    The append time of the oldest unprocessed record is known when the loop has polled it; when it has not (the
    partition is paused or just assigned), the record is read here, once for each offset.
    """

    def __init__(
        self,
        *,
        admin: AdminClient,
        consumer: Consumer,
        topic: str,
        partitions: Callable[[], list[Partition]],
        oldest_unprocessed_ms: Callable[[], dict[int, int]],
        metrics: Metrics,
        clock: Clock,
    ) -> None:
        self._admin, self._consumer, self._topic = admin, consumer, topic
        self._partitions, self._oldest_unprocessed_ms = partitions, oldest_unprocessed_ms
        self._metrics, self._clock = metrics, clock
        self._ends: dict[int, int] = {}
        self._probed: dict[int, tuple[int, int]] = {}
        self.lags: dict[int, Lag] = {}
        self._stop = Event()
        self._thread = Thread(target=self._work, name="lag", daemon=True)

    def start(self) -> None:
        """Begins to measure, each second."""
        self._thread.start()

    def close(self) -> None:
        """Ends at the next second."""
        self._stop.set()

    def _work(self) -> None:
        while not self._stop.wait(INTERVAL_S):
            try:
                self.measure()
            except Exception:
                log.exception("lag_unknown")

    def measure(self) -> None:
        """Sets the lag of every partition whose position is known.

        Where Kafka does not answer, what it said last stands, and what was polled and is not committed grows older.
        """
        known = [p for p in self._partitions() if p.phase is Phase.ACTIVE]
        self._ask_ends([p.number for p in known])
        oldest = self._oldest_unprocessed_ms()
        found = {p.number: self._lag(p, oldest.get(p.number)) for p in known if p.number in self._ends}
        lags = {number: lag for number, lag in found.items() if lag is not None}
        for number in self.lags.keys() - lags.keys():
            self._metrics.drop_partition(number)
        for number, lag in lags.items():
            self._metrics.set_lag(number, lag.records, lag.seconds)
        self.lags = lags
        self._metrics.set_state_leads(sum(len(p.leads) for p in self._partitions()))

    def _ask_ends(self, numbers: list[int]) -> None:
        try:
            self._ends.update(end_offsets(self._admin, self._topic, numbers, IsolationLevel.READ_COMMITTED))
        except KafkaException as exception:
            log.warning("lag_unknown", error=str(exception), next="tries again; the last end offsets stand")

    def _lag(self, partition: Partition, oldest_ms: int | None) -> Lag | None:
        """A partition's lag; None if it is not known and never was."""
        # What was polled was readable, should the end be an old one.
        records = max(self._ends[partition.number], partition.position) - partition.next_offset
        if records <= 0:
            return Lag(0, 0.0)
        if oldest_ms is None:
            try:
                oldest_ms = self._probe(partition.number, partition.next_offset)
            except KafkaException as exception:
                log.warning("lag_unknown", partition=partition.number, error=str(exception), next="tries again")
                return self.lags.get(partition.number)
        if oldest_ms is None:
            return Lag(records, 0.0)
        return Lag(records, max(0.0, (self._clock.now_ms() - oldest_ms) / 1000.0))

    def _probe(self, number: int, offset: int) -> int | None:
        """The append time of the first readable record from an offset on; None if there is none yet.

        Raises:
            KafkaException: Kafka does not answer.
        """
        known = self._probed.get(number)
        if known is not None and known[0] == offset:
            return known[1]
        found = self._read_one(number, offset)
        if found is not None:
            self._probed[number] = (offset, found)
        return found

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

"""Hanging transactions: their coordinator has ended them, and told not every partition.

A broker that comes back skips the markers of partitions without a leader (KAFKA-20734; seen after kill -9 of a lone
broker). On such a partition `read_committed` readers wait for ever, and the next transaction of the same producer takes
up what is open: its commit would make visible what was aborted. That next transaction is also the cure: one that is
aborted takes with it what hangs.
"""

from __future__ import annotations

from collections.abc import Collection

import structlog
from confluent_kafka import IsolationLevel, KafkaException

from consumer.end_offsets import OffsetLister, Place, ends, ends_of_existing
from runtime.clock import Clock

log = structlog.get_logger(__name__)

PATIENCE_S = 2.0
"""Markers take some milliseconds; those that are not skipped have all come once a new producer is initialised."""
UNANSWERED_S = 30.0
EVERY_S = 0.02


class HangingTransactions:
    """Finds what hangs.

    Args:
        admin: The cluster.
        clock: For waiting.
    """

    def __init__(self, admin: OffsetLister, clock: Clock) -> None:
        self._admin, self._clock = admin, clock

    def find(self, places: Collection[Place]) -> list[Place]:
        """The partitions whose last stable offset stays below what is their end now; none where nobody can tell."""
        if not places:
            return []
        began_s = self._clock.monotonic()
        marks: dict[Place, int] = {}
        while True:
            try:
                marks = marks or ends_of_existing(self._admin, places, IsolationLevel.READ_UNCOMMITTED)
                stable = ends(self._admin, marks, IsolationLevel.READ_COMMITTED)
            except KafkaException as exception:
                if self._clock.monotonic() - began_s > UNANSWERED_S:
                    log.warning("hanging_transactions_unknown", error=str(exception), next="goes on")
                    return []
                self._clock.sleep(PATIENCE_S / 4)
                continue
            found = [place for place, mark in marks.items() if stable[place] < mark]
            if not found or self._clock.monotonic() - began_s > PATIENCE_S:
                return found
            self._clock.sleep(EVERY_S)

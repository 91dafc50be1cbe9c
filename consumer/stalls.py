"""Partitions of which the client gives nothing, though the brokers have something."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from runtime.clock import Clock

PATIENCE_S: Final = 15.0
PATIENCE_MAX_S: Final = 240.0
DRAINED_S: Final = 3.0
"""A client that had nothing more to give so short ago holds nothing back for want of room."""


class Stalls:
    """Finds what stalls; after a leader has gone and come back the client may never fetch from it again, silently.

    Patience doubles each time, and is as before once nothing is behind: what only is slow must not be made slower.

    Args:
        clock: Times patience.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._patience_s = PATIENCE_S
        self._waiting: dict[int, tuple[int, float]] = {}
        """By partition, the position at which it stands, and since when."""

    def find(self, positions: Mapping[int, int], ends: Mapping[int, int], drained_s: float) -> list[int]:
        """The partitions that stall. To be asked every second or so.

        Args:
            positions: The next offset to be read of each partition.
            ends: What the brokers say just now; of a partition that is not there nothing is known.
            drained_s: Monotonic time in seconds of the last poll that had room and found nothing.
        """
        now_s, before = self._clock.monotonic(), self._waiting
        self._waiting = {}
        for number, position in positions.items():
            if position < ends.get(number, position):
                known = before.get(number)
                self._waiting[number] = known if known is not None and known[0] == position else (position, now_s)
        if ends and not self._waiting:
            self._patience_s = PATIENCE_S
        stalled = sorted(n for n, (_, since_s) in self._waiting.items() if now_s - since_s > self._patience_s)
        if not stalled or now_s - drained_s > DRAINED_S:
            return []
        self._patience_s = min(2 * self._patience_s, PATIENCE_MAX_S)
        self._waiting = {}
        return stalled

"""Partitions of which the client gives nothing, though the brokers have something."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from runtime.clock import Clock

PATIENCE_S: Final = 15.0
PATIENCE_MAX_S: Final = 240.0


class Stalls:
    """Finds what stalls; after a leader has gone and come back the client may never fetch from it again, silently.

    Only time counts in which the brokers told the ends and the loop took all that the client had. Patience doubles with
    each find, for what only is slow must not be made slower. It is as before once nothing is behind, or nothing was
    found for twice as long.

    Args:
        clock: Times patience.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._patience_s = PATIENCE_S
        self._found_s = clock.monotonic()
        self._asked_s = clock.monotonic()
        self._waiting: dict[int, tuple[int, float]] = {}
        """By partition, the position at which it stands, and since when."""

    def find(self, positions: Mapping[int, int], ends: Mapping[int, int], hindered_s: float) -> dict[int, int]:
        """The partitions that stall, with their positions. To be asked every second or so.

        Args:
            positions: The next offset to be read of each partition.
            ends: What the brokers say just now; of a partition that is not there nothing is known.
            hindered_s: Monotonic time in seconds at which the loop last could not take all that the client had.
        """
        now_s, before = self._clock.monotonic(), self._waiting
        unasked_s, self._asked_s = now_s - self._asked_s, now_s
        self._waiting = {}
        for number, position in positions.items():
            known_at, since_s = before.get(number, (position, now_s))
            if known_at != position:
                since_s = now_s
            if number not in ends and number in before:
                self._waiting[number] = (position, min(now_s, since_s + unasked_s))
            elif position < ends.get(number, position):
                self._waiting[number] = (position, since_s)
        if (ends and not self._waiting) or now_s - self._found_s > 2 * self._patience_s:
            self._patience_s = PATIENCE_S
        stalled = {
            number: position
            for number, (position, since_s) in self._waiting.items()
            if now_s - max(since_s, hindered_s) > self._patience_s
        }
        if stalled:
            self._found_s = now_s
            self._patience_s = min(2 * self._patience_s, PATIENCE_MAX_S)
            self._waiting = {}
        return stalled

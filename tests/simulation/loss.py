"""What `--rebuild-state` is for: the state is lost or damaged, the service refuses it, and mends it when asked to."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from tests.simulation.cluster import PROFILES, Cluster
from tests.simulation.group import TOOL_METADATA
from tests.simulation.logs import Entry, Log

STATE_ERROR = 5


class Loss:
    """Damages the state of a group that stands still."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._chance = cluster.kernel.random

    def strike(self) -> bool:
        """Damages something that must be noticed; False if there is nothing that could be."""
        known = [n for n in range(self._cluster.scenario.partitions) if _profiles(self._changelog(n))]
        if not known:
            return False
        number = self._chance.choice(known)
        deeds: list[Callable[[], None]] = [
            partial(self._lose_offset, number),
            partial(self._move_offset, number),
            partial(self._scribble, number),
            self._recreate_changelog,
        ]
        deed = self._chance.choice(deeds)
        self._cluster.kernel.note("the state is damaged", deed=getattr(deed, "func", deed).__name__, number=number)
        deed()
        return True

    def _lose_offset(self, number: int) -> None:
        """As when a group's offsets expire."""
        del self._cluster.group.offsets[number]

    def _move_offset(self, number: int) -> None:
        """A tool has set it, forwards or backwards."""
        to = self._chance.randint(0, self._cluster.events(number).end)
        self._cluster.group.offsets[number] = (to, TOOL_METADATA)

    def _scribble(self, number: int) -> None:
        """Somebody else has written to the changelog."""
        key = self._chance.choice([b"nobody", b"\xff", *sorted(_profiles(self._changelog(number)))])
        self._changelog(number).append(Entry(key, b"scribble", None, self._cluster.now_ms(), None))

    def _recreate_changelog(self) -> None:
        """A topic of the same name, empty, with another id."""
        self._cluster.lives[PROFILES] = self._cluster.lives.get(PROFILES, 0) + 1
        for number in range(self._cluster.scenario.partitions):
            self._cluster.logs.pop((PROFILES, number), None)

    def _changelog(self, number: int) -> Log:
        return self._cluster.log((PROFILES, number))


def _profiles(log: Log) -> set[bytes]:
    latest = {entry.key: entry.value for _, entry in log.committed() if entry.key is not None}
    return {key for key, value in latest.items() if value is not None}

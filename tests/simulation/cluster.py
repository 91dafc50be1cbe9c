"""The brokers: topics, the transaction coordinator, the group, the network to them, and their clock."""

from __future__ import annotations

from collections.abc import Callable

from runtime.config import Settings
from tests.simulation.coordinator import Coordinator, Place
from tests.simulation.group import Group
from tests.simulation.kernel import Kernel, Process
from tests.simulation.logs import Log
from tests.simulation.network import Network
from tests.simulation.scenario import LARGE_BYTES, Scenario

BASE_MS = 1_750_000_000_000
GROUP = "lead-scorer"
MENDED_S = 45.0
"""By then an instance has made good what was forgotten, with slow markers and a freeze in the middle of it."""
EVENTS = "lead.events"
DECISIONS = "lead.decisions"
PROFILES = "lead.profiles"
DEAD_LETTERS = "lead.events.dead-letter"


class Cluster:
    """Everything that outlives the instances.

    Args:
        kernel: Time and chance.
        scenario: Sizes and delays.
        broken: Told of what must never happen.
    """

    def __init__(self, kernel: Kernel, scenario: Scenario, broken: Callable[[str], None]) -> None:
        self.kernel, self.scenario, self.broken = kernel, scenario, broken
        self.network = Network(
            kernel,
            latency_s=scenario.latency_s,
            slow=scenario.slow_share,
            slow_s=scenario.slow_s,
            lossy=0.03 if scenario.has("lost_answers") else 0.0,
        )
        self.calm = False
        """No more faults: what is broken heals, and everything must be caught up with."""
        self.registry_down = False
        self.settings: dict[str, Settings] = {}
        """Of the instances, by their id."""
        self.logs: dict[Place, Log] = {}
        self.lives: dict[str, int] = {}
        """How often a topic was recreated."""
        self.clock_ahead_ms = 0
        self._died_s: dict[str, float] = {}
        """By transactional id, when a broker forgot a commit of it."""
        self.coordinator = Coordinator(
            kernel,
            self.log,
            timeout_s=scenario.transaction_timeout_s,
            marker_delay_s=self._marker_delay_s,
            skips=self._skips,
            clock_ms=self.now_ms,
        )
        self.group = Group(kernel, scenario.partitions, session_s=scenario.session_s, went_back=self._went_back)

    def log(self, place: Place) -> Log:
        """A partition of a topic."""
        found = self.logs.get(place)
        if found is None:
            found = self.logs[place] = Log()
        return found

    def events(self, number: int) -> Log:
        """A partition of the events topic."""
        return self.log((EVENTS, number))

    def topic_id(self, topic: str) -> str:
        """The id of a topic in its present life."""
        return f"{topic}/{self.lives.get(topic, 0)}"

    def topic_config(self, topic: str) -> dict[str, str]:
        """As much of a topic's settings as the service looks at."""
        large = topic == DEAD_LETTERS and self.scenario.has("large")
        return {"max.message.bytes": str(LARGE_BYTES)} if large else {}

    def now_ms(self) -> int:
        """The brokers' clock."""
        return BASE_MS + int(self.kernel.now_s * 1000) + self.clock_ahead_ms

    def pass_point(self, process: Process, point: str) -> None:
        """A place in the code where faults may wait for a process.

        Raises:
            Killed: It was killed here.
        """
        armed = process.armed.get(point)
        if armed is None:
            return
        count, strike = armed
        if count > 0:
            process.armed[point] = (count - 1, strike)
            return
        del process.armed[point]
        self.kernel.note("fault strikes", point=point)
        strike()

    def _marker_delay_s(self) -> float:
        chance = self.kernel.random
        if not self.calm and chance.random() < self.scenario.slow_markers:
            return chance.random() * self.scenario.marker_delay_s
        return chance.random() * 0.005

    def _skips(self, transactional_id: str, markers: int, *, commit: bool) -> set[int]:
        """Which are forgotten, the last one being that of the offsets."""
        chance = self.kernel.random
        if self.calm or not self.scenario.has("skipped_markers") or transactional_id.startswith("upstream"):
            return set()
        if chance.random() >= self.scenario.error_share:
            return set()
        if commit and (self.scenario.instances > 1 or self.scenario.has("join")):
            return self._skips_all(transactional_id, markers)
        self.kernel.note("markers are skipped", commit=commit)
        share = chance.choice((0.3, 0.7, 1.0, 1.0))
        if commit and share < 1.0 and self.scenario.moves:  # state without its offset is refused where it is restored
            markers -= 1
        return {number for number in range(markers) if chance.random() < share}

    def _skips_all(self, transactional_id: str, markers: int) -> set[int]:
        """Forgets none or all: of what a next owner can see a part of, nobody mends the rest.

        Nor does a broker die again while that is done.
        """
        if self.kernel.now_s - self._died_s.get(transactional_id, -MENDED_S) < MENDED_S:
            return set()
        self._died_s[transactional_id] = self.kernel.now_s
        self.kernel.note("markers are skipped", commit=True)
        return set(range(markers))

    def _went_back(self, number: int, before: int, after: int) -> None:
        self.broken(f"the committed offset of partition {number} went back from {before} to {after}")

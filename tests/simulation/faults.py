"""What happens to the instances and brokers of a run, at random times and at points in the code."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial

from tests.simulation.cluster import PROFILES, Cluster
from tests.simulation.instance import Instance
from tests.simulation.kernel import Process
from tests.simulation.scenario import POINTS

SHORT_S, MIDDLE_S, LONG_S = 2.0, 12.0, 70.0
POINT_PASSES_MAX = 4
HOUR_MS = 3_600_000


class Fleet:
    """The instances, by a letter that is their instance id, with those that came before.

    Attributes:
        all: Every process that ever was.
        twins: The letters that were once given to two at a time.
    """

    def __init__(self, cluster: Cluster) -> None:
        self._cluster, self._kernel = cluster, cluster.kernel
        self.all: list[Instance] = []
        self.twins: set[str] = set()
        self.stopped = False
        """The supervisor starts nothing."""
        self.rebuilding = False
        """Instances are started with `--rebuild-state`."""

    def start(self, letter: str) -> None:
        """A new process."""
        number = sum(instance.letter == letter for instance in self.all) + 1
        process = Process(f"{letter}{number}", born_s=self._kernel.now_s)
        instance = Instance(self._cluster, process, rebuild_state=self.rebuilding)
        self.all.append(instance)
        self._kernel.note("start", process=instance.process.name)
        instance.start()

    def start_later(self, letter: str) -> None:
        """The supervisor's doing."""
        self._kernel.at(self._kernel.random.uniform(0.05, 3.0), partial(self.start_missing, letter))

    def start_missing(self, letter: str) -> None:
        """Unless it is there already, or is to stay away."""
        if not self.stopped and not any(instance.letter == letter for instance in self.alive()):
            self.start(letter)

    def rivals(self, instance: Instance) -> list[Instance]:
        """Those with its id that ran at the same time as it did."""
        return [
            other
            for other in self.all
            if other is not instance
            and other.letter == instance.letter
            and other.process.born_s <= instance.process.died_s
            and other.process.died_s >= instance.process.born_s
        ]

    def rivals_at_work(self) -> bool:
        """Whether of two with one id one has partitions at least: one of them will have to go."""
        owners = {self._cluster.group.owner_of(n) for n in range(self._cluster.scenario.partitions)}
        working = {instance.letter for instance in self.alive() if instance.process in owners}
        alive = Counter(instance.letter for instance in self.alive())
        return any(alive[letter] > 1 for letter in working)

    def stop_all(self) -> None:
        """SIGTERM to all, and nobody starts them again."""
        self.stopped = True
        for instance in self.alive():
            instance.stop()

    def of(self, process: Process | None) -> Instance | None:
        """The instance that a process is, if it is alive."""
        return next((instance for instance in self.alive() if instance.process is process), None)

    def alive(self) -> list[Instance]:
        """Those that run, or would if they were not stopped."""
        return [instance for instance in self.all if not instance.process.dead]


class Faults:
    """Strikes."""

    def __init__(self, cluster: Cluster, fleet: Fleet) -> None:
        self._cluster, self._fleet = cluster, fleet
        self._kernel, self._chance = cluster.kernel, cluster.kernel.random
        self._ends_s = 0.0
        self._deeds: dict[str, Callable[[], None]] = {
            "crash": self._now(self._crash),
            "crash_at": self._at_point(self._crash),
            "stop": self._stop,
            "freeze": self._now(self._freeze),
            "freeze_at": self._at_point(self._freeze),
            "cut": self._now(self._cut),
            "cut_at": self._at_point(self._cut),
            "cut_writes": self._now(self._cut_writes),
            "cut_writes_at": self._at_point(self._cut_writes),
            "outage": self._outage,
            "shuffle": partial(cluster.group.rebalance, shuffle=True),
            "shuffle_at": self._at_point(lambda _: cluster.group.rebalance(shuffle=True)),
            "expel": self._now(cluster.group.expel),
            "expel_at": self._at_point(cluster.group.expel),
            "join": self._join,
            "twin": self._twin,
            "compaction": self._compact,
            "registry": self._registry,
            "clock": self._clock,
        }

    def plan(self) -> None:
        """Spreads the seed's strikes over its time."""
        scenario = self._cluster.scenario
        kinds = [kind for kind in self._deeds if scenario.has(kind)]
        for _ in range(scenario.strikes if kinds else 0):
            kind = self._chance.choice(kinds)
            self._kernel.at(self._chance.random() * scenario.duration_s, partial(self._strike, kind))

    def heal(self) -> None:
        """Nothing is broken from now on."""
        self._cluster.calm = self._cluster.network.calm = True
        self._cluster.registry_down = False
        self._end_outage()
        for instance in self._fleet.all:
            instance.process.armed.clear()
            self._thaw(instance.process)
            self._mend(instance.process)
            self._mend_writes(instance.process)

    @property
    def over(self) -> bool:
        """Whether all have ended by themselves."""
        return self._kernel.now_s >= self._ends_s

    def arm_crash(self) -> None:
        """Somebody will be killed somewhere."""
        self._at_point(self._crash)()

    def _strike(self, kind: str) -> None:
        if not self._cluster.calm:
            self._kernel.note("strike", kind=kind)
            self._deeds[kind]()

    def _victim(self) -> Process | None:
        alive = self._fleet.alive()
        return self._chance.choice(alive).process if alive else None

    def _now(self, deed: Callable[[Process], None]) -> Callable[[], None]:
        def strike() -> None:
            if (process := self._victim()) is not None:
                deed(process)

        return strike

    def _at_point(self, deed: Callable[[Process], None]) -> Callable[[], None]:
        def strike() -> None:
            if (process := self._victim()) is not None:
                point, passes = self._chance.choice(POINTS), self._chance.randrange(POINT_PASSES_MAX)
                process.armed[point] = (passes, partial(deed, process))

        return strike

    def _later(self, end: Callable[[], None], factor: float = 1.0) -> None:
        """Ends a fault after some time."""
        seconds = factor * self._chance.random() * self._chance.choice((SHORT_S, MIDDLE_S, LONG_S))
        self._ends_s = max(self._ends_s, self._kernel.now_s + seconds)
        self._kernel.at(seconds, end)

    # --- one process ---

    def _crash(self, process: Process) -> None:
        if not process.dead:
            self._cluster.group.silent(process)
            self._fleet.start_later(process.name[0])
            self._kernel.kill(process)

    def _stop(self) -> None:
        alive = self._fleet.alive()
        if alive:
            instance = self._chance.choice(alive)
            self._kernel.note("SIGTERM", process=instance.process.name)
            instance.stop()

    def _freeze(self, process: Process) -> None:
        self._cluster.group.silent(process)
        self._kernel.stop(process)
        self._later(partial(self._thaw, process))
        if self._kernel.current is not None:
            self._kernel.sleep(0.0)  # here, not at the next request

    def _thaw(self, process: Process) -> None:
        if process.stopped:
            self._kernel.note("goes on", process=process.name)
            self._kernel.go_on(process)
            self._hear(process)

    def _cut(self, process: Process) -> None:
        self._cluster.group.silent(process)
        process.cut = True
        self._later(partial(self._mend, process))

    def _mend(self, process: Process) -> None:
        if process.cut:
            self._kernel.note("connected again", process=process.name)
            process.cut = False
            self._hear(process)
            process.healed.fire()

    def _cut_writes(self, process: Process) -> None:
        process.writes_cut = True
        self._later(partial(self._mend_writes, process), factor=2.0)

    def _mend_writes(self, process: Process) -> None:
        process.writes_cut = False
        process.healed.fire()

    def _hear(self, process: Process) -> None:
        if not (process.dead or process.stopped or process.cut):
            process.silent_since_s = None

    # --- everybody ---

    def _outage(self) -> None:
        self._cluster.network.outage = True
        self._later(self._end_outage)

    def _end_outage(self) -> None:
        self._cluster.network.outage = False
        self._cluster.network.over.fire()

    def _join(self) -> None:
        letter = self._chance.choice("xyz")
        self._fleet.start_missing(letter)

    def _twin(self) -> None:
        alive = self._fleet.alive()
        if alive:
            letter = self._chance.choice(alive).letter
            self._fleet.twins.add(letter)
            self._fleet.start(letter)

    def _compact(self) -> None:
        for number in range(self._cluster.scenario.partitions):
            self._cluster.log((PROFILES, number)).compact()

    def _registry(self) -> None:
        self._cluster.registry_down = True
        self._kernel.at(self._chance.random() * MIDDLE_S, self._end_registry)

    def _end_registry(self) -> None:
        self._cluster.registry_down = False

    def _clock(self) -> None:
        if (process := self._victim()) is not None:
            process.clock_error_ms = self._chance.choice((-HOUR_MS, HOUR_MS))

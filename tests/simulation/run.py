"""One seed: a world, its faults, the wait until all is caught up, and the checks."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import partial

from tests.simulation.checks import BrokenError, check
from tests.simulation.cluster import Cluster
from tests.simulation.faults import Faults, Fleet
from tests.simulation.instance import Instance
from tests.simulation.kernel import Kernel
from tests.simulation.loss import STATE_ERROR, Loss
from tests.simulation.model import codecs
from tests.simulation.scenario import Scenario, scenario_of
from tests.simulation.seams import installed
from tests.simulation.upstream import Events, Upstream

LETTERS = "abc"
FENCED = 6
ASK_EVERY_S = 0.25
STOPPED_S = 120.0
CATCH_UP_S = 200.0
"""For so long nothing is broken any more before everything must be caught up; the longest back-offs fit in easily."""
RIVAL_S = 30.0
"""More for each instance beside another with its id: they go one after the other, the next once it has partitions."""


class SimulationError(AssertionError):
    """A seed that fails; replay it with `python -m tests.simulation SEED`."""

    def __init__(self, seed: int, error: BaseException, trace: list[str]) -> None:
        self.seed, self.trace = seed, trace
        super().__init__(f"seed {seed}: {type(error).__name__}: {error}\nreplay: python -m tests.simulation {seed}")


class CrashedError(AssertionError):
    """An instance ended by an exception that the service does not know."""


@dataclass(slots=True)
class Summary:
    """What a seed went through."""

    scenario: Scenario
    virtual_s: float
    notes: list[str]
    met: Counter[str]
    """How often each kind of thing happened."""


def simulate(seed: int, *, tracing: bool = False) -> Summary:
    """Runs a seed.

    Raises:
        SimulationError: An invariant does not hold, the service failed, or it did not catch up.
    """
    kernel = Kernel(seed, tracing=tracing)
    world = World(kernel, scenario_of(seed))
    with installed(world.cluster):
        try:
            world.run()
        except Exception as error:
            raise SimulationError(seed, error, kernel.notes) from error
        finally:
            world.end()
    return Summary(world.cluster.scenario, kernel.now_s, kernel.notes, kernel.met)


class World:
    """Everything of one seed."""

    def __init__(self, kernel: Kernel, scenario: Scenario) -> None:
        self._kernel = kernel
        self.cluster = Cluster(kernel, scenario, self._broken)
        self._fleet = Fleet(self.cluster)
        self._faults = Faults(self.cluster, self._fleet)
        self._upstream = Upstream(self.cluster, Events(self.cluster, codecs()[0]))
        self._seen: set[str] = set()

    def run(self) -> None:
        scenario = self.cluster.scenario
        self._upstream.start()
        for letter in LETTERS[: scenario.instances]:
            self._kernel.at(self._kernel.random.random(), partial(self._fleet.start_missing, letter))
        self._faults.plan()
        self._kernel.run(self._struck, every_s=ASK_EVERY_S, until_s=scenario.duration_s + CATCH_UP_S)
        self._faults.heal()
        self._catch_up()
        if scenario.has("state_loss"):
            self._lose_state()

    def _catch_up(self) -> None:
        for letter in LETTERS[: self.cluster.scenario.instances]:
            self._fleet.start_missing(letter)
        alive = [instance.letter for instance in self._fleet.alive()]
        within_s = CATCH_UP_S + RIVAL_S * (len(alive) - len(set(alive)))
        if not self._kernel.run(self._caught_up, every_s=ASK_EVERY_S, until_s=self._kernel.now_s + within_s):
            raise BrokenError(f"not caught up {within_s:.0f} s after the last fault: {self._state()}")
        check(self.cluster, self._fleet.all)

    def _lose_state(self) -> None:
        """The service must refuse a damaged state, and agree with everything again once it may rebuild it."""
        self._stop_all()
        if not Loss(self.cluster).strike():
            return
        self._fleet.start("a")
        self._kernel.run(lambda: not self._fleet.alive(), every_s=ASK_EVERY_S, until_s=self._kernel.now_s + STOPPED_S)
        refused = self._fleet.all[-1]
        if refused.exit_code != STATE_ERROR:
            raise BrokenError(f"a damaged state was not refused: {refused.exit_code} {refused.reason}")
        self._seen.add(refused.process.name)
        self._upstream.more(self._kernel.random.randint(0, 5))
        self._fleet.rebuilding, self._fleet.stopped = True, False
        self._fleet.start("a")
        self._faults.arm_crash()
        self._catch_up()
        self._stop_all()
        self._fleet.rebuilding, self._fleet.stopped = False, False
        self._upstream.more(self._kernel.random.randint(0, 5))
        self._catch_up()

    def _stop_all(self) -> None:
        self._fleet.stop_all()
        self._kernel.run(lambda: not self._fleet.alive(), every_s=ASK_EVERY_S, until_s=self._kernel.now_s + STOPPED_S)
        self._seen.update(instance.process.name for instance in self._fleet.all)

    def end(self) -> None:
        """Takes everything down, so that nothing of this seed reaches into the next."""
        self._kernel.end([instance.process for instance in self._fleet.all])

    def _broken(self, what: str) -> None:
        raise BrokenError(what)

    def _struck(self) -> bool:
        self._supervise()
        scenario = self.cluster.scenario
        over = self._kernel.now_s >= scenario.duration_s and self._upstream.done
        return over and (self._faults.over or not scenario.patient)

    def _caught_up(self) -> bool:
        self._supervise()
        cluster = self.cluster
        for number in range(cluster.scenario.partitions):
            end = cluster.events(number).end
            owner = self._fleet.of(cluster.group.owner_of(number))
            if (
                cluster.group.offsets.get(number, (-1, ""))[0] != end
                or owner is None
                or owner.next_offset(number) != end
            ):
                return False
        if self._fleet.rivals_at_work():
            return False
        return not cluster.coordinator.open and all(instance.idle() for instance in self._fleet.alive())

    def _supervise(self) -> None:
        """Starts again what ended and may have ended; of twins one has to stay."""
        ended = [i for i in self._fleet.all if i.exit_code is not None and i.process.name not in self._seen]
        for instance in ended:
            self._seen.add(instance.process.name)
            code = instance.exit_code or 0
            if instance.crash:
                raise CrashedError(f"{instance.process.name} crashed: {instance.reason}")
            if not self._allowed(instance, code):
                raise BrokenError(f"{instance.process.name} ended with {code}: {instance.reason}")
            left = any(other.letter == instance.letter for other in self._fleet.alive())
            if code == FENCED and not left and all(r.exit_code == FENCED for r in self._fleet.rivals(instance)):
                raise BrokenError(f"of the twins {instance.letter} none is left")
            self._fleet.start_later(instance.letter)

    def _allowed(self, instance: Instance, code: int) -> bool:
        scenario = self.cluster.scenario
        network = any(scenario.has(kind) for kind in ("cut", "cut_at", "cut_writes", "cut_writes_at", "outage"))
        return (
            (code == 0 and instance.stopping)
            or (code == 3 and network and not instance.served)  # later it waits without end
            or (code == 4 and scenario.has("flood"))
            or (code == FENCED and instance.letter in self._fleet.twins)
        )

    def _state(self) -> str:
        lines = []
        for number in range(self.cluster.scenario.partitions):
            committed = self.cluster.group.offsets.get(number)
            owner = self.cluster.group.owner_of(number)
            log = self.cluster.events(number)
            lines.append(
                f"partition {number}: committed {committed and committed[0]}, stable end {log.stable_end}, "
                f"end {log.end}, owner {owner and owner.name}"
            )
        return "; ".join([*lines, f"open transactions {self.cluster.coordinator.open}"])

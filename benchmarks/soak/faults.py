"""What an operator will meet, one after the other: each fault begins, lasts, and is over when its function returns."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from random import Random

from runtime.clock import SystemClock
from runtime.local_kafka import LocalKafka
from tests.kafka import eventually
from tests.scorer import READY_S, Scorer
from training.champion import ModelDirectory

HANG = "hang@signal"
"""What instances are started with, so that SIGUSR1 makes their model hang."""
VERSIONS = ("v1", "v2")
STOP_S = 12.0
FREEZE_S = (12.0, 16.0)
"""Longer than the session (10 s): the other instance takes over, and the frozen one wakes up as a zombie."""


@dataclass(frozen=True, slots=True)
class Stage:
    """Who can be struck.

    Attributes:
        steady: The instance that is never ended, so that one life is as long as the soak.
        mortal: The other one.
        kafka: Their broker.
        models: Where versions are promoted.
        chance: Of all choices.
    """

    steady: Scorer
    mortal: Scorer
    kafka: LocalKafka
    models: ModelDirectory
    chance: Random

    def either(self) -> Scorer:
        """One of the two."""
        return self.chance.choice((self.steady, self.mortal))

    def last(self, low_s: float, high_s: float) -> None:
        """Lets the fault last."""
        time.sleep(self.chance.uniform(low_s, high_s))


def killed(stage: Stage) -> str:
    """SIGKILL, and another start with the same id."""
    stage.mortal.kill()
    stage.last(0, 3)
    stage.mortal.start(ready=False)
    return stage.mortal.instance_id


def frozen(stage: Stage) -> str:
    """SIGSTOP for longer than the session, then SIGCONT."""
    struck = stage.either()
    struck.signal(signal.SIGSTOP)
    stage.last(*FREEZE_S)
    struck.signal(signal.SIGCONT)
    return struck.instance_id


def restarted(stage: Stage) -> str:
    """SIGTERM, which must end it cleanly and in time, and another start: two rebalances."""
    eventually(stage.mortal.ready, within_s=READY_S)  # one that is still starting need not keep that promise
    code = stage.mortal.stop(STOP_S)
    assert code == 0, f"{stage.mortal.instance_id} ended with {code} on SIGTERM"
    stage.last(1, 5)
    stage.mortal.start(ready=False)
    return stage.mortal.instance_id


def broker_restarted(stage: Stage) -> str:
    """The broker is stopped cleanly and started."""
    stage.kafka.stop()
    stage.last(0, 3)
    stage.kafka.start()
    return "broker"


def broker_killed(stage: Stage) -> str:
    """The broker is killed and started."""
    stage.kafka.nodes[0].kill()
    stage.last(0, 3)
    stage.kafka.start()
    return "broker"


def broker_frozen(stage: Stage) -> str:
    """The broker is there and does not answer."""
    stage.kafka.nodes[0].pause()
    stage.last(3, 12)
    stage.kafka.nodes[0].resume()
    return "broker"


def model_hung(stage: Stage) -> str:
    """Every model call of one instance hangs."""
    struck = stage.either()
    eventually(struck.ready, within_s=READY_S)  # before that the signal would end it
    struck.signal(signal.SIGUSR1)
    stage.last(4, 10)
    struck.signal(signal.SIGUSR1)
    return struck.instance_id


def promoted(stage: Stage) -> str:
    """The other version becomes champion."""
    before = stage.models.champion()
    after = next(version for version in VERSIONS if version != before)
    stage.models.promote(after, now_ms=SystemClock().now_ms())
    return after


Fault = Callable[[Stage], str]
FAULTS: dict[str, Fault] = {
    fault.__name__: fault
    for fault in (
        killed,
        frozen,
        restarted,
        broker_restarted,
        broker_killed,
        broker_frozen,
        model_hung,
        promoted,
    )
}


def drawn(chance: Random, names: Sequence[str] = tuple(FAULTS)) -> Iterator[Fault]:
    """Faults without end: all of these names in a random order, then again in another one."""
    while True:
        yield from (FAULTS[name] for name in chance.sample(list(names), len(names)))

"""One soak: traffic, a fault each half minute, and what was seen of it."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import numpy as np
from confluent_kafka import KafkaException

from benchmarks.soak.check import Checked, check, events_max
from benchmarks.soak.faults import FAULTS, HANG, STOP_S, VERSIONS, Stage, drawn
from benchmarks.soak.sampler import Sample, Sampler
from benchmarks.soak.subscriber import Second, Subscriber
from benchmarks.soak.traffic import Sent, backlog, traffic
from benchmarks.soak.trends import Life
from benchmarks.soak.trends import problems as growing
from benchmarks.space import Space
from runtime.config import Settings
from runtime.local_kafka import LocalKafka
from tests.bundles import promote, write_bundle
from tests.invariants import Topics
from tests.kafka import eventually, warm_up
from tests.scorer import Scorer
from training.champion import ModelDirectory

TREES = 200
BASELINE_S = 20.0
"""Before the first fault; what came of the backlog is over after its first quarter."""
HEALED_S = 60.0
"""From the end of a fault until all is as before (invariant 9), and the fault's own duration on top: at half load it
takes as long to catch up as events had waited."""
STEADY_SAMPLES = 3
QUIET_S = 8.0
"""At least, between two faults: what leaks is seen in quiet moments."""
BUDGET_MS = 150.0
QUIET_TIMES = 3.0
QUIET_SECONDS = 30
"""The last quiet ones say what this machine holds just now, with all else that it does."""
CAUGHT_UP_S = 300.0


@dataclass(frozen=True, slots=True)
class Plan:
    """What is asked for.

    Attributes:
        hours: Of traffic with faults.
        rate: Events a second; None for half of what both instances do with a backlog.
        seed: Of all choices.
        n_leads: Leads, the same all the time: state does not grow.
        n_backlog: Events at the beginning, by which every lead is known and the instances are measured.
        every_s: From the beginning of a fault to that of the next one, unless it takes longer to heal.
        faults: Names of those that may come.
    """

    hours: float
    rate: float | None
    seed: int
    n_leads: int
    n_backlog: int
    every_s: float
    faults: tuple[str, ...] = tuple(FAULTS)


@dataclass(slots=True)
class Struck:
    """One fault.

    Attributes:
        name: What it was.
        target: Whom it struck.
        begun_s: When, in seconds since the soak began.
        ended_s: When it was over.
        p95_limit_ms: Up to here is as before: the budget, or three times what the quiet moments before had.
        healed_s: How long after that all was as before; None: not within a minute.
    """

    name: str
    target: str
    begun_s: float
    ended_s: float
    p95_limit_ms: float
    healed_s: float | None = None


@dataclass(slots=True)
class Result:
    """What a soak gave; times are in seconds since it began."""

    capacity: float = 0.0
    rate: float = 0.0
    half_load: bool = True
    sent: Sent | None = None
    struck: list[Struck] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)
    lives: list[Life] = field(default_factory=list)
    seconds: dict[int, Second] = field(default_factory=dict)
    versions: dict[str, int] = field(default_factory=dict)
    checked: Checked | None = None
    problems: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Place:
    """Where it happens."""

    space: Space
    settings: Settings
    stage: Stage
    pair: list[Scorer]
    logs: Path


Say = Callable[[str], None]


@contextmanager
def place(kafka: LocalKafka, logs: Path, seed: int, n_partitions: int) -> Iterator[Place]:
    """Topics, two bundles, and two instances that are not started yet, on a broker that may be stopped and killed."""
    with ExitStack() as stack:
        warm_up(kafka.bootstrap_servers)
        models = logs / "models"
        environ = {
            "LEAD_SCORER__DRILLS__ENABLED": "true",
            "LEAD_SCORER__MODEL__DIRECTORY": str(models),
            "LEAD_SCORER__MODEL__POLL_S": "0.5",
            "LEAD_SCORER__TOPICS__PARTITIONS": str(n_partitions),
        }
        space = Space(kafka.bootstrap_servers, "soak", logs, environ)
        settings = space.create("soak")
        for seed_of_model, version in enumerate(VERSIONS):
            write_bundle(models, version, seed=seed_of_model, trees=TREES)
        promote(models, VERSIONS[0])
        pair = [Scorer(space.environ("soak"), name, logs, "--inject", HANG) for name in ("steady", "mortal")]
        for scorer in pair:
            stack.callback(scorer.close)
        stack.callback(_keep_log, kafka, logs)
        yield Place(space, settings, Stage(pair[0], pair[1], kafka, ModelDirectory(models), Random(seed)), pair, logs)


def _keep_log(kafka: LocalKafka, logs: Path) -> None:
    shutil.copy(kafka.nodes[0].log, logs / "kafka.log")


def soak(at: Place, plan: Plan, say: Say) -> Result:
    """Runs it to its end; what is wrong stands in `problems`."""
    result = Result()
    environ = at.space.environ("soak")
    for scorer in at.pair:
        scorer.start()
    result.capacity, backlog_sent = _capacity(at, plan)
    result.rate, result.half_load = _rate(plan, result.capacity, at.settings.topics.partitions)
    say(f"both instances did {result.capacity:,.0f} events/s of a backlog; {result.rate:,.0f} events/s from now on")
    if not result.half_load:
        say("that is not half load, but what was asked for, or what the check in the end has room for")
    start_s = time.time()
    with (
        Subscriber(at.space.bootstrap_servers, at.settings.topics.decisions, start_s) as subscriber,
        Sampler(at.settings, at.pair, start_s) as sampler,
        traffic(environ, plan.n_leads, result.rate, at.logs / "traffic.log") as sending,
    ):
        try:
            _faults(_Watch(at, subscriber, sampler, result, say), plan)
        except KeyboardInterrupt:
            result.problems.append("interrupted: what follows is about the part until then")
        sampler.quiet = False
        try:
            result.sent = backlog_sent.and_also(sending.finish())
        except (AssertionError, subprocess.TimeoutExpired) as error:
            result.problems.append(f"how much was sent is not known: {error}")
        try:
            Topics(at.settings).wait_until_caught_up(CAUGHT_UP_S)
        except (AssertionError, KafkaException) as error:
            result.problems.append(f"not caught up in the end: {error}")
    result.samples, result.lives, result.seconds = sampler.samples, sampler.lives(), subscriber.seconds
    result.versions = {str(version): n for version, n in subscriber.versions.items()}
    result.problems += sampler.went_back + growing(result.lives) + _ended(at.pair)
    result.problems += [f"decisions by {name}" for name in result.versions if name not in (*VERSIONS, "None")]
    say("checking every partition")
    result.checked = check(at.settings, subscriber.chains)
    result.problems += result.checked.problems
    if result.sent is not None and not result.sent.allows(result.checked.n_events):
        result.problems.append(f"{result.checked.n_events} events are in the topic; of those sent, {result.sent}")
    return result


def _capacity(at: Place, plan: Plan) -> tuple[float, Sent]:
    """What both do with a backlog, events a second, and how many events that were."""
    topics, began_s = Topics(at.settings), time.monotonic()
    sent = backlog(at.space.environ("soak"), plan.n_leads, plan.n_backlog)
    eventually(topics.caught_up, within_s=CAUGHT_UP_S, every_s=0.3)
    return sent.acknowledged / (time.monotonic() - began_s), sent


def _rate(plan: Plan, capacity: float, n_partitions: int) -> tuple[float, bool]:
    """The rate, and whether it is half load."""
    room = events_max(n_partitions) / (plan.hours * 3600)
    rate = min(capacity / 2 if plan.rate is None else plan.rate, room)
    return float(int(rate)), plan.rate is None and rate == capacity / 2


@dataclass(slots=True)
class _Watch:
    """What the faults are judged by."""

    at: Place
    subscriber: Subscriber
    sampler: Sampler
    result: Result
    say: Say

    def check_running(self) -> None:
        """Fails if an instance has ended by itself."""
        for scorer in self.at.pair:
            assert scorer.running, f"{scorer.instance_id} ended: {scorer.log()[-1:]}"

    def limit_ms(self) -> float:
        """The p95 that counts as before."""
        known = [self.subscriber.second(int(sample.at_s) - 1) for sample in self.sampler.samples if sample.quiet]
        recent = [second.p95_ms for second in known if second is not None][-QUIET_SECONDS:]
        return max(BUDGET_MS, QUIET_TIMES * float(np.median(recent or [0.0])))

    def well(self, since_s: float, limit_ms: float) -> bool:
        """Whether the last seconds were as before: little lag, p95 within the limit."""
        recent = [sample for sample in self.sampler.samples[-STEADY_SAMPLES:] if sample.at_s >= since_s]
        return len(recent) == STEADY_SAMPLES and all(self._well_at(sample, limit_ms) for sample in recent)

    def _well_at(self, sample: Sample, limit_ms: float) -> bool:
        second = self.subscriber.second(int(sample.at_s) - 1)
        at_most = max(50.0, 3 * self.result.rate / self.at.settings.topics.partitions)
        return (
            sample.lag is not None and sample.lag.worst <= at_most and second is not None and second.p95_ms <= limit_ms
        )


def _faults(watch: _Watch, plan: Plan) -> None:
    """The baseline, then faults until the time is over."""
    sampler, result = watch.sampler, watch.result
    end_s = sampler.now_s() + BASELINE_S + plan.hours * 3600
    time.sleep(BASELINE_S / 4)
    sampler.quiet = True
    time.sleep(BASELINE_S * 3 / 4)
    for fault in drawn(watch.at.stage.chance, plan.faults):
        begun_s, limit_ms = sampler.now_s(), watch.limit_ms()
        if begun_s > end_s - plan.every_s:
            break
        sampler.quiet = False
        try:
            target = fault(watch.at.stage)
            _heal(watch, Struck(fault.__name__.replace("_", " "), target, begun_s, sampler.now_s(), limit_ms))
        except AssertionError as error:
            result.problems.append(f"{fault.__name__} at {begun_s:.0f} s: {error}")
            for scorer in watch.at.pair:
                if not scorer.running:
                    scorer.start(ready=False)
            continue
        sampler.quiet = True
        time.sleep(max(QUIET_S, begun_s + plan.every_s - sampler.now_s()))


def _heal(watch: _Watch, struck: Struck) -> None:
    """Waits until all is as before."""
    watch.result.struck.append(struck)
    lasted_s = struck.ended_s - struck.begun_s
    allowed_s = HEALED_S + lasted_s
    deadline_s = struck.ended_s + allowed_s
    while not watch.well(struck.ended_s, struck.p95_limit_ms) and watch.sampler.now_s() < deadline_s:
        watch.check_running()
        time.sleep(0.2)
    if watch.well(struck.ended_s, struck.p95_limit_ms):
        struck.healed_s = watch.sampler.samples[-STEADY_SAMPLES].at_s - struck.ended_s
    else:
        watch.result.problems.append(f"not as before {allowed_s:.0f} s after {struck.name} at {struck.begun_s:.0f} s")
    healed = "not healed" if struck.healed_s is None else f"all as before {struck.healed_s:.0f} s later"
    watch.say(f"{struck.begun_s:6.0f} s  {struck.name} ({struck.target}) for {lasted_s:.0f} s, {healed}")


def _ended(pair: list[Scorer]) -> list[str]:
    """Stops both; a sentence for each that does not end as it should."""
    codes = {}
    for scorer in pair:
        codes[scorer.instance_id] = scorer.stop(STOP_S) if scorer.running else scorer.wait()
    return [f"{instance} ended with {code}" for instance, code in codes.items() if code != 0]

"""The model fails in every way under traffic: do decisions still come in time, and all of them?

    python -m benchmarks.outage --rate 1000

In each scenario the model serves, fails for some seconds, and recovers; in the last one two versions are promoted back
and forth each second. The echo gets the same traffic before each: what the machine allows just then. The time line of
each scenario is drawn into out/benchmarks/outage.png and .svg. Exit code 1 if an event has no decision or two, or a
decision a version that was not champion.
"""

from __future__ import annotations

import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.contestants import Contestant, contestant
from benchmarks.pacer import finished, traffic
from benchmarks.space import OUT, Space, arguments, save, space
from benchmarks.tables import table
from benchmarks.timeline import Timeline, draw, timeline
from benchmarks.watcher import Watcher, append_of_decision, append_of_echo
from runtime.clock import SystemClock
from schemas.codec import decision_codec
from tests.bundles import write_bundle
from tests.kafka import eventually
from training.champion import NONE, ModelDirectory

TREES = 200
SETTLED_S = 3.0
"""After the first decision, before anything is measured."""
BEFORE_S, AFTER_S = 5.0, 8.0
PROMOTE_EVERY_S = 1.0
BUDGET_MS = 150.0
STARTED_S = 60.0
DRILLS = {
    "LEAD_SCORER__DRILLS__ENABLED": "true",
    "LEAD_SCORER__MODEL__POLL_S": "0.2",
    # Shorter than the defaults, so that the breaker's whole life fits into the picture.
    "LEAD_SCORER__BREAKER__OPEN_S": "2",
    "LEAD_SCORER__BREAKER__MAX_OPEN_S": "4",
}


class Scenario(NamedTuple):
    """What becomes of the model."""

    name: str
    inject: str | None
    lasting_s: float
    disturb: Callable[[Contestant, ModelDirectory, float], None]


class Outcome(NamedTuple):
    """What a scenario gave."""

    name: str
    events: int
    lost: int
    twice: int
    p95_before_ms: float
    p95_during_ms: float
    p95_worst_second_ms: float
    fallback_share: float
    reasons: dict[str, int]
    versions: dict[str, int]
    strangers: int

    @property
    def sound(self) -> bool:
        """One decision for each event, each by a version that had been promoted."""
        return not (self.lost or self.twice or self.strangers)


def toggled(process: Contestant, _models: ModelDirectory, lasting_s: float) -> None:
    """A fault that waits for the signal begins, and ends."""
    process.signal(signal.SIGUSR1)
    time.sleep(lasting_s)
    process.signal(signal.SIGUSR1)


def absent(_process: Contestant, models: ModelDirectory, lasting_s: float) -> None:
    """The model is taken out of service, and put back."""
    _promote(models, NONE)
    time.sleep(lasting_s)
    _promote(models, "v1")


def back_and_forth(_process: Contestant, models: ModelDirectory, lasting_s: float) -> None:
    """Two versions in turn."""
    began_s = time.monotonic()
    for turn in range(round(lasting_s / PROMOTE_EVERY_S)):
        time.sleep(max(0.0, began_s + turn * PROMOTE_EVERY_S - time.monotonic()))
        _promote(models, ("v2", "v1")[turn % 2])


def _promote(models: ModelDirectory, version: str) -> None:
    models.promote(version, now_ms=SystemClock().now_ms())


def scenarios(lasting_s: float, promoting_s: float) -> Iterator[Scenario]:
    """All of them."""
    for name, fault in (("hung", "hang"), ("10 times slow", "slow:10x"), ("past its deadline", "slow:200"),
                        ("raising", "raise"), ("answering NaN", "nan")):  # fmt: skip
        yield Scenario(name, f"{fault}@signal", lasting_s, toggled)
    yield Scenario("absent", None, lasting_s, absent)
    yield Scenario("promoted each second", None, promoting_s, back_and_forth)


def run(place: Space, number: int, scenario: Scenario, rate: float) -> tuple[Outcome, Timeline]:
    """One scenario."""
    label = f"outage{number}"
    settings, environ = place.create(label), place.environ(label)
    models = ModelDirectory(place.directory / "models")
    _promote(models, "v1")
    slice_s = SETTLED_S + BEFORE_S + scenario.lasting_s + AFTER_S + 2
    arguments = ("--inject", scenario.inject) if scenario.inject else ()
    with (
        Watcher(place.bootstrap_servers, settings.topics.decisions) as watcher,
        contestant("model", environ, place.directory, *arguments) as process,
        traffic(environ, [settings.topics.events], rate=rate, slice_s=slice_s) as sending,
    ):
        eventually(lambda: watcher.seen, within_s=STARTED_S)
        time.sleep(SETTLED_S)
        measured_ms = time.time() * 1000
        time.sleep(BEFORE_S)
        begun_ms = time.time() * 1000
        scenario.disturb(process, models, scenario.lasting_s)
        ended_ms = time.time() * 1000
        finished(sending, within_s=slice_s + STARTED_S)
        n_events = round(rate * slice_s)
        watcher.wait(n_events)
        process.check()
    decode = decision_codec().decode
    decisions = [decode(seen.value) for seen in watcher.seen]
    line = timeline(scenario.name, watcher.observed(append_of_decision()), decisions, measured_ms, begun_ms, ended_ms)
    place.delete(label)
    strangers = sum(_stranger(decision, begun_ms) for decision in decisions)
    return _outcome(scenario.name, n_events, decisions, line, strangers), line


def _stranger(decision: dict[str, Any], begun_ms: float) -> bool:
    """Whether its version had not been promoted: `v1` is champion from the start, `v2` at the earliest from then on."""
    version = decision["model_version"]
    return version not in (None, "v1") and not (version == "v2" and decision["decided_at"] >= int(begun_ms))


def _outcome(name: str, n_events: int, decisions: list[dict[str, Any]], line: Timeline, strangers: int) -> Outcome:
    ids = Counter(decision["decision_id"] for decision in decisions)
    reasons = Counter(decision["fallback_reason"] for decision in decisions if decision["fallback_reason"])
    versions = Counter(decision["model_version"] for decision in decisions if decision["model_version"])
    return Outcome(
        name,
        n_events,
        lost=n_events - len(ids),
        twice=len(decisions) - len(ids),
        p95_before_ms=line.p95_before_ms,
        p95_during_ms=line.p95_during_ms,
        p95_worst_second_ms=float(np.nanmax(line.p95_ms)),
        fallback_share=line.fallback_share_during,
        reasons=dict(reasons.most_common()),
        versions=dict(versions.most_common()),
        strangers=strangers,
    )


def echo_p95_ms(place: Space, number: int, rate: float) -> float:
    """The echo under the same traffic."""
    label = f"echo{number}"
    settings, environ = place.create(label), place.environ(label)
    slice_s = SETTLED_S + BEFORE_S
    with (
        Watcher(place.bootstrap_servers, settings.topics.decisions) as watcher,
        contestant("echo", environ, place.directory),
        traffic(environ, [settings.topics.events], rate=rate, slice_s=slice_s),
    ):
        watcher.wait(round(rate * slice_s))
    observed = watcher.observed(append_of_echo)
    place.delete(label)
    return float(
        np.percentile(observed.latency_ms[observed.append_ms > observed.append_ms.max() - 1000 * BEFORE_S], 95)
    )


def main() -> None:
    """The command."""
    parser = arguments("outage", __doc__)
    parser.add_argument("--rate", type=float, default=1000, help="events a second")
    parser.add_argument("--lasting-s", type=float, default=10, help="of each fault")
    parser.add_argument("--promoting-s", type=float, default=60, help="of promoting back and forth")
    parser.add_argument("--only", metavar="NAME", help="the scenarios whose name begins so")
    options = parser.parse_args()
    chosen = [s for s in scenarios(options.lasting_s, options.promoting_s) if s.name.startswith(options.only or "")]
    outcomes, lines, echoes = [], [], []
    with space(options, "outage", DRILLS, own_events=True) as place:
        for version, seed in (("v1", 0), ("v2", 7)):
            write_bundle(place.directory / "models", version, seed=seed, trees=TREES)
        echo_p95_ms(place, -1, options.rate)  # not counted: a broker that has just started is slower
        for number, scenario in enumerate(chosen):
            echoes.append(echo_p95_ms(place, number, options.rate))
            outcome, line = run(place, number, scenario, options.rate)
            outcomes.append(outcome)
            lines.append(line)
            print(
                f"{outcome.name}: p95 {outcome.p95_before_ms:.0f} ms before, {outcome.p95_during_ms:.0f} ms during "
                f"(echo {echoes[-1]:.0f} ms); {outcome.lost} lost, {outcome.twice} twice; by rules "
                f"{outcome.fallback_share:.0%}: {outcome.reasons}; versions {outcome.versions}",
                flush=True,
            )
    _report(outcomes, lines, echoes)


def _report(outcomes: list[Outcome], lines: list[Timeline], echoes: list[float]) -> None:
    names = ["the model is", "events", "lost", "twice", "echo", "before", "during", "worst second", "by rules"]
    rows = [
        [*o[:4], echo, o.p95_before_ms, o.p95_during_ms, o.p95_worst_second_ms, o.fallback_share]
        for o, echo in zip(outcomes, echoes, strict=True)
    ]
    print("p95 of append to visible, in ms, of the echo, and before and during the fault:")
    print(table(names, rows))
    for path in map(partial(Path.joinpath, OUT), ("outage.png", "outage.svg")):
        draw(lines, BUDGET_MS, path)
        print(path)
    print(save("outage", {"outcomes": [o._asdict() for o in outcomes], "echo_p95_ms": echoes}))
    within = sum(o.p95_during_ms < BUDGET_MS for o in outcomes)
    echo_within = sum(echo < BUDGET_MS for echo in echoes)
    print(
        f"p95 during the fault is within {BUDGET_MS:.0f} ms in {within} of {len(outcomes)} scenarios, the echo's just "
        f"before in {echo_within}: where the echo is not, the figure tells of the machine"
    )
    if unsound := [o.name for o in outcomes if not o.sound]:
        sys.exit(f"events without a decision or with two, or by a version that was not champion: {', '.join(unsound)}")


if __name__ == "__main__":
    main()

"""The demo from its broker to its summary: sets up, looks on, proves, and leaves nothing behind."""

from __future__ import annotations

import os
import tempfile
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from rich.console import Console

from cli.demo import environment, model
from cli.demo.audit import Auditor
from cli.demo.cluster import demo_topics, started_broker
from cli.demo.display import Display, display
from cli.demo.ending import Ending
from cli.demo.model import TrainedModel
from cli.demo.outage import Moment, Outage, Phase
from cli.demo.plan import Plan
from cli.demo.scorer import Scorer
from cli.demo.state import State
from cli.demo.summary import Story, print_summary, problems
from cli.demo.traffic import Traffic, parameters
from cli.demo.warm_up import WarmUp
from cli.demo.wording import model_figures
from producer.simulation import Simulation
from runtime import config
from runtime.broker import Broker
from runtime.clock import Clock
from runtime.config import Settings
from runtime.errors import FatalError
from scoring.policy import Policy

TICK_S: Final = 0.1
SAMPLE_EVERY_S: Final = 0.5
"""Asking costs the service some milliseconds each time; its latency is what is shown."""

STALLED_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked for.

    Attributes:
        plan: How the demo goes.
        seed: Of all that is simulated.
        bootstrap_servers: A broker to use; None: the ladder of contract 1.2.
        keep_topics: Leave the topics on a broker that was given.
        config: The file of `--config`.
        settings: The user's configuration.
        policy: The user's policy.
    """

    plan: Plan
    seed: int
    bootstrap_servers: str | None
    keep_topics: bool
    config: Path | None
    settings: Settings
    policy: Policy


def run_demo(request: Request, console: Console, clock: Clock, ending: Ending) -> bool:
    """Runs the demo; whether all was well.

    Raises:
        SystemExit: Its end was requested; nothing of it is left.
        FatalError: It could not be brought to its end; what happened and what to do.
    """
    address = environment.given_address(request.bootstrap_servers, os.environ)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="lead-scorer-demo-")))
        steps = Steps(console, clock, ending)
        steps.begin("starting a broker" if address is None else f"reaching {address}")
        if address is None:
            broker = stack.enter_context(started_broker(os.environ))
        else:
            broker = Broker(address, f"the broker at {address}")
        # In a function of its own: no client of ours is left when the broker stops.
        return _on_broker(broker, request, folder, steps, own=address is None)


class Steps:
    """What is done before the traffic begins, a line each, with how long it took; each may find that it is to end."""

    def __init__(self, console: Console, clock: Clock, ending: Ending) -> None:
        self.console = console
        self.clock = clock
        self.ending = ending
        self._begun_s = clock.monotonic()

    def begin(self, what: str) -> None:
        """Says what is being done."""
        self._begun_s = self.clock.monotonic()
        self._print(f"{what} ...", "dim")

    def end(self, label: str, text: str) -> None:
        """Says what came of it."""
        self._print(f"{label:<10}{text} ({self.clock.monotonic() - self._begun_s:.1f} s)", "")

    def _print(self, line: str, style: str) -> None:
        self.ending.check()
        self.console.print(line, style=style, highlight=False, markup=False, soft_wrap=True)


def _on_broker(broker: Broker, request: Request, folder: Path, steps: Steps, *, own: bool) -> bool:
    name = environment.new_name()
    environ = environment.environment(
        os.environ,
        request.settings,
        request.plan,
        name=name,
        bootstrap_servers=broker.bootstrap_servers,
        own_broker=own,
        models=folder / "models",
    )
    file = environment.config_file(request.config)
    settings, decisions = config.load(file, environ), request.policy.decisions
    with demo_topics(settings, decisions, keep=request.keep_topics or own) as spare_topic:
        steps.end("broker", broker.description + ("" if own else f", everything there under {name}"))
        with WarmUp(settings, spare_topic, steps.clock) if own else nullcontext() as warm_up:
            trained, without = _model(settings, folder, request.seed, steps)
        if warm_up is not None:
            setting = f"warmed up before the traffic by {warm_up.transactions:,} transactions on another topic"
        else:
            setting = f"the topics {name}.* {'are kept' if request.keep_topics else 'are deleted as the demo ends'}"
        plan = request.plan if trained else replace(request.plan, outage_s=0.0)
        state = State(plan, decisions, broker.description, settings.budget.p95_ms, trained)
        scorer = Scorer(folder / "scorer", environ, file, steps.clock)
        outage, traffic_s, exit_code = _perform(state, settings, scorer, request.seed, steps)
        steps.begin("reading every topic back")
        audit = Auditor(settings, decisions).run()
        steps.end("check", f"{audit.inputs:,} input records and what became of them")
        story = Story(state, outage, audit, traffic_s, exit_code, without, setting)
        print_summary(steps.console, story)
        return not problems(story)


def _perform(
    state: State, settings: Settings, scorer: Scorer, seed: int, steps: Steps
) -> tuple[Outage, float, int | None]:
    """The scorer and its traffic, from start to end: the outage, the seconds of traffic, the scorer's exit code."""
    steps.begin("starting the scorer")
    with scorer:
        steps.end("scorer", f"is ready: lead-scorer run, {scorer.address}")
        simulation = Simulation(parameters(state.plan.events, seed))
        with Traffic(settings, state.plan, simulation, steps.clock) as traffic, display(steps.console) as shown:
            outage = _look_on(state, traffic, scorer, shown, steps)
        return outage, traffic.seconds, scorer.stop()


def _model(settings: Settings, folder: Path, seed: int, steps: Steps) -> tuple[TrainedModel | None, str]:
    """The champion, or why there is none."""
    if missing := model.missing_libraries():
        without = f"{', '.join(missing)} not installed (pip install '.[training]')"
        steps.begin("no model")
        steps.end("model", f"none, the rules score: {without}")
        return None, without
    steps.begin("training a model on a simulated history")
    trained = model.train_champion(settings, folder, seed, steps.clock, lambda _step: steps.ending.check())
    steps.end("model", f"{trained.version}: {model_figures(trained)}")
    return trained, ""


def _look_on(state: State, traffic: Traffic, scorer: Scorer, shown: Display, steps: Steps) -> Outage:
    """Shows what happens, takes the model away and gives it back, until every event has its outcome."""
    outage, clock = Outage(state.plan), steps.clock
    begun_s = progress_s = clock.monotonic()
    due_s = 0.0
    while True:
        steps.ending.check()
        traffic.check()
        now_s = clock.monotonic()
        done = traffic.done
        if now_s >= due_s and (sample := scorer.sample()) is not None:
            due_s = now_s + SAMPLE_EVERY_S
            progress_s = now_s if sample.outcomes > state.latest.outcomes else progress_s
            state.samples.append((traffic.sent, sample))
        if outage.step(traffic.sent, Moment(now_s, clock.now_ms(), state.latest), traffic_done=done):
            scorer.toggle_outage()
        state.sent, state.phase, state.elapsed_s = traffic.sent, outage.phase, now_s - begun_s
        finished = done and outage.phase is not Phase.OUT and state.latest.outcomes >= traffic.sent
        shown.show(state, last=finished)
        if finished:
            return outage
        if done and now_s - progress_s > STALLED_S:
            missing = traffic.sent - state.latest.outcomes
            raise FatalError(f"{missing:,} events have had no outcome for {STALLED_S:g} s; the scorer is stuck")
        clock.sleep(TICK_S)

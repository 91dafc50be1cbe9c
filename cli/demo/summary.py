"""The closing summary: what happened, proven from the topics, and whether all is well."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from cli.demo.exposition import Histogram
from cli.demo.ledger import Audit
from cli.demo.outage import Outage
from cli.demo.sample import BUDGET_EDGE_S, Sample
from cli.demo.state import State
from cli.demo.wording import by_count, milliseconds, model_figures, share


@dataclass(frozen=True, slots=True)
class Story:
    """All that the summary is made of.

    Attributes:
        state: As it was at the end.
        outage: The outage and its moments.
        audit: What the topics hold.
        traffic_s: How long the traffic took.
        exit_code: Of the service; None: it did not say.
        without_model: Why there was no model; empty: there was one.
        setting: What else to know about the broker: its warm-up, or what became of the topics on it.
    """

    state: State
    outage: Outage
    audit: Audit
    traffic_s: float
    exit_code: int | None
    without_model: str
    setting: str


def problems(story: Story) -> list[str]:
    """What went wrong, a line each; empty: all is well."""
    audit, final, outage = story.audit, story.state.latest, story.outage
    found = list(audit.faults)
    if audit.inputs != story.state.sent:
        found.append(f"{story.state.sent:,} events were sent, {audit.inputs:,} are on the topic")
    counted = {
        "scored": audit.decisions.total(),
        "duplicate": audit.duplicates,
        "dead_letter": audit.dead_letters.total(),
    }
    for result, count in counted.items():
        if final.events.get(result, 0) != count:
            found.append(f"the service counted {final.events.get(result, 0):,} as {result}, the topics have {count:,}")
    if story.exit_code != 0:
        found.append(f"the service ended with {story.exit_code} instead of 0")
    if outage.began and outage.ended:
        if audit.decided.first_after(outage.began.at_ms, by_model=False) is None:
            found.append("the model was away, but the rules never answered")
        if audit.decided.first_after(outage.ended.at_ms, by_model=True) is None:
            found.append("the model was back, but did not answer again")
    return found


def print_summary(console: Console, story: Story) -> None:
    """Prints it."""
    found = problems(story)
    verdict = Text("All is well.", style="bold green") if not found else Text("NOT well:", style="bold red")
    faults = [Text(f"  {problem}", style="red") for problem in found]
    covers = Text(_COVERS, style="dim")
    parts = (verdict, *faults, _story(story), _decisions(story), Group(_latencies(story), covers))
    for part in parts:
        console.print()
        console.print(part, highlight=False)
    console.print()


_COVERS = (
    "Append of an event to the commit of its decision, of every decision of the run, the first ones included;\n"
    "percentiles are read from the service's histogram, linear within its buckets; the share is exact."
)


def _story(story: Story) -> Table:
    state = story.state
    table = Table.grid(padding=(0, 3, 0, 0))
    table.add_column(style="dim", no_wrap=True)
    rate = state.sent / max(story.traffic_s, 1e-9)
    rows = {
        "broker": f"{state.broker}; {story.setting}",
        "traffic": f"{state.sent:,} events in {story.traffic_s:.1f} s ({rate:,.0f}/s)",
        "model": _model(story),
        "outage": _outage(story),
        "fallback": _fallback(story.audit),
        "outcomes": _outcomes(story.audit),
        "exactly once": _exactly_once(story.audit),
    }
    for label, text in rows.items():
        table.add_row(label, Text(text))  # as it is: brackets are no markup
    return table


def _model(story: Story) -> str:
    model = story.state.model
    if model is None:
        return f"none: {story.without_model}"
    return f"{model.version}; {model_figures(model)} ({model.rows:,} rows of {model.leads:,} simulated leads)"


def _outage(story: Story) -> str:
    outage, plan = story.outage, story.state.plan
    if outage.began is None or outage.ended is None:
        return "none: there is no model" if story.state.model is None else f"none: {plan.too_short}"
    start, end = outage.began, outage.ended
    decided = story.audit.decided
    first, again = decided.first_after(start.at_ms, by_model=False), decided.first_after(end.at_ms, by_model=True)
    rules = "never answered" if first is None else f"answered after {(first - start.at_ms) / 1000:.2f} s"
    model = "never again" if again is None else f"again {(again - end.at_ms) / 1000:.2f} s after its end"
    lasted = end.at_s - start.at_s
    return f"the model hung for {lasted:.1f} s; the rules {rules}, the model {model}"


def _fallback(audit: Audit) -> str:
    rules, every = audit.fallbacks.total(), audit.decisions.total()
    reasons = f": {by_count(audit.fallbacks)}" if rules else ""
    return f"{share(rules, every)} of the decisions by rules{reasons}"


def _outcomes(audit: Audit) -> str:
    letters = audit.dead_letters.total()
    parts = f"{audit.decisions.total():,} decided, {letters:,} dead letters, {audit.duplicates:,} duplicates dropped"
    return f"{parts}; {audit.actions.total():,} actions published"


def _exactly_once(audit: Audit) -> str:
    if audit.faults:
        return "VIOLATED, see above"
    return f"read back: {audit.inputs:,} of {audit.inputs:,} input offsets have exactly one outcome"


def _decisions(story: Story) -> Table:
    table = _table("decision", "by model", "by rules", "actions")
    for decision in story.state.decisions:
        model, rules = (story.audit.decisions[decision, by] for by in ("MODEL", "RULES"))
        table.add_row(decision, *(f"{count:,}" for count in (model, rules, story.audit.actions[decision])))
    return table


def _latencies(story: Story) -> Table:
    budget_ms = story.state.budget_ms
    exact = budget_ms == 1000 * BUDGET_EDGE_S
    table = _table(
        "latency", "decisions", "p50", "p95", "p99", f"within {budget_ms:g} ms" if exact else "within 150 ms"
    )
    for name, latency in _spans(story):
        if latency.count:
            quantiles = (latency.quantile(q) for q in (0.5, 0.95, 0.99))
            cells = (milliseconds(None if value is None else 1000 * value) for value in quantiles)
            table.add_row(name, f"{latency.count:,}", *cells, share(latency.up_to(BUDGET_EDGE_S), latency.count))
    return table


def _spans(story: Story) -> Iterator[tuple[str, Histogram]]:
    final, outage = story.state.latest, story.outage
    yield "whole run", final.latency
    if outage.began is None:
        return
    start = outage.began.sample
    yield "before the outage", start.latency
    end: Sample = outage.recovered.sample if outage.recovered else final
    yield "outage, until the breaker closed", end.latency.since(start.latency)
    yield "after it", final.latency.since(end.latency)


def _table(*headings: str) -> Table:
    table = Table(*headings[:1], box=None, padding=(0, 3, 0, 0), header_style="dim")
    for heading in headings[1:]:
        table.add_column(heading, justify="right", no_wrap=True)
    return table

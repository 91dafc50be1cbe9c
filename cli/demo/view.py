"""The live view: what a terminal of 80 by 24 can show at a glance."""

from __future__ import annotations

from typing import Final

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from cli.demo.outage import Phase
from cli.demo.state import Slice, State
from cli.demo.wording import by_count, headline, milliseconds, model_figures, share

WIDTH_MAX: Final = 100
_LABEL: Final = 11
_BLOCKS: Final = "▁▂▃▄▅▆▇█"
_PERCENTILES: Final = ("p50", "p95", "p99")
_BAR: Final = 12

_STYLE: Final = {Phase.OUT: "bold black on yellow", Phase.RECOVERING: "bold yellow", Phase.OVER: "bold green"}
_BREAKER_STYLE: Final = {"closed": "green", "half_open": "yellow", "open": "bold red"}


def render(state: State, width: int) -> RenderableType:
    """The whole view.

    Args:
        state: What to show.
        width: Columns of the terminal.
    """
    width = min(width, WIDTH_MAX) - 1
    return Group(
        Text.assemble(("lead-scorer demo", "bold"), f"  on {state.broker}", overflow="ellipsis", no_wrap=True),
        Text(),
        _timeline(state, width),
        Text(),
        Text(f" {headline(state)} ", style=_STYLE.get(state.phase, "bold")),
        Text(),
        _columns(state),
        Text(),
        _figures(state, width),
    )


def _timeline(state: State, width: int) -> RenderableType:
    """Traffic, scorer and latency over the same axis: the whole run, from the first event to the last."""
    columns = max(10, width - _LABEL)
    slices = state.slices(columns)
    sent = min(columns, round(columns * state.sent / state.plan.events))
    clock = f"{int(state.elapsed_s) // 60}:{int(state.elapsed_s) % 60:02d}"
    progress = f"{state.sent:,} of {state.plan.events:,} events sent at {state.plan.rate:,.0f}/s, {clock}"
    return Group(
        _row("traffic", Text(progress)),
        _row("", Text.assemble(("━" * sent, "cyan"), ("─" * (columns - sent), "dim"))),
        _row("by rules", Text.assemble(*(_rules_block(part) for part in slices))),
        _row("p95", Text.assemble(*(_p95_block(part, state.budget_ms) for part in slices))),
    )


def _row(label: str, text: Text) -> Text:
    return Text.assemble((f"{label:<{_LABEL}}", "dim"), text, no_wrap=True)


def _rules_block(part: Slice | None) -> tuple[str, str]:
    if part is None:
        return " ", ""
    rules = part.by_rules / part.decided if part.decided else 0.0
    return _block(rules), "yellow" if part.by_rules else "green"


def _p95_block(part: Slice | None, budget_ms: float) -> tuple[str, str]:
    p95 = part.latency.quantile(0.95) if part is not None else None
    if p95 is None:
        return " ", ""
    ratio = 1000 * p95 / budget_ms
    return _block(ratio), _latency_style(ratio)


def _block(ratio: float) -> str:
    """An eighth of a full block at least; full is the whole.

    >>> _block(0), _block(0.5), _block(3)
    ('▁', '▅', '█')
    """
    return _BLOCKS[min(len(_BLOCKS) - 1, int(ratio * len(_BLOCKS)))]


def _latency_style(ratio: float) -> str:
    return "red" if ratio > 1 else "yellow" if ratio > 0.8 else "green"


def _columns(state: State) -> RenderableType:
    grid = Table.grid(padding=(0, 4))
    grid.add_row(_decisions(state), _latency(state))
    return grid


def _decisions(state: State) -> Table:
    sample = state.latest
    table = _table("decision", "model", "rules", "published")
    for decision in state.decisions:
        cells = (sample.decisions.get((decision, by), 0) for by in ("MODEL", "RULES"))
        table.add_row(decision, *(f"{count:,}" for count in (*cells, sample.actions.get(decision, 0))))
    totals = (sample.scored_by("MODEL"), sample.scored_by("RULES"), sum(sample.actions.values()))
    table.add_row("all", *(f"{count:,}" for count in totals), style="bold")
    return table


def _latency(state: State) -> Table:
    table = _table("latency", "last min", "", right=1)
    for name in _PERCENTILES:
        value = state.latest.last_minute_ms.get(name)
        ratio = 0.0 if value is None else value / state.budget_ms
        bar = Text("█" * min(_BAR, round(_BAR * ratio)) or ("▏" if ratio else ""), style=_latency_style(ratio))
        table.add_row(name, milliseconds(value), bar)
    table.add_row("budget", milliseconds(state.budget_ms), Text("█" * _BAR, style="dim"))
    return table


def _table(*headings: str, right: int = 3) -> Table:
    table = Table(*headings[:1], box=None, padding=(0, 2, 0, 0), header_style="dim")
    for number, heading in enumerate(headings[1:], start=1):
        table.add_column(heading, justify="right" if number <= right else "left", no_wrap=True)
    return table


def _figures(state: State, width: int) -> RenderableType:
    sample, model = state.latest, state.model
    done = f"{sample.decided:,} decided at {state.decided_per_s:,.0f}/s"
    rest = f"{sample.events.get('duplicate', 0):,} duplicates, {sample.events.get('dead_letter', 0):,} dead letters"
    reasons = by_count(sample.fallbacks)
    lines = {
        "events": Text(f"{done}, {rest}"),
        "lag": Text(f"{sample.lag_records:,} records, {sample.lag_s:.1f} s"),
        "fallback": Text(share(sample.scored_by("RULES"), sample.decided) + (f": {reasons}" if reasons else "")),
        "breaker": Text(sample.breaker.replace("_", "-"), style=_BREAKER_STYLE.get(sample.breaker, "")),
        "model": Text(sample.model or "none"),
        "": Text("" if model is None else model_figures(model)),
    }
    rows = [_row(name, text) for name, text in lines.items()]
    for row in rows:
        row.truncate(width, overflow="ellipsis")
    return Group(*rows)

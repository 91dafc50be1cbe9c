"""A soak's result as text and as JSON."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np

from benchmarks.soak.run import BUDGET_MS, Plan, Result, Struck
from benchmarks.soak.traffic import Sent
from benchmarks.soak.trends import LIMITS, SAMPLES_MIN, WARM_UP_S, Life
from benchmarks.tables import table

SAMPLES_SAVED_MAX = 3000


def text(result: Result) -> str:
    """The tables, and the verdict."""
    parts = [_faults(result.struck), _lives(result.lives), _traffic(result)]
    if result.problems:
        parts.append("\n".join(["NOT WELL:", *(f"  {problem}" for problem in result.problems)]))
    else:
        parts.append("All is well: every invariant holds, nothing grows.")
    return "\n\n".join(parts)


def _faults(struck: list[Struck]) -> str:
    by_name: dict[str, list[Struck]] = {}
    for one in struck:
        by_name.setdefault(one.name, []).append(one)
    rows: list[list[object]] = []
    for name, ones in sorted(by_name.items()):
        healed = [one.healed_s for one in ones if one.healed_s is not None]
        rows.append(
            [
                name,
                len(ones),
                max(one.ended_s - one.begun_s for one in ones),
                float(np.median(healed)) if healed else "-",
                max(healed) if len(healed) == len(ones) else "never",
            ]
        )
    return table(["fault", "times", "longest s", "as before after s", "at most"], rows)


def _lives(lives: list[Life]) -> str:
    rows: list[list[object]] = []
    for life in lives:
        trends = life.trends()
        cells: list[object] = []
        for name in LIMITS:
            found = trends.get(name)
            cells.append(f"{found.first:.0f} to {found.last:.0f}, {found.per_hour:+.1f}/h" if found else "-")
        rows.append([f"{life.instance} {life.pid}", int(life.lasted_s), int(life.judged().sum()), *cells])
    note = (
        f"Fitted over quiet samples after the first {WARM_UP_S:.0f} s or quarter of a life; one with less than "
        f"{SAMPLES_MIN} of them is not judged. Allowed: "
        + ", ".join(f"{name} {limit.per_hour:g}/h or {limit.growth:g} in all" for name, limit in LIMITS.items())
    )
    return table(["process", "seconds", "quiet", *LIMITS], rows) + "\n" + note


def _traffic(result: Result) -> str:
    seconds = list(result.seconds.values())
    quiet = np.array([result.seconds[at_s].p95_ms for at_s in _quiet_seconds(result)] or [np.nan])
    by_rules = sum(second.n_by_rules for second in seconds)
    checked = result.checked
    lines = [
        f"{result.rate:,.0f} events/s; {'half' if result.half_load else 'not half'} of the {result.capacity:,.0f} "
        "events/s that both did with a backlog",
        f"p95 from append to visible: {np.median(quiet):.0f} ms in the median quiet second, within {BUDGET_MS:.0f} ms "
        f"in {np.mean(quiet < BUDGET_MS):.0%} of them; healed is below that, or below three times what the quiet "
        "seconds before the fault had",
        f"decisions by rules {by_rules:,}; by version {result.versions}",
    ]
    if checked is not None:
        lines.append(
            f"{_sent(result.sent)}, {checked.n_events:,} checked: {checked.n_decisions:,} decisions, "
            f"{checked.n_dead_letters:,} dead letters, {checked.n_duplicates:,} duplicates; the check took up to "
            f"{checked.memory_mb:,.0f} MB with {checked.largest_partition:,} events in the largest partition"
        )
    return "\n".join(lines)


def _sent(sent: Sent | None) -> str:
    if sent is None:
        return "how many events were sent is not known"
    return f"{sent.acknowledged:,} events acknowledged, {sent.unknown:,} given up by the client"


def _quiet_seconds(result: Result) -> list[int]:
    return [int(s.at_s) for s in result.samples if s.quiet and int(s.at_s) in result.seconds]


def as_json(plan: Plan, result: Result) -> dict[str, Any]:
    """Everything, with at most 3,000 of the samples."""
    step = max(1, len(result.samples) // SAMPLES_SAVED_MAX)
    return {
        "plan": asdict(plan),
        "well": not result.problems,
        "problems": result.problems,
        "capacity": result.capacity,
        "rate": result.rate,
        "half_load": result.half_load,
        "sent": result.sent._asdict() if result.sent else None,
        "versions": result.versions,
        "checked": result.checked._asdict() if result.checked else None,
        "faults": [asdict(struck) for struck in result.struck],
        "lives": [_life(life) for life in result.lives],
        "samples": [[s.at_s, s.quiet, s.lag, s.vitals] for s in result.samples[::step]],
        "seconds": {at_s: second for at_s, second in result.seconds.items() if at_s % step == 0},
    }


def _life(life: Life) -> dict[str, Any]:
    return {
        "instance": life.instance,
        "pid": life.pid,
        "lasted_s": life.lasted_s,
        "quiet_samples": int(life.judged().sum()),
        "trends": {name: found._asdict() for name, found in life.trends().items()},
    }

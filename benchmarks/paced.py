"""Append to visible decision at a steady rate: service and echo run side by side and get the traffic in turn.

    python -m benchmarks.paced --rate 1000 --slice-s 5 --rounds 8

Visible is what a `read_committed` subscriber has in its hands; append is the broker's time stamp of the event. The
turns are short, as a busy machine changes within seconds: what counts is the ratio of neighbours.
"""

from __future__ import annotations

from contextlib import ExitStack
from statistics import median
from typing import Any, NamedTuple

import numpy as np

from benchmarks.contestants import COMMANDS, contestant
from benchmarks.pacer import LEADS, finished, traffic
from benchmarks.processes import cost
from benchmarks.space import Space, arguments, save, space
from benchmarks.tables import table
from benchmarks.watcher import Observed, Watcher, append_of_decision, append_of_echo

REFERENCE = "echo"
SKIP_MS = 500.0
"""At the beginning of each slice: the first transaction after a rest."""
STARTED_S = 60.0


class Slice(NamedTuple):
    """One contestant's latencies in one slice, in ms."""

    contestant: str
    n_events: int
    p50: float
    p95: float
    p99: float


def slices(name: str, observed: Observed, n_slice: int) -> list[Slice]:
    """The slices of a contestant's traffic in order. The first one is a rehearsal, and left out."""
    order = np.argsort(observed.append_ms, kind="stable")
    append_ms, latency_ms = observed.append_ms[order], observed.latency_ms[order]
    found = []
    for start in range(n_slice, len(order), n_slice):
        within = slice(start, start + n_slice)
        counted = append_ms[within] >= append_ms[start] + SKIP_MS
        ranked = np.percentile(latency_ms[within][counted], (50, 95, 99)).tolist()
        found.append(Slice(name, int(counted.sum()), *ranked))
    return found


def run(place: Space, names: list[str], rate: float, slice_s: float, rounds: int, n_leads: int) -> dict[str, Any]:
    """All contestants under traffic in turn: their slices, and the processor time that each event took."""
    settings = {name: place.create(name) for name in names}
    n_slice = round(rate * slice_s)
    n_events = n_slice * (rounds + 1)
    with ExitStack() as stack:
        topics = {name: settings[name].topics for name in names}
        watchers = {
            name: stack.enter_context(Watcher(place.bootstrap_servers, topics[name].decisions)) for name in names
        }
        processes = [stack.enter_context(contestant(name, place.environ(name), place.directory)) for name in names]
        events = [topics[name].events for name in names]
        sending = stack.enter_context(
            traffic(place.environ(names[0]), events, rate=rate, slice_s=slice_s, rounds=rounds + 1, n_leads=n_leads)
        )
        before = [cost(process.pid).cpu_s for process in processes]
        finished(sending, within_s=len(names) * (rounds + 1) * (slice_s + 2) + STARTED_S)
        for name, process in zip(names, processes, strict=True):
            watchers[name].wait(n_events)
            process.check()
        spent = [cost(process.pid).cpu_s - earlier for process, earlier in zip(processes, before, strict=True)]
    found = {}
    for name, cpu_s in zip(names, spent, strict=True):
        observed = watchers[name].observed(append_of_echo if name == REFERENCE else append_of_decision())
        found[name] = {"slices": slices(name, observed, n_slice), "cpu_us": 1e6 * cpu_s / n_events}
    return found


def summary(found: dict[str, Any]) -> list[dict[str, Any]]:
    """Medians by contestant; the ratio is the median of the neighbours' ratios."""
    reference = [one.p95 for one in found[REFERENCE]["slices"]] if REFERENCE in found else []
    return [
        {
            "contestant": name,
            **{f"{rank} ms": median(getattr(one, rank) for one in own["slices"]) for rank in ("p50", "p95", "p99")},
            "p95 of the echo's": median(one.p95 / by for one, by in zip(own["slices"], reference, strict=True))
            if reference
            else "",
            "CPU µs/event": own["cpu_us"],
        }
        for name, own in found.items()
    ]


def main() -> None:
    """The command."""
    parser = arguments("paced", __doc__)
    parser.add_argument("--rate", type=float, default=1000, help="events a second")
    parser.add_argument("--slice-s", type=float, default=5, help="seconds of a turn")
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--leads", type=int, default=LEADS)
    parser.add_argument("--contestants", nargs="+", default=["rules", "model", "echo"], choices=COMMANDS)
    options = parser.parse_args()
    with space(options, "paced", own_events=True) as place:
        place.give_model("model" in options.contestants)
        found = run(place, options.contestants, options.rate, options.slice_s, options.rounds, options.leads)
    for turn in zip(*(own["slices"] for own in found.values()), strict=True):
        print("   ".join(f"{one.contestant} p50 {one.p50:.1f} p95 {one.p95:.1f} p99 {one.p99:.1f}" for one in turn))
    rows = summary(found)
    print(table(list(rows[0]), [list(row.values()) for row in rows]))
    print(save("paced", {"options": vars(options), "found": found, "summary": rows}))


if __name__ == "__main__":
    main()

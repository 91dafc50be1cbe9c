"""End to end over a backlog: events a second, exactly once, each contestant in turn, round by round.

    python -m benchmarks.throughput --events 300000 --rounds 3

Every run reads the same events with a group and output topics of its own. What is counted are committed input offsets,
as Kafka tells them to an observer: from the first commit that is seen to the last, so that starting does not count.
"""

from __future__ import annotations

import time
from statistics import median
from typing import Any, NamedTuple

from confluent_kafka import Consumer, TopicPartition

from benchmarks.backlog import write_backlog
from benchmarks.contestants import COMMANDS, Contestant, contestant
from benchmarks.processes import cost, resident_bytes
from benchmarks.space import Space, arguments, save, space
from benchmarks.tables import table

SAMPLE_S = 0.05
PATIENCE_S = 300.0
REQUEST_S = 30.0
REFERENCE = "echo"
GOAL = 0.6


class Run(NamedTuple):
    """What one run gave."""

    contestant: str
    events_per_s: float
    cpu_us_per_event: float
    system_share: float
    resident_mb: float


class Observer:
    """Sees what a group has committed, without being in it."""

    def __init__(self, bootstrap_servers: str, group_id: str, topic: str) -> None:
        # Read uncommitted: else the client waits for the transaction that is open, and there always is one.
        self._consumer = Consumer(
            {"bootstrap.servers": bootstrap_servers, "group.id": group_id, "isolation.level": "read_uncommitted"}
        )
        numbers = self._consumer.list_topics(topic, timeout=REQUEST_S).topics[topic].partitions
        self._partitions = [TopicPartition(topic, number) for number in numbers]

    def end(self) -> int:
        """Records in the topic."""
        return sum(self._consumer.get_watermark_offsets(p, timeout=REQUEST_S)[1] for p in self._partitions)

    def committed(self) -> int:
        """Records before the committed offsets."""
        found = self._consumer.committed(self._partitions, timeout=REQUEST_S)
        return sum(max(partition.offset, 0) for partition in found)

    def close(self) -> None:
        """Ends the client."""
        self._consumer.close()


def measure(process: Contestant, observer: Observer) -> Run:
    """Watches a contestant through the backlog."""
    end, deadline = observer.end(), time.monotonic() + PATIENCE_S
    while not (first := observer.committed()):
        _wait(process, deadline)
    began_s, cost_before = time.monotonic(), cost(process.pid)
    while observer.committed() < end:
        _wait(process, deadline)
    took_s, spent = time.monotonic() - began_s, cost(process.pid)
    cpu_s = spent.cpu_s - cost_before.cpu_s
    n_events = end - first
    return Run(
        process.name,
        n_events / took_s,
        1e6 * cpu_s / n_events,
        (spent.system_s - cost_before.system_s) / cpu_s,
        resident_bytes(process.pid) / 1e6,
    )


def _wait(process: Contestant, deadline: float) -> None:
    process.check()
    assert time.monotonic() < deadline, f"{process.name} is not done after {PATIENCE_S:.0f} s"
    time.sleep(SAMPLE_S)


def run(place: Space, name: str, round_number: int) -> Run:
    """One contestant over the whole backlog."""
    label = f"{name}{round_number}"
    settings = place.create(label)
    observer = Observer(place.bootstrap_servers, settings.kafka.group_id, settings.topics.events)
    try:
        with contestant(name, place.environ(label), place.directory) as process:
            return measure(process, observer)
    finally:
        observer.close()
        place.delete(label)


def summary(runs: list[Run]) -> list[dict[str, Any]]:
    """Medians by contestant; the ratio is the median of the rounds' ratios, as a machine changes between rounds."""
    by_name: dict[str, list[Run]] = {}
    for one in runs:
        by_name.setdefault(one.contestant, []).append(one)
    reference = [one.events_per_s for one in by_name.get(REFERENCE, [])]
    return [
        {
            "contestant": name,
            "events/s": median(one.events_per_s for one in own),
            "of the echo's": median(one.events_per_s / by for one, by in zip(own, reference, strict=True))
            if reference
            else "",
            "CPU µs/event": median(one.cpu_us_per_event for one in own),
            "of it in the kernel": median(one.system_share for one in own),
            "resident MB": median(one.resident_mb for one in own),
        }
        for name, own in by_name.items()
    ]


def main() -> None:
    """The command."""
    parser = arguments("throughput", __doc__)
    parser.add_argument("--events", type=int, default=300_000)
    parser.add_argument("--leads", type=int, default=80_000)
    parser.add_argument("--days", type=float, default=30, help="of the simulated time line")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--max-batch", type=int, default=2000, help="budget.max_batch, of all")
    parser.add_argument("--contestants", nargs="+", default=["rules", "model", "echo", "naive"], choices=COMMANDS)
    options = parser.parse_args()
    with space(options, "throughput", {"LEAD_SCORER__BUDGET__MAX_BATCH": str(options.max_batch)}) as place:
        place.give_model("model" in options.contestants)
        n_bytes = write_backlog(place.create("backlog"), options.events, options.leads, options.days)
        print(f"{options.events:,} events of {n_bytes / options.events:.0f} bytes, {options.leads:,} leads", flush=True)
        run(place, REFERENCE, -1)  # not counted: a broker that has just started is slower
        runs = []
        for number in range(options.rounds):
            for name in options.contestants[:: 1 if number % 2 == 0 else -1]:
                runs.append(run(place, name, number))
                one = runs[-1]
                print(f"round {number + 1}: {name:8}{one.events_per_s:10,.0f} events/s"
                      f"{one.cpu_us_per_event:8.1f} µs/event", flush=True)  # fmt: skip
    rows = summary(runs)
    print(table(list(rows[0]), [list(row.values()) for row in rows]))
    print(save("throughput", {"options": vars(options), "runs": [one._asdict() for one in runs], "summary": rows}))


if __name__ == "__main__":
    main()

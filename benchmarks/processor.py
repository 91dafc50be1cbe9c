"""What preparing costs by itself: µs of one core for each event, by stage, without Kafka.

    python -m benchmarks.processor --batch 256 2000 --model

Records as the loop would have polled them go through `Processor.prepare`, `Processor.changelog` and
`Batch.apply_to_state`. Every round does the same, and of each batch the fastest round counts: what other programs take
from the machine only adds.
"""

from __future__ import annotations

import argparse
import cProfile
import pstats
from collections import defaultdict
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import TypeVar

from benchmarks.space import save
from benchmarks.tables import table
from consumer.assignment import Assignment
from consumer.batch import Batch
from consumer.dead_letters import Guard
from consumer.processor import Destinations, Processor
from consumer.records import Record
from producer.simulation import Parameters, Simulation
from runtime.clock import SystemClock
from runtime.interpreter import settle
from schemas.codec import decision_codec, lead_event_codec, lead_profile_codec
from scoring.breaker import BreakerSettings
from scoring.bundle import load_bundle
from scoring.fold import Memory
from scoring.guarded import GuardedScorer
from scoring.model import Model
from scoring.policy import Policy
from scoring.scorer import RulesOnly, Scorer
from scoring.stream_gates import StreamGates
from tests.bundles import write_bundle

PARTITIONS = 12
DAY_MS = 86_400_000
PREPARED = ("decode", "state", "inference", "publish")
T = TypeVar("T")


class Times:
    """Seconds by stage; also stands for the telemetry that the processor reports to."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)

    def stage(self, name: str, seconds: float) -> None:
        """A stage took so long."""
        self.seconds[name] += seconds

    def of(self, name: str, work: Callable[[], T]) -> T:
        """Times a piece of work."""
        began_s = perf_counter()
        result = work()
        self.seconds[name] += perf_counter() - began_s
        return result


def simulated_records(n_events: int, n_leads: int) -> list[Record]:
    """Records of simulated events, each lead's in one partition."""
    encode = lead_event_codec().encode
    offsets = [0] * PARTITIONS
    records = []
    for event, _, _ in Simulation(Parameters(leads=n_leads, events=n_events, seed=1)).records():
        number = int(event["lead_id"].rpartition("-")[2]) % PARTITIONS
        key, append_ms = event["lead_id"].encode(), event["occurred_at"] + 20
        records.append(Record(number, offsets[number], append_ms, key, encode(event), list))
        offsets[number] += 1
    return records


def processor(scorer: Scorer, times: Times) -> Processor:
    """A processor as the service has it, with the default policy."""
    policy = Policy.load("default")
    return Processor(
        codecs=(lead_event_codec(), decision_codec(), lead_profile_codec()),
        destinations=Destinations(
            group_id="benchmark",
            events="lead.events",
            decisions="lead.decisions",
            profiles="lead.profiles",
            dead_letters="lead.events.dead-letter",
            actions={decision: f"lead.actions.{decision}" for decision in policy.decisions},
            dead_letter_max_bytes=1_000_000,
            producer_max_bytes=1_000_000,
        ),
        policy=policy,
        scorer=scorer,
        baseline_engagement=lambda: None,
        clock=SystemClock(),
        stages=times,
        memory=Memory(32, 365 * DAY_MS),
    )


def run(
    records: list[Record], batch_records: int, slice_records: int, scorer: Scorer
) -> tuple[list[Mapping[str, float]], int]:
    """Prepares all records from an empty state; seconds by stage of each batch, and how many outputs there were."""
    times = Times()
    prepares = processor(scorer, times)
    assignment = Assignment()
    assignment.add(list(range(PARTITIONS)))
    for partition in assignment.partitions.values():
        partition.activate(0, {})
    guard, gates = Guard(1000, 0.2), StreamGates()
    found: list[Mapping[str, float]] = []
    n_outputs = 0
    for start in range(0, len(records), batch_records):
        times.seconds.clear()
        batch = Batch(assignment, guard, gates)
        batched = records[start : start + batch_records]
        for at in range(0, len(batched), slice_records):
            sliced = batched[at : at + slice_records]
            times.of("prepare", partial(prepares.prepare, sliced, batch))
        changes = times.of("changelog", partial(prepares.changelog, batch))
        times.of("apply", batch.apply_to_state)
        guard, gates = batch.guard, batch.gates
        found.append(dict(times.seconds))
        n_outputs += len(batch.outputs) + len(changes)
    return found, n_outputs


def model_scorer(directory: Path, trees: int) -> Scorer:
    """A guarded model of a size that training makes."""
    write_bundle(directory, "v1", trees=trees)
    scorer = GuardedScorer(inference_ms=50, breaker=BreakerSettings(), monotonic=SystemClock().monotonic)
    scorer.offer(Model(load_bundle(directory, "v1")))
    return scorer


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.processor", description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=30_000)
    parser.add_argument("--leads", type=int, default=10_000)
    parser.add_argument("--batch", type=int, nargs="+", default=[20, 256, 2000], help="records of a transaction")
    parser.add_argument("--slice", type=int, default=2000, help="records of one call of prepare")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--model", action="store_true", help="with a model of 200 trees; without it the rules score")
    parser.add_argument("--profile", type=Path, help="write a cProfile of one more round there and show its top")
    options = parser.parse_args()
    records = simulated_records(options.events, options.leads)
    with TemporaryDirectory() as directory:
        settle()
        scorer = model_scorer(Path(directory), trees=200) if options.model else RulesOnly()
        rows = [_row(records, batch, options.slice, scorer, options.rounds) for batch in options.batch]
        names = ["batch", "outputs/event", *PREPARED, "rest", "changelog", "apply", "all µs/event"]
        print(table(names, rows))
        name = "processor-model" if options.model else "processor"
        print(save(name, {"options": vars(options), "rows": [dict(zip(names, row, strict=True)) for row in rows]}))
        if options.profile:
            with cProfile.Profile() as profile:
                run(records, options.batch[-1], options.slice, scorer)
            profile.dump_stats(options.profile)
            pstats.Stats(str(options.profile)).sort_stats("tottime").print_stats(30)


def _row(records: list[Record], batch: int, slice_records: int, scorer: Scorer, rounds: int) -> list[object]:
    results = [run(records, batch, slice_records, scorer) for _ in range(rounds)]
    fastest = _fastest([times for times, _ in results])
    micros = {stage: 1e6 * seconds / len(records) for stage, seconds in fastest.items()}
    rest = micros["prepare"] - sum(micros[name] for name in PREPARED)
    return [
        batch,
        results[0][1] / len(records),
        *(micros[name] for name in PREPARED),
        rest,
        micros["changelog"],
        micros["apply"],
        micros["prepare"] + micros["changelog"] + micros["apply"],
    ]


def _fastest(rounds: list[list[Mapping[str, float]]]) -> Mapping[str, float]:
    """Seconds by stage, of each batch those of the round in which it took the least."""
    total: defaultdict[str, float] = defaultdict(float)
    for same in zip(*rounds, strict=True):
        for stage, seconds in min(same, key=lambda times: sum(times.values())).items():
            total[stage] += seconds
    return total


if __name__ == "__main__":
    main()

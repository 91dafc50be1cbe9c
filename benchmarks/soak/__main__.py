"""The command: `python -m benchmarks.soak --hours 8`."""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.soak.faults import FAULTS
from benchmarks.soak.plot import draw
from benchmarks.soak.report import as_json, text
from benchmarks.soak.run import Plan, place, soak
from benchmarks.space import JVM, OUT, save
from runtime.local_kafka import LocalKafka

LOGS = OUT / "soak"
SHORT_TOPICS = {
    "offsets.topic.segment.bytes": "1048576",
    "transaction.state.log.segment.bytes": "1048576",
    "log.cleaner.delete.retention.ms": "60000",
}
"""A lone broker that takes long to load its offsets after a start may answer with old ones for good: after minutes of
traffic it does, unless they are kept short (docs/decisions/0009-brokers-that-answer-with-old-offsets.md)."""


def arguments() -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.soak",
        description="Two instances under traffic, a random fault each half minute, watched for leaks; all invariants "
        "in the end. Exit code 1 if something grows or does not hold.",
        epilog="Example: python -m benchmarks.soak --hours 8 --rate 500 --seed 7",
    )
    parser.add_argument("--hours", type=float, default=0.05, help="of faults (0.05)")
    parser.add_argument("--rate", type=float, help="events a second; else half of what a backlog shows to be possible")
    parser.add_argument("--seed", type=int, default=1, help="of the faults and their moments (1)")
    parser.add_argument("--leads", type=int, default=5000)
    parser.add_argument("--partitions", type=int, default=12, help="more make the check fit after a long run (12)")
    parser.add_argument("--backlog", type=int, default=50_000, help="events at the beginning (50,000)")
    parser.add_argument("--fault-every-s", type=float, default=30.0, help="from fault to fault (30)")
    parser.add_argument(
        "--faults", nargs="+", default=list(FAULTS), choices=FAULTS, metavar="NAME", help=", ".join(FAULTS)
    )
    return parser.parse_args()


def main() -> None:
    """The command."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # both end the faults early, and the report follows
    signal.signal(signal.SIGINT, signal.default_int_handler)
    options = arguments()
    plan = Plan(
        hours=options.hours,
        rate=options.rate,
        seed=options.seed,
        n_leads=options.leads,
        n_backlog=options.backlog,
        every_s=options.fault_every_s,
        faults=tuple(options.faults),
    )
    shutil.rmtree(LOGS, ignore_errors=True)
    LOGS.mkdir(parents=True)
    began_s = time.monotonic()

    def say(line: str) -> None:
        print(f"[{time.monotonic() - began_s:6.0f} s] {line}", flush=True)

    with (
        tempfile.TemporaryDirectory(prefix="soak-kafka-", ignore_cleanup_errors=True) as directory,
        LocalKafka(Path(directory), jvm=JVM, properties=SHORT_TOPICS) as kafka,
        place(kafka, LOGS, plan.seed, options.partitions) as at,
    ):
        say(f"{kafka.description}; logs in {LOGS}")
        result = soak(at, plan, say)
    print()
    print(text(result))
    print()
    for path in (OUT / "soak.png", OUT / "soak.svg"):
        draw(result, path)
        print(path)
    print(save("soak", as_json(plan, result)))
    sys.exit(1 if result.problems else 0)


if __name__ == "__main__":
    main()

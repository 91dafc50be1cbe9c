"""`python -m tests.simulation SEED`: one seed with its trace. `python -m tests.simulation FROM TO`: many."""

# ruff: noqa: T201 - a command

from __future__ import annotations

import sys
import time
from collections import Counter

from tests.simulation.run import SimulationError, simulate

FAILURES_MAX = 40


def main(arguments: list[str]) -> int:
    """Runs what was asked for."""
    if len(arguments) == 1:
        return replay(int(arguments[0]))
    began_s, failed = time.monotonic(), Counter[str]()
    first, last = int(arguments[0]), int(arguments[1])
    for seed in range(first, last):
        try:
            simulate(seed)
        except SimulationError as error:
            what = str(error.__cause__).splitlines()[0]
            failed[what[:60]] += 1
            print(f"seed {seed}: {what[:250]}", flush=True)
            if failed.total() >= FAILURES_MAX:
                break
    took_s = time.monotonic() - began_s
    print(f"{last - first} seeds, {failed.total()} failed, {(last - first) / took_s * 60:.0f} seeds a minute")
    for cause, count in failed.most_common():
        print(f"{count:6} {cause}")
    return 1 if failed else 0


def replay(seed: int) -> int:
    """Prints what happened."""
    try:
        summary = simulate(seed, tracing=True)
    except SimulationError as error:
        print(*error.trace, sep="\n")
        print(error)
        return 1
    print(*summary.notes, sep="\n")
    print(f"seed {seed} holds: {summary.scenario}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""All benchmarks, one after the other, in sizes that take twelve minutes on a quiet machine: `python -m benchmarks`.

python -m benchmarks                         all
python -m benchmarks throughput paced        some
python -m benchmarks --quick                 all, so small that figures mean nothing: does everything run?
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from typing import NamedTuple


class Sizes(NamedTuple):
    """Arguments of one program: for figures, and for seeing that it runs."""

    full: str
    quick: str


PROGRAMS = {
    "memory": Sizes("", "--leads 20000"),
    "model_call": Sizes("", ""),
    "processor": Sizes("--model", "--model --events 5000 --rounds 2"),
    "throughput": Sizes(
        "--events 150000 --leads 40000 --rounds 3 --contestants rules model echo",
        "--events 20000 --leads 6000 --rounds 1",
    ),
    "paced": Sizes("--rounds 6", "--rounds 1 --slice-s 2 --rate 300"),
    "outage": Sizes("--lasting-s 5", "--lasting-s 2 --promoting-s 4 --rate 200 --only h"),
}


def main() -> None:
    """The command: 1 if a program failed; the others run all the same."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="All benchmarks, or the named ones.")
    parser.add_argument(
        "programs", nargs="*", metavar="PROGRAM", help=f"of {', '.join(PROGRAMS)}; all if none is named"
    )
    parser.add_argument("--quick", action="store_true", help="only to see that all run")
    options = parser.parse_args()
    if unknown := sorted({*options.programs} - PROGRAMS.keys()):
        parser.error(f"{', '.join(unknown)}: must be of {', '.join(PROGRAMS)}")
    failed = []
    for name in options.programs or PROGRAMS:
        sizes = PROGRAMS[name]
        arguments = (sizes.quick if options.quick else sizes.full).split()
        print(f"\n==> python -m benchmarks.{name} {' '.join(arguments)}".rstrip(), flush=True)
        began_s = time.monotonic()
        if subprocess.run([sys.executable, "-m", f"benchmarks.{name}", *arguments], check=False).returncode:
            failed.append(name)
        print(f"    {time.monotonic() - began_s:.0f} s", flush=True)
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()

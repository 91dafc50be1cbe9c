"""kill -9 at random moments: nothing lost, nothing twice, state as if nothing had happened."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from runtime.config import Settings, load
from tests.invariants import Found, Topics
from tests.kafka import Namespace
from tests.scorer import scorers

EVENTS = int(os.environ.get("FAULT_EVENTS", "12000"))
UNCAPPED = """
name = "uncapped"
bands = [
    { decision = "disqualify", below = 0.35 }, { decision = "nurture", below = 0.65 }, { decision = "contact_now" }
]
confidence = { high_from = 0.70, high_below = 0.30, low = [0.45, 0.50] }
repeat_after_days = 7
always_publish = ["DEMO_REQUEST"]
"""


def cli(environ: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs `lead-scorer` to its end."""
    command = [str(Path(sys.executable).with_name("lead-scorer")), *arguments]
    return subprocess.run(command, env={**os.environ, **environ}, capture_output=True, text=True, check=False)


def prepare(namespace: Namespace, directory: Path) -> tuple[dict[str, str], Settings]:
    """Topics for an uncapped policy, so that rules alone give every decision."""
    policy = directory / "uncapped.toml"
    policy.write_text(UNCAPPED)
    environ = {**namespace.environ(), "LEAD_SCORER__POLICY__PATH": str(policy)}
    done = cli(environ, "topics", "create")
    assert done.returncode == 0, done.stderr
    return environ, load(None, environ)


def simulate(environ: dict[str, str], events: int, seed: int) -> None:
    """Simulated events with everything that is wrong in practice."""
    shares = ("--duplicates", "0.05", "--malformed", "0.03", "--late", "0.05")
    done = cli(
        environ,
        "produce",
        "simulate",
        "--leads",
        str(events // 20),
        "--events",
        str(events),
        "--seed",
        str(seed),
        *shares,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("seed", [1])
def test_three_kills_of_one_of_two_instances_lose_and_repeat_nothing(
    namespace: Namespace, tmp_path: Path, seed: int
) -> None:
    """Two instances work; one is killed with -9 three times and restarted: every offset has exactly one outcome."""
    environ, settings = prepare(namespace, tmp_path)
    chance = random.Random(seed)
    with scorers(environ, tmp_path, "a", "b") as (first, second):
        first.start()
        second.start(ready=False)
        for round_number in range(3):
            simulate(environ, EVENTS // 3, seed=seed * 100 + round_number)
            time.sleep(chance.uniform(0.0, 1.0))  # the moment of the kill is what is random here
            first.kill()
            first.start(ready=False)
        Topics(settings).wait_until_caught_up(90)
        assert first.stop() == 0
        assert second.stop() == 0
    Found(settings).check()

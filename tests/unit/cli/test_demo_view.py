"""The live view: everything at a glance, on a small terminal too."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from cli.demo.display import LineDisplay, LiveDisplay, display, progress_line
from cli.demo.outage import Phase
from cli.demo.state import State
from cli.demo.view import render
from tests.unit.cli.demo_data import DECISIONS, PLAN, latency, sample, state


def shown(found: State, width: int = 80, height: int = 24) -> list[str]:
    console = Console(file=io.StringIO(), width=width, height=height, color_system=None)
    with console.capture() as capture:
        console.print(render(found, width))
    return [line.rstrip() for line in capture.get().splitlines()]


@pytest.fixture
def busy() -> State:
    """In the middle of the outage, with large numbers."""
    found = sample(
        20.0,
        4_000_000,
        1_000_000,
        decisions={(name, by): 1_234_567 for name in DECISIONS for by in ("MODEL", "RULES")},
        fallbacks={"deadline": 400_000, "breaker_open": 600_000, "model_error": 5, "bad_score": 7},
        breaker="half_open",
        lag_records=12_345,
        lag_s=1.25,
    )
    return state((600, found), sent=600, elapsed_s=6.0, phase=Phase.OUT)


@pytest.mark.parametrize("width", [80, 100, 200])
def test_the_view_fits(busy: State, width: int) -> None:
    """On 80 by 24 nothing is cut off or wrapped."""
    lines = shown(busy, width)
    assert len(lines) <= 22
    assert all(len(line) < width for line in lines)
    assert len(shown(state())) == len(lines)


def test_the_view_tells_the_outage(busy: State) -> None:
    """What happens, who answers why, and the state of the breaker."""
    text = "\n".join(shown(busy, 100))
    assert "OUTAGE: the model hangs" in text
    assert "breaker_open 600,000, deadline 400,000" in text
    assert "half-open" in text
    assert "12,345 records, 1.2 s" in text
    assert "local Apache Kafka 4.3.1" in text


def test_the_time_line_shows_where_rules_answered() -> None:
    """A column for each part of the traffic: none of what is still to come."""
    found = state((250, sample(2.5, 250)), (500, sample(5.0, 250, 250)), sent=500)
    (line,) = (line for line in shown(found) if line.startswith("by rules"))
    blocks = line.removeprefix("by rules").strip()
    half = len(blocks) // 2
    assert set(blocks[: half - 1]) == {"▁"}
    assert set(blocks[half + 1 :]) == {"█"}
    assert len(blocks) == pytest.approx(34, abs=1)  # of 68 columns


def test_the_time_line_measures_the_latency_by_the_budget() -> None:
    """A full block is the budget: 150 ms in a view of a few blocks."""
    fast, slow = sample(2.5, 250, latency=latency(250, 0, 0, 0)), sample(5.0, 500, latency=latency(250, 0, 0, 250))
    (line,) = (line for line in shown(state((250, fast), (500, slow), sent=500)) if line.startswith("p95"))
    blocks = line.removeprefix("p95").strip()
    assert (blocks[0], blocks[-1]) == ("▁", "█")


def test_slices_share_a_sample_where_there_are_more_of_them() -> None:
    """A short run has few samples: every column shows something, and none is counted as empty."""
    found = state((500, sample(5.0, 400, 100)), (1000, sample(10.0, 900, 100)), sent=1000)
    slices = found.slices(10)
    assert [part.by_rules for part in slices if part is not None] == [100] * 5 + [0] * 5


def test_the_rate_is_that_of_late() -> None:
    """Over three seconds, or since the first sample."""
    found = state(*((100 * n, sample(float(n), 100 * n * n)) for n in range(1, 8)), sent=700)
    assert found.decided_per_s == pytest.approx(100 * (49 - 16) / 3)
    assert state((100, sample(1.0, 100)), (200, sample(2.0, 300))).decided_per_s == pytest.approx(200)
    assert state().decided_per_s == 0


def test_without_a_model_the_view_says_so() -> None:
    """The rules score, and there will be no outage."""
    text = "\n".join(shown(state((10, sample(1.0, 0, 10, model=None)), model=None)))
    assert "There is no model: the rules score." in text


def test_a_pipe_gets_lines() -> None:
    """Every few seconds, and one when something happens; no control characters."""
    console = Console(file=io.StringIO(), width=200)
    assert isinstance(display(console), LineDisplay)
    found = state((100, sample(1.0, 100)), sent=100)
    with console.capture() as capture, display(console) as lines:
        for second in range(7):
            found.elapsed_s = float(second)
            found.phase = Phase.OUT if second >= 4 else Phase.BEFORE
            lines.show(found)
        lines.show(found, last=True)
    text = capture.get()
    assert "\x1b" not in text
    assert [line.split()[0] for line in text.splitlines() if "sent 100" in line] == ["0.0", "3.0", "6.0", "6.0"]
    assert text.count("OUTAGE") == 1


def test_a_terminal_gets_the_view() -> None:
    """Redrawn at most four times a second, and at the end."""
    console = Console(file=io.StringIO(), force_terminal=True, width=80, height=24)
    live = display(console)
    assert isinstance(live, LiveDisplay)
    found = state((100, sample(1.0, 100)), sent=100)
    with console.capture() as capture, live:
        for _ in range(10):
            live.show(found)
        found.sent = 1000
        live.show(found, last=True)
    assert capture.get().count("events sent at") == 3  # the first, the last, and the last once more as it ends


def test_a_line_has_what_matters(busy: State) -> None:
    """Sent, decided by kind, latency, fallback, breaker, lag."""
    line = progress_line(busy)
    for part in (
        "sent 600",
        "nurture 2,469,134",
        "p50/p95/p99 12 ms/40 ms/160 ms",
        "fallback 50.0 %",
        "half-open",
        "lag",
    ):
        assert part in line, part


def test_the_headline_counts_down_to_the_outage() -> None:
    """Who looks on knows what will come."""
    text = "\n".join(shown(state(elapsed_s=2.0)))
    assert "It will hang for 2 s, in 3 s." in text
    assert PLAN.outage_at / PLAN.rate == 5

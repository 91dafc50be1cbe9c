"""docs/reliability.md names what operators search for: it must be there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "reliability.md").read_text()
PACKAGES = ("consumer", "runtime", "scoring", "cli")
SOURCES = "\n".join(file.read_text() for package in PACKAGES for file in sorted((ROOT / package).rglob("*.py")))
SPOKEN = re.findall(r"`([^`\n]+)`", PAGE)
EVENTS_AND_SETTINGS = {name for name in SPOKEN if re.fullmatch(r"[a-z]+(_[a-z]+)+", name)}
METRICS = set(re.findall(r"lead_scorer_[a-z_]+", PAGE))


def is_in_the_sources(name: str) -> bool:
    """As an event's, metric's or point's literal, or as a field or keyword."""
    return bool(re.search(rf"""["']{name}["']|\b{name}\s*[:=]""", SOURCES))


@pytest.mark.parametrize("name", sorted(EVENTS_AND_SETTINGS | METRICS))
def test_every_event_metric_and_setting_that_it_names_exists(name: str) -> None:
    """Who searches the log or the metrics for it finds it."""
    assert is_in_the_sources(name)


def test_a_name_that_does_not_exist_is_noticed() -> None:
    """The check tells names from each other."""
    assert is_in_the_sources("partitions_lost")
    assert not is_in_the_sources("partitions_forgotten")

"""The worked example of docs/features.md is what the core does."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

from scoring.features import FEATURES, Observations, features
from scoring.profile import Profile, apply, event_id_hash, is_duplicate
from tests.unit.scoring.strategies import event_of

PAGE = Path(__file__).parents[3] / "docs" / "features.md"
DAYS = FEATURES.index("days_since_last_activity")


def march(day: str) -> int:
    return int(datetime(2025, 3, int(day), tzinfo=UTC).timestamp() * 1000)


def test_the_example_holds() -> None:
    """Each row's outcome, days, visits and last activity come out of the fold as the page says."""
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in PAGE.read_text().splitlines()]
    rows = [row for row in rows if len(row) == 6 and row[0].isdigit()]
    assert len(rows) == 6
    profile = Profile()
    dated = {}
    for offset, event, becomes, days, visits, activity in rows:
        found = re.match(r"`(\w)`: (\w+) of (\d+)", event)
        if found:
            dated[found[1]] = (found[2], found[3])
        event_id = event[1]
        event_type, day = dated[event_id]
        duplicate = is_duplicate(profile, event_id_hash(event_id))
        assert duplicate == (becomes == "duplicate")
        if not duplicate:
            before = profile.last_activity_at
            drawn = event_of(event_id=event_id, event_type=event_type, occurred_at=march(day))
            apply(profile, drawn, event_id_hash(event_id), offset=int(offset), append_ms=0, dedup_window=32)
            observations = Observations()
            observations.append(profile, drawn["occurred_at"], before)
            assert features(observations)[0, DAYS] == int(days)
        assert profile.page_visits == int(visits)
        assert profile.last_activity_at == march(activity.split()[0])

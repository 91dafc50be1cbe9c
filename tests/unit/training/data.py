"""Small training data for tests."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from scoring.features import DAY_MS
from training.dataset import Dataset, Source, SourceFile
from training.snapshot import SNAPSHOT_COLUMNS

T0 = 1_735_689_600_000  # 2025-01-01T00:00:00Z


def event(lead_id: str, n: int, event_type: str = "PAGE_VISIT", day: float = 0.0, **fields: Any) -> dict[str, Any]:
    """A lead event on a day of the time line that begins at `T0`."""
    return {
        "event_id": f"{lead_id}-{n}",
        "lead_id": lead_id,
        "event_type": event_type,
        "occurred_at": T0 + int(day * DAY_MS),
        "source": "test",
        "page_url": None,
        "email": None,
        "company_headcount": None,
        "created_at": None,
        **fields,
    }


def lines(events: Iterable[dict[str, Any]]) -> list[tuple[int, Any]]:
    return list(enumerate(events, start=1))


def snapshot_rows(n: int = 300, seed: int = 0) -> list[dict[str, Any]]:
    """Rows of a sound snapshot in which engagement sells."""
    rng = np.random.default_rng(seed)
    rows = []
    for i in range(n):
        visits = int(rng.integers(0, 40))
        demo = int(rng.random() < 0.2)
        rows.append(
            {
                "email_opens": int(rng.integers(0, 30)),
                "page_visits": visits,
                "demo_requests": demo,
                "company_headcount": int(rng.integers(1, 9000)),
                "last_activity_at": "2025-03-01T00:00:00Z",
                "created_at": "2024-11-05",
                "email": f"lead{i}@example.com",
                "converted": str(bool(rng.random() < 0.05 + 0.012 * visits + 0.3 * demo)),
            }
        )
    return rows


def write_csv(path: Path, rows: list[dict[str, Any]], header: Iterable[str] = SNAPSHOT_COLUMNS) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(header))
        writer.writeheader()
        writer.writerows(rows)
    return path


def dataset(n: int = 600, rows_per_lead: int = 3, seed: int = 0, *, times: bool = True) -> Dataset:
    """Rows whose conversions depend on engagement and size; the rules know little of it."""
    rng = np.random.default_rng(seed)
    leads = np.repeat(np.arange(n // rows_per_lead), rows_per_lead)
    engagement = rng.integers(0, 1000, n) / 10
    days = rng.integers(0, 60, n).astype(float)
    bucket = rng.integers(-1, 4, n).astype(float)
    weight = np.array([1.0, 1.0, 2.0, 4.0, 3.0])[bucket.astype(int) + 1]
    features = np.column_stack([engagement, np.exp(-days / 21), engagement * weight, days, bucket])
    chance = 1 / (1 + np.exp(3.5 - engagement / 25 - np.where(bucket == 1, 1.5, 0) + days / 30))
    labels = (rng.random(n) < chance).astype(np.int8)
    rules = (3 + 2 * (engagement > 50) + (bucket >= 2)) / 10
    source = Source("events", (SourceFile("test", "0" * 64),), "0" * 64, 7.0, (T0, T0 + 60 * DAY_MS), T0)
    at = T0 + np.sort(rng.integers(0, 60 * DAY_MS, n)) if times else None
    return Dataset(features, rules, labels, leads, at, source)


def with_values(rows: list[dict[str, Any]], line: int, values: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The rows with some cells of the one in that line of the file replaced."""
    changed = [dict(row) for row in rows]
    changed[line - 2].update(values)
    return changed

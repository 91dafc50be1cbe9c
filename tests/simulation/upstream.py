"""Those who write lead events: good ones, duplicates, broken ones; some in transactions, of which some are aborted."""

from __future__ import annotations

from functools import partial
from typing import Any

from schemas.codec import Codec
from tests.simulation.cluster import EVENTS, Cluster
from tests.simulation.coordinator import Identity, RefusedError
from tests.simulation.kernel import Kernel
from tests.simulation.logs import Entry
from tests.simulation.model import POISON_MS
from tests.simulation.scenario import DAY_MS, LARGE_BYTES, RETENTION_MS

TYPES = ("PAGE_VISIT", "PAGE_VISIT", "EMAIL_OPEN", "DEMO_REQUEST", "PROFILE_UPDATE", "OTHER")
HEADCOUNTS = (None, None, 0, 30, 400, 4_000, 40_000)


class Events:
    """Makes the records of a run.

    Args:
        cluster: For chance, scenario and the brokers' clock.
        codec: Writes `LeadEvent`.
    """

    def __init__(self, cluster: Cluster, codec: Codec) -> None:
        self._cluster, self._codec, self._chance = cluster, codec, cluster.kernel.random
        self._made = 0

    def record(self) -> tuple[int, bytes | None, bytes | None]:
        """Partition, key and value of the next record."""
        lead = self._chance.randrange(self._cluster.scenario.leads)
        event = self._event(f"lead-{lead}")
        key: bytes | None = event["lead_id"].encode()
        value: bytes | None = None
        if self._chance.random() < (0.5 if self._cluster.scenario.has("flood") else 0.1):
            key, value = self._broken(event)
        else:
            value = self._codec.encode(event)
        return lead % self._cluster.scenario.partitions, key, value

    def _event(self, lead_id: str) -> dict[str, Any]:
        chance = self._chance
        self._made += 1
        again = chance.random() < 0.15
        number = self._made if not again else max(1, self._made - chance.randint(1, 12))
        occurred_at = self._cluster.now_ms() - int(chance.random() ** 3 * 40 * DAY_MS)
        occurred_at -= occurred_at % 1000
        if self._cluster.scenario.has("poison") and chance.random() < 0.05:
            occurred_at, number = occurred_at + POISON_MS, self._made  # never a duplicate: that would not be scored
        return {
            "event_id": f"event-{number}",
            "lead_id": lead_id,
            "event_type": chance.choice(TYPES),
            "occurred_at": occurred_at,
            "source": "simulation",
            "page_url": None,
            "email": chance.choice((None, "", "someone@example.com")),
            "company_headcount": chance.choice(HEADCOUNTS),
            "created_at": chance.choice((None, occurred_at - DAY_MS)),
        }

    def _broken(self, event: dict[str, Any]) -> tuple[bytes | None, bytes | None]:
        key = event["lead_id"].encode()
        if self._cluster.scenario.has("large") and self._chance.random() < 0.5:
            return key, b"{" * self._chance.randint(1, 2 * LARGE_BYTES)
        fault = self._chance.randrange(6)
        if fault == 0:
            return key, self._chance.choice((None, b"", b"{}", b"\xc3\x01too short"))
        if fault == 1:
            return key, b"\xc3\x01unknownf" + b"datum"
        if fault == 2:
            return b"another", self._codec.encode(event)
        if fault == 3:
            event["company_headcount"] = -1
        elif fault == 4:
            event["occurred_at"] = self._cluster.now_ms() + 3_600_000
        else:
            event["event_id"] = ""
        return key, self._codec.encode(event)


class Upstream:
    """Writes the records of a run over its time."""

    def __init__(self, cluster: Cluster, events: Events) -> None:
        self._cluster, self._events = cluster, events
        self._kernel: Kernel = cluster.kernel
        self._open = 0
        self._left = cluster.scenario.records
        self._next_id = 0

    @property
    def done(self) -> bool:
        """Everything is written and ended."""
        return self._left <= 0 and self._open == 0

    def more(self, count: int) -> None:
        """Writes further records, at once."""
        self._left += count
        while self._left > 0:
            self._write()

    def start(self) -> None:
        """A backlog first, then the rest now and then."""
        backlog = self._kernel.random.randint(0, self._left // 2)
        while backlog > 0:
            backlog -= self._write()
        self._later()

    def _later(self) -> None:
        if self._left > 0:
            mean_s = self._cluster.scenario.duration_s / max(1, self._cluster.scenario.records / 3)
            self._kernel.at(self._kernel.random.expovariate(1.0) * mean_s, self._act)

    def _act(self) -> None:
        self._write()
        self._later()

    def _write(self) -> int:
        chance = self._kernel.random
        if self._cluster.scenario.has("retention") and chance.random() < 0.3:
            self._cluster.clock_ahead_ms += chance.choice((1_000, RETENTION_MS - 1, RETENTION_MS, 3 * RETENTION_MS))
        count = min(self._left, chance.randint(1, 5))
        self._left -= count
        records = [self._events.record() for _ in range(count)]
        if chance.random() < self._cluster.scenario.upstream_transactions:
            self._begin(records)
        else:
            for number, key, value in records:
                self._cluster.events(number).append(self._entry(key, value))
        return count

    def _entry(self, key: bytes | None, value: bytes | None) -> Entry:
        headers = None if self._kernel.random.random() < 0.8 else [("trace", b"1"), ("trace", None)]
        return Entry(key, value, headers, self._cluster.now_ms(), None)

    def _begin(self, records: list[tuple[int, bytes | None, bytes | None]]) -> None:
        self._next_id += 1
        coordinator, chance = self._cluster.coordinator, self._kernel.random
        identity = coordinator.initialise(f"upstream-{self._next_id}")
        coordinator.add_places(identity, {(EVENTS, number) for number, _, _ in records})
        for number, key, value in records:
            coordinator.append(identity, (EVENTS, number), [self._entry(key, value)])
        self._open += 1
        delay_s = chance.choice((0.0, 0.01, chance.random() * 5.0))
        self._kernel.at(delay_s, partial(self._end, identity, commit=chance.random() < 0.7))

    def _end(self, identity: Identity, *, commit: bool) -> None:
        self._open -= 1
        try:
            self._cluster.coordinator.end(identity, commit=commit)
        except RefusedError:
            self._kernel.note("upstream transaction had timed out")

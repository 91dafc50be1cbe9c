"""What a lead costs in memory: resident bytes of a process that holds very many, over those before.

    python -m benchmarks.memory --leads 200000

Each number of remembered event ids is measured in a process of its own, which holds leads as the service does: packed
profiles by lead id, in one dictionary for each partition.
"""

from __future__ import annotations

import argparse
import gc
import os
from collections.abc import Callable
from functools import partial
from multiprocessing import get_context

from benchmarks.processes import resident_bytes
from benchmarks.space import save
from benchmarks.tables import table
from consumer.assignment import Leads
from scoring.profile import Profile, event_id_hash, pack

PARTITIONS = 12
BYTES_MAX = 600.0
NOON_MS = 1_735_732_800_000


def lead_of(number: int, n_ids: int) -> bytes:
    """A lead about whom all is known, and who remembers so many events."""
    recent = b"".join(event_id_hash(f"{number}-{event}") for event in range(n_ids))
    return pack(
        Profile(
            page_visits=number % 50,
            email_opens=number % 20,
            demo_requests=number % 3,
            company_headcount=number % 9000,
            created_at=NOON_MS,
            contactable=True,
            last_activity_at=NOON_MS + number,
            last_action="manual_review",
            last_action_band="nurture",
            last_action_at=NOON_MS + number,
            recent_event_ids=recent,
            last_offset=number,
            last_seen_at=NOON_MS + number,
        )
    )


def bytes_per_lead(n_leads: int, n_ids: int) -> float:
    """Fills twelve partitions in this process; lead ids are as long as UUIDs."""
    gc.collect()
    before = resident_bytes(os.getpid())
    partitions: list[Leads] = [{} for _ in range(PARTITIONS)]
    for number in range(n_leads):
        partitions[number % PARTITIONS][f"{number:036d}"] = lead_of(number, n_ids)
    gc.collect()
    return (resident_bytes(os.getpid()) - before) / n_leads


def _alone(work: Callable[[], float]) -> float:
    """Does the work in a new process, whose memory nobody has used before."""
    with get_context("spawn").Pool(1) as pool:
        return pool.apply(work)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.memory", description="What a lead costs in resident memory."
    )
    parser.add_argument("--leads", type=int, default=200_000)
    parser.add_argument("--ids", type=int, nargs="+", default=[0, 8, 32], help="remembered event ids; the window is 32")
    options = parser.parse_args()
    found = {n_ids: _alone(partial(bytes_per_lead, options.leads, n_ids)) for n_ids in options.ids}
    rows = [[str(n_ids), of_ids, of_ids / BYTES_MAX] for n_ids, of_ids in found.items()]
    print(table(["remembered ids", "bytes/lead", f"of the limit, {BYTES_MAX:.0f}"], rows))
    print(save("memory", {"options": vars(options), "bytes_per_lead": found, "limit": BYTES_MAX}))


if __name__ == "__main__":
    main()

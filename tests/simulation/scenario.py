"""What a seed stands for: how large the world is, how slow, and which kinds of faults visit it."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from enum import Enum


class Effect(Enum):
    """What a kind of fault does to what only a living instance knows: how its last transaction ended."""

    NOTHING = "nothing"
    ENDS = "ends"
    """The instance may be gone before it has looked. Not where markers are skipped: nobody else mends what is lost."""
    MOVES = "moves"
    """Its partitions may be. A rebalance that takes nothing, or a refusal, is no such thing."""


KINDS = {
    "crash": Effect.ENDS,
    "crash_at": Effect.ENDS,
    "stop": Effect.ENDS,
    "freeze": Effect.MOVES,
    "freeze_at": Effect.MOVES,
    "cut": Effect.MOVES,
    "cut_at": Effect.MOVES,
    "cut_writes": Effect.MOVES,
    "cut_writes_at": Effect.MOVES,
    "lost_answers": Effect.MOVES,
    "outage": Effect.MOVES,
    "shuffle": Effect.NOTHING,
    "shuffle_at": Effect.NOTHING,
    "expel": Effect.MOVES,
    "expel_at": Effect.MOVES,
    "join": Effect.MOVES,
    "silent_loss": Effect.MOVES,
    "deaf": Effect.MOVES,
    "late_end": Effect.NOTHING,
    "refused": Effect.NOTHING,
    "abortable": Effect.NOTHING,
    "unknown_end": Effect.NOTHING,
    "retriable": Effect.NOTHING,
    "twin": Effect.ENDS,
    "compaction": Effect.NOTHING,
    "registry": Effect.NOTHING,
    "clock": Effect.NOTHING,
    "fallback": Effect.NOTHING,
    "poison": Effect.NOTHING,
    "flood": Effect.ENDS,
    "retention": Effect.NOTHING,
    "state_loss": Effect.ENDS,
    "large": Effect.NOTHING,
    "hang": Effect.NOTHING,
    "skipped_markers": Effect.NOTHING,
}
"""Faults and odd circumstances; each seed has some of them (swarm testing, Groce et al. 2012)."""

ALONE = 0.2
"""The share of the seeds with forgotten markers in which nothing moves: there offsets, too, may be forgotten."""

POINTS = (
    "after_poll",
    "in_inference",
    "prepare",
    "produce",
    "after_produce",
    "after_offsets",
    "after_offsets",
    "in_commit",
    "commit_decided",
    "commit_decided",
    "after_commit",
    "abort",
    "restore_offsets",
    "restore_end",
    "in_restore",
    "initialised",
    "assigned",
    "revoked",
)
"""Where an instance can be struck on its way; the worst ones twice, to be struck more often."""

DAY_MS = 86_400_000
LARGE_BYTES = 3_000
"""What the dead letter topic takes where records are large."""
RETENTION_MS = DAY_MS // 1024
"""Where leads expire: a number of days that a float holds exactly."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """The parameters of a run; seconds are virtual."""

    kinds: tuple[str, ...]
    partitions: int
    instances: int
    leads: int
    records: int
    duration_s: float
    patient: bool
    """Faults end in their own time; else all of them end once the input is written."""
    strikes: int
    """How many faults at a time of their own or at a point."""
    max_batch: int
    slice_records: int
    dedup_window: int
    retention_ms: int
    latency_s: float
    slow_share: float
    slow_s: float
    slow_markers: float
    marker_delay_s: float
    session_s: float
    transaction_timeout_s: float
    error_share: float
    """The share of client calls that fail, of each kind that the seed has."""
    upstream_transactions: float
    max_consecutive: int
    rejoins: float
    """The share of turns after which an instance takes another client, as if the one it has gave nothing."""

    @property
    def moves(self) -> bool:
        """Whether an instance may lose partitions before it has looked what became of its last transaction."""
        return self.instances > 1 or self.rejoins > 0 or any(KINDS[kind] is Effect.MOVES for kind in self.kinds)

    def has(self, kind: str) -> bool:
        """Whether such faults visit it."""
        return kind in self.kinds


def scenario_of(seed: int) -> Scenario:
    """The scenario of a seed."""
    chance = random.Random(f"scenario {seed}")
    density = chance.choice((0.15, 0.3, 0.5))
    kinds = tuple(kind for kind in KINDS if chance.random() < density)
    if "skipped_markers" in kinds:
        kinds = tuple(kind for kind in kinds if KINDS[kind] is not Effect.ENDS)
    drawn = Scenario(
        kinds=kinds,
        partitions=chance.choice((1, 2, 2, 3, 4)),
        instances=chance.choice((1, 2, 2, 3)),
        leads=chance.randint(2, 8),
        records=chance.randint(10, 50),
        duration_s=chance.choice((3.0, 8.0, 25.0)),
        patient=chance.random() < 0.3,
        strikes=chance.choice((4, 8, 16, 32)),
        max_batch=chance.choice((1, 3, 8, 20)),
        slice_records=chance.choice((1, 1, 2, 256)),
        dedup_window=chance.choice((1, 3, 8, 32)),
        retention_ms=RETENTION_MS if "retention" in kinds else 365 * DAY_MS,
        latency_s=chance.choice((0.0005, 0.003, 0.02)),
        slow_share=chance.choice((0.0, 0.01, 0.05)),
        slow_s=chance.choice((0.2, 2.0, 10.0)),
        slow_markers=chance.choice((0.0, 0.3, 0.7)),
        marker_delay_s=chance.choice((0.3, 2.0, 6.0)),
        session_s=chance.choice((1.0, 3.0, 10.0)),
        transaction_timeout_s=chance.choice((4.0, 15.0)),
        error_share=chance.choice((0.02, 0.1, 0.25)),
        upstream_transactions=chance.choice((0.0, 0.3, 0.9)),
        max_consecutive=3 if "flood" in kinds else 1000,
        rejoins=chance.choice((0.0, 0.0, 0.003)),
    )
    if "skipped_markers" in kinds and random.Random(f"alone {seed}").random() < ALONE:
        return replace(
            drawn, kinds=tuple(kind for kind in kinds if KINDS[kind] is not Effect.MOVES), instances=1, rejoins=0.0
        )
    return drawn

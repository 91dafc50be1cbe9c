"""The books of the demo: what each input record became, and whether that adds up. Pure; `audit` reads the topics."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

Place = tuple[int, int]
"""Partition and offset in the events topic."""

_DECIDED: Final = 1
_DEAD: Final = 2


@dataclass(slots=True)
class Decided:
    """When who decided, in ms since 1970, for the story of the outage."""

    at_ms: list[int] = field(default_factory=list)
    by_model: list[bool] = field(default_factory=list)

    def first_after(self, at_ms: int, *, by_model: bool) -> int | None:
        """The first decision at or after a moment by the model, or by the rules."""
        later = (at for at, model in zip(self.at_ms, self.by_model, strict=True) if at >= at_ms and model is by_model)
        return min(later, default=None)


@dataclass(slots=True)
class Audit:
    """What the topics hold, and what is wrong with it.

    Attributes:
        inputs: Records on the events topic.
        decisions: By decision and `MODEL` or `RULES`.
        fallbacks: Decisions by rules, by reason.
        dead_letters: By reason.
        duplicates: Input records without an outcome of their own, each proven to repeat an event decided before.
        actions: Records on the action topics, by decision.
        decided: When who decided.
        faults: What must not be, a line each; empty: every input offset has exactly one outcome.
    """

    inputs: int = 0
    decisions: Counter[tuple[str, str]] = field(default_factory=Counter)
    fallbacks: Counter[str] = field(default_factory=Counter)
    dead_letters: Counter[str] = field(default_factory=Counter)
    duplicates: int = 0
    actions: Counter[str] = field(default_factory=Counter)
    decided: Decided = field(default_factory=Decided)
    faults: list[str] = field(default_factory=list)


class Ledger:
    """Takes every output, then every input, then every action; `close` says what does not add up.

    What is kept of a record are hashes of 64 bits: a demo may have a million of them.
    """

    def __init__(self) -> None:
        self._audit = Audit()
        self._outcomes: dict[Place, int] = {}
        self._decided: set[int] = set()
        self._published: Counter[tuple[str, int]] = Counter()
        self._faults: dict[str, list[Place]] = defaultdict(list)

    def decision(self, datum: Mapping[str, Any], value: bytes) -> None:
        """A decision, and its bytes."""
        audit = self._audit
        audit.decisions[datum["decision"], datum["scored_by"]] += 1
        if datum["fallback_reason"] is not None:
            audit.fallbacks[datum["fallback_reason"]] += 1
        audit.decided.at_ms.append(datum["decided_at"])
        audit.decided.by_model.append(datum["scored_by"] == "MODEL")
        if datum["action_published"]:
            self._published[datum["decision"], hash(value)] += 1
        self._settle((datum["source_partition"], datum["source_offset"]), _DECIDED)

    def dead_letter(self, place: Place, reason: str) -> None:
        """A dead letter, by where it came from."""
        self._audit.dead_letters[reason] += 1
        self._settle(place, _DEAD)

    def is_dead(self, place: Place) -> bool:
        """Whether an input record became a dead letter; it may have no event in it."""
        return self._outcomes.get(place) == _DEAD

    def event(self, place: Place, lead_id: str, event_id: str) -> None:
        """An input record that is an event, in offset order for each partition."""
        self._audit.inputs += 1
        identity = hash((lead_id, event_id))
        if self._outcomes.pop(place, None) is not None:
            self._decided.add(identity)
        elif identity in self._decided:
            self._audit.duplicates += 1
        else:
            self._faults["input records have no outcome and repeat nothing"].append(place)

    def refused(self, place: Place) -> None:
        """An input record that became a dead letter."""
        self._audit.inputs += 1
        del self._outcomes[place]

    def action(self, decision: str, value: bytes) -> None:
        """A record on an action topic."""
        self._audit.actions[decision] += 1
        self._published[decision, hash(value)] -= 1

    def committed(self, offsets: Mapping[int, int], ends: Mapping[int, int]) -> None:
        """The group's offsets, by partition, and where the partitions end."""
        for number, end in ends.items():
            if offsets.get(number) != end:
                self._faults["partitions are not committed to their end"].append((number, offsets.get(number, -1)))

    def close(self) -> Audit:
        """The audit, once all is taken."""
        if self._outcomes:
            self._faults["outcomes belong to no input record"] = list(self._outcomes)
        faults = [
            f"{len(places):,} {fault}, the first at {_named(places[0])}" for fault, places in self._faults.items()
        ]
        if wrong := sum(1 for count in self._published.values() if count):
            faults.append(f"{wrong:,} decisions are not once, byte for byte, on the action topic where they belong")
        self._audit.faults = faults
        return self._audit

    def _settle(self, place: Place, outcome: int) -> None:
        if place in self._outcomes:
            self._faults["outcomes too many for their input records"].append(place)
        self._outcomes[place] = outcome


def _named(place: Place) -> str:
    return f"partition {place[0]}, offset {place[1]}"

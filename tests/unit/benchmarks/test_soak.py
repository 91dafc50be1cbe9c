"""What the soak's verdict rests on: the subscriber's memory, the order of faults, traffic that is always new."""

from __future__ import annotations

from collections import Counter
from itertools import islice
from random import Random

import pytest

from benchmarks.soak.faults import FAULTS, drawn
from benchmarks.soak.subscriber import Chain
from benchmarks.soak.traffic import rounds


def chain(*values: bytes) -> Chain:
    """A subscriber that has seen these."""
    made = Chain()
    for value in values:
        made.add(value)
    return made


@pytest.mark.parametrize(
    ("there", "begins"),
    [
        ([b"a", b"b"], True),
        ([b"a", b"b", b"c"], True),
        ([b"a"], False),
        ([b"b", b"a"], False),
        ([b"ab"], False),
        ([b"a", b"x", b"b"], False),
        ([b"", b"ab"], False),
    ],
)
def test_what_was_seen_begins_what_is_there(there: list[bytes], begins: bool) -> None:
    """More may have come after it; nothing may be gone, other, moved, or divided elsewhere."""
    assert chain(b"a", b"b").begins(there) is begins


def test_every_round_has_every_fault() -> None:
    """Two rounds have each fault twice, so that a short soak misses none."""
    assert set(Counter(islice(drawn(Random(3)), 2 * len(FAULTS))).values()) == {2}


def test_a_seed_gives_its_faults_again() -> None:
    """The same seed draws the same order, another one another."""
    first, again, other = (list(islice(drawn(Random(seed)), 40)) for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_traffic_brings_new_events_of_the_same_leads() -> None:
    """No event id of one round comes in another, and the leads are those of the first."""
    found = [[record.event for record in made.records() if not record.fault] for made in islice(rounds(20, 400), 3)]
    ids = [{event["event_id"] for event in events} for events in found]
    leads = [{event["lead_id"] for event in events} for events in found]
    assert len(set.union(*ids)) == sum(map(len, ids))
    assert leads[0] == leads[1] == leads[2]


def test_time_goes_on_from_round_to_round() -> None:
    """What is not late occurs after all of the round before."""
    first, second = islice(rounds(20, 400), 2)
    latest = max(record.event["occurred_at"] for record in first.records() if not record.fault)
    assert min(record.event["occurred_at"] for record in second.records() if not record.fault) > latest

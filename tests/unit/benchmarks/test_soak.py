"""What the soak's verdict rests on: the subscriber's memory, the order of faults, traffic that is always new."""

from __future__ import annotations

from collections import Counter
from itertools import islice
from random import Random

import pytest
from confluent_kafka import KafkaError

from benchmarks.soak.faults import FAULTS, drawn
from benchmarks.soak.subscriber import Chain
from benchmarks.soak.traffic import Count, Sent, rounds, send
from producer.pace import Pacer, Unpaced
from producer.sinks import KafkaSink
from producer.transport import Transport
from schemas.codec import lead_event_codec
from tests.unit.producer.fakes import FakeClient, FakeClock


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


def outcome_of(clock: FakeClock, clients: list[FakeClient], n_records: int) -> Sent:
    """What becomes of so many records that these clients send, one after the other."""
    counted, made = Count(), iter(clients)
    transport = Transport(lambda: next(made), "t", queue_timeout_s=1, on_delivery=counted.report, clock=clock)
    to = KafkaSink(transport, lead_event_codec(), 1)
    [simulation] = islice(rounds(20, n_records), 1)
    send(simulation.records(), to, Pacer(Unpaced(), clock, to.wait))
    return counted.sent


def test_traffic_goes_on_with_another_client() -> None:
    """Where one delivers nothing in time, the next one has the records that come then."""
    clock = FakeClock()
    silent, well = FakeClient(clock), FakeClient(clock)
    silent.fail_with = KafkaError(KafkaError._MSG_TIMED_OUT)
    sent = outcome_of(clock, [silent, well], 50)
    assert sent == Sent(acknowledged=len(well.sent), unknown=len(silent.sent))
    assert len(silent.sent) == 1
    assert len(well.sent) == 50 - 2  # the one that failed, and the one whose turn it was when that was told


def test_what_was_not_acknowledged_in_the_end_is_counted() -> None:
    """Each record that the client has taken is told as acknowledged or as unknown."""
    clock = FakeClock()
    assert outcome_of(clock, [FakeClient(clock, answers=False)], 50) == Sent(acknowledged=0, unknown=50)


@pytest.mark.parametrize(("n_records", "allowed"), [(97, False), (98, True), (100, True), (101, False)])
def test_the_topic_holds_what_was_acknowledged_and_may_hold_the_rest(n_records: int, allowed: bool) -> None:
    """No record that was acknowledged may be missing, and none may be there that was not sent."""
    assert Sent(acknowledged=98, unknown=2).allows(n_records) is allowed


def test_a_large_rest_proves_nothing() -> None:
    """Where the client gave up more than a tenth, what is there may be that as well as what was acknowledged."""
    assert Sent(acknowledged=90, unknown=10).allows(95)
    assert not Sent(acknowledged=89, unknown=11).allows(95)

"""One transaction to its end, whatever the brokers say meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from threading import Event
from typing import Any, NoReturn

import pytest
from confluent_kafka import KafkaError, KafkaException, Producer, TopicPartition
from structlog.testing import capture_logs

from consumer import aftermath, transactions
from consumer.aftermath import ABORTS_MAX, PATIENCE_S
from consumer.attempt import SLOW_END_S, Undelivered
from consumer.end_offsets import Place
from consumer.endings import Endings
from consumer.fencing import Fencing
from consumer.ports import Settlement, Standing, Transaction
from consumer.records import Output
from consumer.sightings import Sight
from consumer.start import TopicIds
from consumer.transactions import LOOK_AGAIN_S, OUTAGE_S, START_TIMEOUT_S, Transactor
from runtime.errors import ConfigurationError, FatalError, FencedError, KafkaUnavailableError
from tests.kafka import eventually
from tests.unit.consumer.fakes import TOPIC, FakeClock, FakeProducer, Produced, Script, fault, message

FINE = ["begin", "produce", "send_offsets", "commit"]
OUTPUT = Output("lead.decisions", 3, b"key", b"value", 5)


def standing(membership: Any, tenures: Mapping[int, int]) -> Standing:
    return Standing(membership, tenures)


STANDING = standing("generation 7", {3: 1, 4: 1})
PROFILE = OUTPUT._replace(topic="lead.profiles")
DEAD_LETTER = OUTPUT._replace(topic="lead.events.dead-letter")
COMMITTED = Settlement(committed=True)


class Landing(FakeProducer):
    """A commit that does not fail lands."""

    def __init__(self, bench: Bench) -> None:
        super().__init__(bench.script)
        self._bench = bench

    def commit_transaction(self) -> None:
        super().commit_transaction()
        if self is self._bench.producers[-1]:  # an older one is fenced
            self._bench.land()


class Bench:
    """A transactor whose producers follow one script, and a broker that remembers the marks of what is committed."""

    def __init__(self) -> None:
        self.script, self.clock = Script(), FakeClock()
        self.producers: list[FakeProducer] = []
        self.marks: list[str | None] = []
        self.offset = 0
        self.asked: list[list[int]] = []
        self.passed: list[str] = []
        self.hanging: list[list[Place]] = []
        """What is found to hang, one answer after the other; then nothing."""
        self.unseen: set[Place] = set()
        """Where the last record of a transaction cannot be seen."""
        self.unshown: set[Place] = set()
        """Where no commit shows it."""
        self.transactor = Transactor(
            make_producer=self._make,
            endings=Endings(self, self._find_hanging, self._look),
            events_topic=TOPIC,
            changelog_topic="lead.profiles",
            metadata=TopicIds("E", "P").to_metadata,
            clock=self.clock,
            fencing=Fencing(15.0),
            at=self.passed.append,
        )

    def opened(self) -> Bench:
        self.transactor.open()
        self.script.calls.clear()
        return self

    @property
    def calls(self) -> list[str]:
        return self.script.calls

    def run(self, *outputs: Output, next_offsets: dict[int, int] | None = None) -> Settlement:
        transaction = Transaction(outputs or (OUTPUT,), next_offsets or {3: 8}, STANDING)
        return self.transactor.submit(transaction).result(timeout=10)

    def land(self) -> None:
        """The brokers have committed the transaction that is under way."""
        if sent := self.producers[-1].sent_offsets:
            self.marks, self.offset = [place.metadata for place in sent], sent[0].offset

    def land_where_written(self) -> None:
        """What is written again can be seen now."""
        written = {(record.topic, record.partition) for record in self.producers[-1].produced}
        self.unseen -= written - self.unshown

    def land_unheard(self) -> None:
        """They have, and the producer hears that it is fenced."""
        self.land()
        raise fenced()

    def time_out(self) -> None:
        """The transaction outlives its timeout, and the coordinator aborts it."""
        self.clock.sleep(15.0)
        raise fenced()

    def _make(self, undelivered: Undelivered) -> Producer:
        self.undelivered = undelivered
        self.producers.append(Landing(self))
        return self.producers[-1].client

    def committed(self, numbers: list[int]) -> list[TopicPartition]:
        self.asked.append(numbers)
        self.script.play("committed")
        return self._marked(numbers)

    def committed_without_pending(self, numbers: list[int]) -> list[TopicPartition]:
        self.script.play("without_pending")
        return self._marked(numbers)

    def _marked(self, numbers: list[int]) -> list[TopicPartition]:
        """One mark is enough: it may be that of any of the partitions."""
        marks = [*self.marks, *[""] * len(numbers)]
        return [TopicPartition(TOPIC, n, self.offset, mark or "") for n, mark in zip(numbers, marks, strict=False)]

    def _look(self, outputs: Sequence[Output]) -> Sight:
        places = {output.place for output in outputs}
        return Sight(seen=places - self.unseen, missing=places & self.unseen)

    def _find_hanging(self, places: Collection[Place]) -> list[Place]:
        return self.hanging.pop(0) if self.hanging and places else []


def retriable() -> KafkaException:
    return fault(KafkaError._TIMED_OUT, retriable=True)


def abortable() -> KafkaException:
    return fault(KafkaError.INVALID_TXN_STATE, abortable=True)


def fenced() -> KafkaException:
    return fault(KafkaError._FENCED, fatal=True)


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    monkeypatch.setattr(transactions, "BACKOFF_S", 0.0)
    made = Bench()
    yield made
    made.transactor.close()


# --- all goes well ---


def test_the_steps_in_their_order(bench: Bench) -> None:
    """Outputs first, offsets then: the other way round would cost two more round trips."""
    assert bench.opened().run() == COMMITTED
    assert bench.calls == FINE
    assert bench.passed == ["after_produce", "after_offsets", "in_commit", "after_commit"]


def test_an_output_goes_to_its_own_partition(bench: Bench) -> None:
    """With key, value, timestamp and headers as given; null stays null."""
    letter = Output("dead", 1, None, None, 6, [("a", None)])
    bench.opened().run(OUTPUT, letter)
    assert bench.producers[0].produced == [
        Produced("lead.decisions", b"value", b"key", 3, 5, None),
        Produced("dead", None, None, 1, 6, [("a", None)]),
    ]


def test_offsets_go_under_the_membership_of_the_poll(bench: Bench) -> None:
    """Not under the one that is current when they are sent: the broker tells a zombie by it."""
    bench.opened().run(next_offsets={3: 8, 4: 1})
    sent = bench.producers[0].sent_offsets
    assert [(offset.topic, offset.partition, offset.offset) for offset in sent] == [(TOPIC, 3, 8), (TOPIC, 4, 1)]
    assert bench.producers[0].membership == "generation 7"


def test_each_transaction_has_its_own_mark(bench: Bench) -> None:
    """In the metadata of all its offsets, beside the topics' ids."""
    bench.opened()
    marks = set()
    for _ in range(2):
        bench.run(next_offsets={3: 8, 4: 1})
        (mark,) = {offset.metadata for offset in bench.producers[0].sent_offsets}
        marks.add(mark)
    assert len(marks) == 2
    assert all('"events":"E","profiles":"P"' in (mark or "") for mark in marks)


def test_a_transaction_of_offsets_alone(bench: Bench) -> None:
    """Start offsets and ends have no outputs."""
    bench.opened()
    transaction = Transaction((), {3: 0}, STANDING)
    assert bench.transactor.submit(transaction).result(timeout=10) == COMMITTED
    assert bench.calls == ["begin", "send_offsets", "commit"]


def test_a_full_queue_is_waited_for(bench: Bench) -> None:
    """What was sent makes room; the same record is produced again, and once."""
    bench.opened().script.then("produce", BufferError(), BufferError())
    assert bench.run() == COMMITTED
    assert bench.calls == ["begin", "produce", "poll", "produce", "poll", "produce", "send_offsets", "commit"]
    assert len(bench.producers[0].produced) == 1


# --- the same call again ---


def test_a_retriable_error_makes_the_same_call_again(bench: Bench) -> None:
    """The transaction goes on where it was."""
    bench.opened().script.then("send_offsets", retriable(), retriable())
    assert bench.run() == COMMITTED
    assert bench.calls == ["begin", "produce", "send_offsets", "send_offsets", "send_offsets", "commit"]


def test_a_repeated_commit_is_followed_by_a_new_producer(bench: Bench) -> None:
    """It is committed, but a late copy of the first request must not meet the next transaction."""
    bench.opened().script.then("commit", retriable())
    assert bench.run() == COMMITTED
    assert bench.calls == [*FINE, "commit", "init", "without_pending"]
    assert len(bench.producers) == 2


def test_a_slow_commit_is_followed_by_a_new_producer(bench: Bench) -> None:
    """The client may have sent it twice by itself."""
    bench.opened().script.then("commit", lambda: bench.clock.sleep(SLOW_END_S + 0.1))
    assert bench.run() == COMMITTED
    assert bench.calls == [*FINE, "init", "without_pending"]


def test_the_producer_stays_after_a_commit_in_time(bench: Bench) -> None:
    """A new one costs round trips at the coordinator."""
    bench.opened().script.then("commit", lambda: bench.clock.sleep(SLOW_END_S - 0.1))
    bench.run()
    bench.run()
    assert (len(bench.producers), bench.calls) == (1, FINE * 2)


def test_the_next_transaction_is_the_new_producers(bench: Bench) -> None:
    """The old one is dropped with whatever it still has in flight."""
    bench.opened().script.then("commit", retriable())
    bench.run()
    bench.run()
    assert [len(producer.produced) for producer in bench.producers] == [1, 1]


def test_retriable_does_not_count_where_an_abort_is_required(bench: Bench) -> None:
    """Both flags may be set; then repeating would never end."""
    bench.opened().script.then("send_offsets", fault(KafkaError._TIMED_OUT, retriable=True, abortable=True))
    assert bench.run().committed is False
    assert bench.calls == ["begin", "produce", "send_offsets", "abort"]


# --- aborts ---


@pytest.mark.parametrize("step", ["produce", "send_offsets", "commit"])
def test_what_requires_an_abort_is_aborted(bench: Bench, step: str) -> None:
    """At whatever step; the settlement names the error, and the producer stays."""
    bench.opened().script.then(step, abortable())
    assert bench.run() == Settlement(committed=False, error="INVALID_TXN_STATE")
    assert bench.calls == [*FINE[: FINE.index(step) + 1], "abort"]
    assert bench.run() == COMMITTED
    assert len(bench.producers) == 1


def test_a_slow_abort_is_followed_by_a_new_producer(bench: Bench) -> None:
    """As a slow commit is."""
    bench.opened().script.then("commit", abortable())
    bench.script.then("abort", lambda: bench.clock.sleep(SLOW_END_S + 0.1))
    assert not bench.run().committed
    assert bench.calls == [*FINE, "abort", "init"]


def test_an_abort_that_fails_is_followed_by_a_new_producer(bench: Bench) -> None:
    """Its init ends the transaction, and what is committed tells how: here it is not."""
    bench.opened().script.then("commit", abortable())
    bench.script.then("abort", fault(KafkaError._STATE))
    assert bench.run() == Settlement(committed=False, error="_STATE")
    assert bench.calls == [*FINE, "abort", "init", "committed"]


def test_an_error_without_any_flag_is_followed_by_a_new_producer(bench: Bench) -> None:
    """The client says neither to repeat nor to abort: a record too large for it, raised by produce."""
    bench.opened().script.then("produce", fault(KafkaError.MSG_SIZE_TOO_LARGE))
    assert bench.run() == Settlement(committed=False, error="MSG_SIZE_TOO_LARGE")
    assert bench.calls == ["begin", "produce", "init", "committed"]


# --- ends that nobody told ---


def test_an_unknown_end_that_committed(bench: Bench) -> None:
    """One partition that has the transaction's mark is enough: it is atomic."""
    bench.opened().script.then("commit", bench.land_unheard)
    assert bench.run(next_offsets={3: 8, 4: 1}) == Settlement(committed=True, error="_FENCED")
    assert bench.asked == [[3, 4]]


def test_an_unknown_end_that_aborted(bench: Bench) -> None:
    """Another owner has committed the very same offset since: the mark is another one."""
    bench.opened().run()
    bench.land()  # an earlier transaction's, of the same partition
    bench.script.then("commit", fenced())
    assert bench.run() == Settlement(committed=False, error="_FENCED")


def test_the_end_is_asked_for_after_the_new_producer_has_ended_it(bench: Bench) -> None:
    """Before its init the transaction may still go either way."""
    bench.opened().script.then("commit", fenced())
    bench.run()
    assert bench.calls == [*FINE, "init", "committed"]


def test_the_end_is_asked_for_until_it_is_known(bench: Bench) -> None:
    """A guess would lose or double a batch."""
    bench.opened().script.then("commit", bench.land_unheard)
    bench.script.then("committed", fault(KafkaError._TIMED_OUT), fault(KafkaError.NOT_COORDINATOR))
    bench.script.then("without_pending", fault(KafkaError._TIMED_OUT), fault(KafkaError.NOT_COORDINATOR))
    assert bench.run().committed
    assert bench.calls.count("committed") == 3


def test_a_new_producer_is_tried_until_it_stands(bench: Bench) -> None:
    """A broker that is away while it is running is waited for; each try is a producer of its own."""
    bench.opened().script.then("commit", fenced())
    bench.script.then("init", fault(KafkaError._TIMED_OUT, retriable=True), fault(KafkaError._TRANSPORT))
    assert not bench.run().committed
    assert (bench.calls.count("init"), len(bench.producers)) == (3, 4)


@pytest.mark.parametrize(
    ("method", "error", "waited"),
    [
        ("send_offsets", fault(KafkaError._TIMED_OUT, retriable=True), [1, 2]),
        ("init", fault(KafkaError._TRANSPORT), [0, 1]),
        ("committed", fault(KafkaError._TIMED_OUT), [1, 2]),
    ],
)
def test_whatever_is_repeated_waits_in_between(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, method: str, error: KafkaException, waited: list[int]
) -> None:
    """Longer each time: a broker that comes back is not met by a storm."""
    found: list[int] = []
    monkeypatch.setattr(bench.transactor, "back_off", found.append)
    bench.opened().script.then("commit", fenced())
    bench.script.then(method, error, error)
    bench.script.then("without_pending", error, error)
    bench.run()
    assert found == waited


def test_a_new_producer_that_is_not_authorised_ends(bench: Bench) -> None:
    """Rights that were taken away meanwhile: exit 3."""
    bench.opened().script.then("commit", fenced())
    bench.script.then("init", fault(KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED))
    with pytest.raises(KafkaUnavailableError, match="not authorised"):
        bench.run()


# --- what the brokers left open ---

AT_3: Place = ("lead.decisions", 3)
AGAIN = ["begin", "produce", "flush", "send_offsets", "abort", "init"]


@pytest.mark.parametrize("error", [abortable(), fenced()])
def test_what_hangs_of_an_aborted_transaction_is_aborted_again(bench: Bench, error: KafkaException) -> None:
    """By a transaction of the same id to the partitions that hang; the commit of the next one would show it."""
    bench.opened().script.then("commit", error)
    bench.hanging = [[AT_3]]
    assert not bench.run(OUTPUT, OUTPUT._replace(partition=4), next_offsets={3: 8, 4: 1}).committed
    begun = len(bench.calls) - bench.calls[::-1].index("begin") - 1
    assert [call for call in bench.calls[begun:] if call != "committed"] == AGAIN
    assert [record.partition for record in bench.producers[-2].produced][-1:] == [3]
    assert bench.run() == COMMITTED


def test_it_is_aborted_until_it_hangs_no_more(bench: Bench) -> None:
    """The brokers may still be busy with what made it hang."""
    bench.opened().script.then("commit", fenced())
    bench.script.then("abort", fault(KafkaError._TIMED_OUT), None)
    bench.hanging = [[AT_3], [AT_3]]
    assert not bench.run().committed
    assert bench.calls.count("abort") == 2


def test_offsets_that_are_refused_do_not_keep_it_open(bench: Bench) -> None:
    """Their partition was part of the transaction before the broker looked at the membership."""
    bench.opened().script.then("commit", fenced())
    bench.script.then("send_offsets", None, fault(KafkaError.ILLEGAL_GENERATION, abortable=True))
    bench.hanging = [[AT_3]]
    assert not bench.run().committed
    assert bench.calls.count("abort") == 1


@pytest.mark.parametrize("told", [True, False])
def test_what_nobody_can_have_seen_is_aborted(bench: Bench, told: bool) -> None:
    """Offsets that stay pending and no record to be seen: whatever was decided can be undecided."""
    bench.opened().script.then("commit", retriable() if told else fenced())
    bench.script.then("committed", fault(KafkaError._TIMED_OUT))
    bench.hanging, bench.unseen = [[AT_3]], {AT_3}
    bench.land = lambda: None  # type: ignore[method-assign]
    assert not bench.run().committed
    assert bench.calls.count("abort") == 1


def test_what_somebody_can_see_is_committed(bench: Bench) -> None:
    """A transaction is atomic: one record that is visible tells of all."""
    bench.opened().script.then("commit", fenced())
    bench.script.then("committed", fault(KafkaError._TIMED_OUT))
    assert bench.run().committed


def test_others_pending_offsets_are_not_waited_for(bench: Bench) -> None:
    """The partitions may be another owner's by now, whose transaction may last."""
    bench.opened().script.then("commit", fenced())
    bench.script.then("committed", *[fault(KafkaError._TIMED_OUT)] * 100)
    bench.unseen = {AT_3}
    assert not bench.run().committed
    assert bench.calls.count("abort") == ABORTS_MAX


def test_a_client_that_is_stuck_in_it_is_left_to_itself(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next try is another producer's."""
    monkeypatch.setattr(aftermath, "PATIENCE_S", 0.1)
    released = Event()
    bench.opened().script.then("commit", fenced())
    bench.script.then("send_offsets", None, lambda: released.wait(10))
    bench.hanging = [[AT_3], [AT_3]]
    assert not bench.run().committed
    assert bench.calls.count("abort") == 1
    released.set()


# --- a commit of which the brokers lost the end ---


@pytest.fixture
def told(bench: Bench) -> Bench:
    """The client said that a transaction was committed, and nothing of it is there."""
    bench.opened()
    bench.run(OUTPUT, PROFILE)
    bench.marks, bench.offset, bench.unseen = [], 7, {AT_3, PROFILE.place}
    bench.calls.clear()
    return bench


def written(bench: Bench) -> list[list[str]]:
    """The topics that each later producer wrote to."""
    return [topics for producer in bench.producers[1:] if (topics := sorted(r.topic for r in producer.produced))]


@pytest.mark.parametrize("error", [abortable(), fenced()])
def test_what_is_not_there_is_undone(told: Bench, error: KafkaException) -> None:
    """It is aborted wherever it may be open, and the loop hears that its state is wrong."""
    told.script.then("send_offsets", error)
    assert told.run() == Settlement(committed=False, error=error.args[0].name(), undone=True)
    assert {topic for topics in written(told) for topic in topics} == {"lead.decisions", "lead.profiles"}
    assert told.run() == COMMITTED


def test_what_is_undone_is_undone_once(told: Bench) -> None:
    """The loop does it again; whatever fails then is another one."""
    told.script.then("send_offsets", abortable(), None, abortable())
    assert told.run().undone
    assert not told.run().undone


def test_a_slow_commit_that_is_not_there_is_not_committed(bench: Bench) -> None:
    """The client said so itself; the loop has not heard it yet, and its state is right."""
    bench.opened().script.then("commit", lambda: bench.clock.sleep(SLOW_END_S + 0.1))
    bench.land = lambda: None  # type: ignore[method-assign]
    bench.unseen = {AT_3}
    assert bench.run() == Settlement(committed=False)


def test_markers_that_are_late_are_not_lost(told: Bench) -> None:
    """The new producer has waited for them."""
    told.script.then("send_offsets", abortable())

    def come() -> None:
        told.offset, told.unseen = 8, set()

    told.script.then("init", come)
    assert not told.run().undone


def test_what_others_went_on_from_is_there(told: Bench) -> None:
    """The partition is another owner's by now, who has committed more."""
    told.offset = 9
    told.script.then("send_offsets", abortable())
    assert not told.run().undone


def test_what_is_missing_in_part_is_written_again(told: Bench) -> None:
    """Its offsets are there, and one of two records: that one must not come twice, the other not be lost."""
    told.run()
    told.run(OUTPUT, PROFILE)
    told.unseen = {AT_3}
    told.script.then("send_offsets", fenced())
    told.script.then("commit", lambda: told.unseen.clear())
    kept = told.land
    told.land = lambda: None  # type: ignore[method-assign]
    assert told.run(OUTPUT._replace(partition=4), next_offsets={4: 1}) == Settlement(committed=False, error="_FENCED")
    told.land = kept  # type: ignore[method-assign]
    mends = [producer for producer in told.producers[1:] if "commit" in told.calls and producer.produced]
    assert [record.topic for record in mends[-1].produced] == ["lead.decisions"]
    assert mends[-1].sent_offsets == []


def test_what_a_next_owner_hides_is_not_missing(bench: Bench) -> None:
    """Its records are the last that can be seen, and its offsets are pending still: they are waited for."""
    bench.opened().run()
    bench.unseen = {AT_3}

    def arrive() -> None:
        bench.marks, bench.offset = [], 9

    bench.script.then("committed", arrive)
    bench.script.then("send_offsets", abortable())
    assert not bench.run().committed
    assert len(bench.producers) == 1


def test_verifying_finds_it_too(told: Bench) -> None:
    """Where no other transaction comes: all partitions were given up."""
    verdict = told.transactor.verify(STANDING, everywhere=False)
    assert verdict.result(timeout=10) == Settlement(committed=False, undone=True)


def test_verifying_what_is_well_costs_one_request(bench: Bench) -> None:
    """Each rebalance does it."""
    bench.opened().run()
    bench.calls.clear()
    assert bench.transactor.verify(STANDING, everywhere=False).result(timeout=10) == COMMITTED
    assert bench.calls == ["without_pending"]


def test_the_id_is_taken_anew(bench: Bench) -> None:
    """By another producer, which is the next transaction's."""
    bench.opened()
    bench.transactor.renew().result(timeout=10)
    assert bench.calls == ["init"]
    assert bench.run() == COMMITTED
    assert [bool(producer.produced) for producer in bench.producers] == [False, True]


@pytest.mark.parametrize(
    "failure",
    [fault(KafkaError._TIMED_OUT, retriable=True), ConfigurationError("no descriptors left")],
    ids=["Kafka is away", "no client can be made"],
)
def test_an_id_that_cannot_be_taken_anew_stays_with_the_producer_there_is(bench: Bench, failure: Exception) -> None:
    """One try: whoever gets partitions meanwhile needs a producer."""
    bench.opened().script.then("init", failure)
    with capture_logs() as logs:
        bench.transactor.renew().result(timeout=10)
    assert [line["event"] for line in logs] == ["id_not_renewed"]
    bench.producers[1:] = []
    assert bench.run() == COMMITTED
    assert bench.producers[0].produced


def test_a_renewal_without_an_answer_counts_as_no_twin(bench: Bench) -> None:
    """It may have been granted, and fences our own producer: twice within a minute that would end a lone instance."""
    bench.opened()
    for _ in range(2):
        bench.script.then("init", retriable())
        bench.transactor.renew().result(timeout=10)
        bench.script.then("send_offsets", fenced())
        assert not bench.run().committed
        bench.script.calls.clear()


def test_an_id_that_may_not_be_taken_any_more_ends_the_service(bench: Bench) -> None:
    """Exit code 3, as wherever a right is missing."""
    bench.opened().script.then("init", fault(KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED))
    with pytest.raises(KafkaUnavailableError, match="not authorised"):
        bench.transactor.renew().result(timeout=10)


def test_after_a_silence_what_is_well_needs_no_look_at_its_records(bench: Bench) -> None:
    """Nothing hangs: every marker has come."""
    bench.opened().run()
    bench.land()
    bench.unseen = {AT_3}
    assert bench.transactor.verify(STANDING, everywhere=True).result(timeout=10) == COMMITTED
    assert len(bench.producers) == 1


def test_after_a_silence_what_hangs_is_mended(told: Bench) -> None:
    """Its offsets are there, its record is not: the broker forgot that marker alone."""
    told.land()
    told.hanging, told.unseen = [[AT_3]], {AT_3}
    told.land = told.unseen.clear  # type: ignore[method-assign]
    assert told.transactor.verify(STANDING, everywhere=True).result(timeout=10) == COMMITTED
    assert written(told) == [["lead.decisions"], ["lead.decisions"]]  # what ends the open one, and the record once more


@pytest.fixture
def half_told(told: Bench) -> Bench:
    """As before, but the offsets are there: others can go on from them."""
    told.land()
    told.unseen = {AT_3, PROFILE.place}
    told.land = told.land_where_written  # type: ignore[method-assign]
    return told


def test_a_changelog_keeps_next_owners_out_until_all_is_there(half_told: Bench) -> None:
    """What is open there is not aborted: it is committed with what is written again, once all else can be seen."""
    half_told.hanging = [[AT_3, PROFILE.place], *[[PROFILE.place]] * 3]
    assert half_told.transactor.verify(STANDING, everywhere=True).result(timeout=10) == COMMITTED
    assert written(half_told) == [["lead.decisions"], ["lead.decisions"], ["lead.profiles"]]
    assert "abort" not in half_told.calls[half_told.calls.index("commit") :]


def test_a_changelog_that_hangs_on_is_aborted(half_told: Bench) -> None:
    """After the commit that should have ended it: it is another one's, or the brokers have forgotten that too."""
    half_told.hanging = [[AT_3, PROFILE.place], *[[PROFILE.place]] * 4]
    half_told.unshown = {PROFILE.place}
    half_told.script.then("abort", None, half_told.unseen.clear)
    assert half_told.transactor.verify(STANDING, everywhere=True).result(timeout=10) == COMMITTED
    assert written(half_told) == [["lead.decisions"], ["lead.decisions"], ["lead.profiles"], ["lead.profiles"]]


def test_a_changelog_that_hangs_is_not_given_up_for_a_group_that_does_not_say(half_told: Bench) -> None:
    """Offsets that are pending for long may be another partition's: where the changelog hangs nobody has gone on."""
    half_told.hanging = [[AT_3, PROFILE.place], *[[PROFILE.place]] * 4]
    half_told.script.then("committed", None, None, retriable())
    assert half_told.transactor.verify(STANDING, everywhere=True).result(timeout=10) == COMMITTED
    assert written(half_told) == [["lead.decisions"], ["lead.decisions"], ["lead.profiles"]]


def test_a_changelog_where_an_aborted_one_may_be_open_is_aborted(half_told: Bench) -> None:
    """To commit what is open there would show that one too."""
    half_told.script.then("send_offsets", fenced())
    assert not half_told.run(PROFILE).committed
    assert written(half_told) == [["lead.decisions", "lead.profiles"]] * 2


def test_a_changelog_that_keeps_nobody_out_is_written_with_the_rest(half_told: Bench) -> None:
    """Nothing hangs there: it was aborted already."""
    half_told.hanging = [[AT_3]]
    assert half_told.transactor.verify(STANDING, everywhere=True).result(timeout=10) == COMMITTED
    assert written(half_told)[-1] == ["lead.decisions", "lead.profiles"]


def test_markers_of_a_mend_are_waited_for(half_told: Bench) -> None:
    """Else one that is late looks like one that is forgotten, and records are written behind those of a next owner."""
    half_told.hanging = [[AT_3]]
    half_told.transactor.verify(STANDING, everywhere=True).result(timeout=10)
    assert half_told.calls[half_told.calls.index("commit") + 1] == "init"


def test_a_transaction_that_waited_for_its_broker_is_looked_at(bench: Bench) -> None:
    """Its end was prompt, but the broker may have come back without markers of the one before."""
    bench.opened().run()
    bench.land()
    bench.script.then("send_offsets", lambda: bench.clock.sleep(3.0))
    bench.script.then("commit", bench.land)
    bench.calls.clear()
    assert bench.run(next_offsets={3: 9}) == COMMITTED
    assert "without_pending" in bench.calls


@pytest.mark.parametrize(("tenure", "again"), [(1, True), (2, False)])
def test_what_the_next_one_went_on_from_is_ours_if_nobody_had_it_since(
    bench: Bench, tenure: int, *, again: bool
) -> None:
    """A rebalance may have taken the partition and brought it back: then its end may be another owner's record."""
    bench.opened().run(DEAD_LETTER)
    bench.unseen = {DEAD_LETTER.place}
    bench.script.then("send_offsets", lambda: bench.clock.sleep(3.0))

    def mend() -> None:
        bench.land = bench.unseen.clear  # type: ignore[method-assign]

    bench.script.then("init", mend)
    following = Transaction((OUTPUT,), {3: 9}, standing("generation 8", {3: tenure}))
    assert bench.transactor.submit(following).result(timeout=10) == COMMITTED
    assert any(DEAD_LETTER.topic in topics for topics in written(bench)) is again


def test_a_rebalance_that_was_waited_for_is_no_ordinary_one(bench: Bench) -> None:
    """The broker was away before it refused the offsets: what it forgot is looked for in every partition."""
    bench.opened().run()
    bench.unseen = {AT_3}

    def refuse() -> None:
        bench.clock.sleep(OUTAGE_S + 0.1)
        raise fault(KafkaError.ILLEGAL_GENERATION, abortable=True)

    bench.script.then("send_offsets", refuse)
    bench.script.then("commit", bench.unseen.clear)
    assert not bench.run().committed
    assert any("lead.decisions" in topics for topics in written(bench))


def test_a_transaction_that_began_late_proves_nothing(bench: Bench) -> None:
    """It was prompt, but the loop was held up before it: a broker may have gone and come back since the last one."""
    bench.opened().run()
    bench.clock.sleep(OUTAGE_S + 0.1)
    bench.calls.clear()
    assert bench.run(next_offsets={3: 9}) == COMMITTED
    assert "without_pending" in bench.calls


def test_after_a_look_everywhere_the_last_one_needs_no_other(bench: Bench) -> None:
    """However long the silence after it was."""
    bench.opened().run()
    assert bench.transactor.verify(STANDING, everywhere=True).result(timeout=10) == COMMITTED
    bench.clock.sleep(1000.0)
    bench.calls.clear()
    assert bench.run(next_offsets={3: 9}) == COMMITTED
    assert "without_pending" not in bench.calls


def lose_offsets(bench: Bench) -> None:
    """All records of the last transaction can be seen, its offsets are not there."""
    bench.opened().run()
    bench.marks, bench.offset = [], 0
    bench.calls.clear()


def test_lost_offsets_are_sent_again(bench: Bench) -> None:
    """Under the membership of now; its records must not come twice."""
    lose_offsets(bench)
    now = standing(membership="generation 8", tenures={3: 1})
    assert bench.transactor.verify(now, everywhere=False).result(timeout=10) == COMMITTED
    mend = bench.producers[-2]  # the last one waits for its markers
    assert ([offset.offset for offset in mend.sent_offsets], mend.membership) == ([8], "generation 8")
    assert mend.produced == []


def test_lost_offsets_of_what_another_has_are_left_to_it(bench: Bench) -> None:
    """It waits for what is pending, which our next commit ends; to be refused would drop it."""
    lose_offsets(bench)
    now = standing(membership="generation 8", tenures={3: 2})
    assert bench.transactor.verify(now, everywhere=False).result(timeout=10) == COMMITTED
    assert "send_offsets" not in bench.calls


@pytest.mark.parametrize("code", [KafkaError.ILLEGAL_GENERATION, KafkaError.UNKNOWN_MEMBER_ID])
def test_lost_offsets_wait_for_a_membership(bench: Bench, code: int) -> None:
    """The group did not take the next transaction's, nor will it those of the one before; the state is right."""
    lose_offsets(bench)
    bench.script.then("send_offsets", fault(code, abortable=True))
    settlement = bench.run(next_offsets={3: 9})
    assert (settlement.committed, settlement.undone, settlement.postponed) == (False, False, True)
    assert bench.calls.count("send_offsets") == 1


def test_a_mend_that_is_refused_is_tried_again_later(bench: Bench) -> None:
    """The membership was over before it was used; the partition is ours still."""
    lose_offsets(bench)
    bench.script.then("send_offsets", fault(KafkaError.ILLEGAL_GENERATION, abortable=True))
    refused = bench.transactor.verify(STANDING, everywhere=False).result(timeout=10)
    assert refused == Settlement(committed=True, postponed=True)
    assert bench.transactor.verify(STANDING, everywhere=False).result(timeout=10) == COMMITTED
    assert [offset.offset for offset in bench.producers[-2].sent_offsets] == [8]


def test_what_another_owner_has_pending_does_not_hide_what_is_ours(bench: Bench) -> None:
    """Only the offsets of partitions that lack something are waited for."""
    bench.opened().run(next_offsets={3: 8, 4: 1})
    bench.unseen = {AT_3}
    bench.script.then("send_offsets", abortable())
    bench.script.then("commit", bench.unseen.clear)
    bench.asked.clear()
    bench.run(next_offsets={3: 9})
    assert bench.asked[0] == [3]


# --- a client that is stuck ---


class Stuck:
    """A transaction whose commit does not come back before the test ends."""

    def __init__(self, bench: Bench) -> None:
        self.released, called = Event(), Event()

        def hang() -> None:
            called.set()
            assert self.released.wait(10)

        bench.script.then("commit", hang)
        self.future = bench.transactor.submit(Transaction((OUTPUT,), {3: 8}, STANDING))
        assert called.wait(10)


@contextmanager
def stuck_in(bench: Bench) -> Iterator[Stuck]:
    made = Stuck(bench)
    yield made
    made.released.set()


@pytest.fixture
def stuck(bench: Bench) -> Iterator[Stuck]:
    with stuck_in(bench.opened()) as made:
        yield made


def wait_too_long(bench: Bench, patience_s: float = PATIENCE_S) -> None:
    """As the loop does: it looks again and again."""
    bench.clock.sleep(patience_s)
    bench.transactor.give_up_stuck()
    bench.clock.sleep(LOOK_AGAIN_S)
    bench.transactor.give_up_stuck()


def test_a_call_is_waited_for(bench: Bench, stuck: Stuck) -> None:
    """A slow broker is no reason to give up at once."""
    wait_too_long(bench, PATIENCE_S - LOOK_AGAIN_S - 0.1)
    assert len(bench.producers) == 1
    stuck.released.set()
    assert stuck.future.result(timeout=10) == COMMITTED


def test_a_process_that_was_stopped_lets_its_client_speak_first(bench: Bench, stuck: Stuck) -> None:
    """However late it looks, it looks again before it gives up."""
    bench.clock.sleep(1000.0)
    bench.transactor.give_up_stuck()
    stuck.released.set()
    assert stuck.future.result(timeout=10) == COMMITTED


def test_patience_grows_with_each_that_was_in_vain(bench: Bench) -> None:
    """Brokers that take longer than it has the first time must not be given up for ever."""
    bench.opened()
    patience_s = PATIENCE_S
    for _ in range(3):
        with stuck_in(bench) as stuck:
            wait_too_long(bench, patience_s - LOOK_AGAIN_S - 0.1)
            assert not stuck.future.done()
            bench.clock.sleep(0.2 + LOOK_AGAIN_S)
            bench.transactor.give_up_stuck()
            bench.clock.sleep(LOOK_AGAIN_S)
            bench.transactor.give_up_stuck()
            assert not stuck.future.result(timeout=10).committed
        patience_s = min(2 * patience_s, 16.0)
    assert bench.run() == COMMITTED
    with stuck_in(bench) as stuck:
        wait_too_long(bench)
        assert not stuck.future.result(timeout=10).committed


@pytest.mark.parametrize("committed", [True, False])
def test_a_call_that_never_comes_back_is_given_up(bench: Bench, stuck: Stuck, committed: bool) -> None:
    """A new producer shuts the old one out, and the committed offsets tell how it ended."""
    if committed:
        bench.land()
    wait_too_long(bench)
    assert stuck.future.result(timeout=10).committed is committed
    assert len(bench.producers) == 2
    assert bench.run() == COMMITTED


def test_a_call_that_comes_back_too_late_decides_nothing(bench: Bench, stuck: Stuck) -> None:
    """Its transaction was settled by others, and the producer is theirs."""
    wait_too_long(bench)
    assert not stuck.future.result(timeout=10).committed
    stuck.released.set()
    eventually(lambda: bench.passed.count("after_commit") == 1)
    assert bench.run() == COMMITTED
    assert len(bench.producers) == 2


def test_a_failure_that_comes_back_too_late_is_no_news(bench: Bench) -> None:
    """It is neither told nor followed by an abort: what it was about was decided long ago."""
    released, called = Event(), Event()

    def hang() -> None:
        called.set()
        assert released.wait(10)
        raise abortable()

    bench.opened().script.then("commit", hang)
    others = set(threading.enumerate())
    future = bench.transactor.submit(Transaction((OUTPUT,), {3: 8}, STANDING))
    assert called.wait(10)
    (thread,) = set(threading.enumerate()) - others
    wait_too_long(bench)
    assert not future.result(timeout=10).committed
    with capture_logs() as logs:
        released.set()
        thread.join(10)
    assert logs == []
    assert "abort" not in bench.calls


def test_what_is_settled_is_not_given_up(bench: Bench) -> None:
    """However long ago it was."""
    bench.opened().run()
    wait_too_long(bench)
    assert bench.run() == COMMITTED
    assert len(bench.producers) == 1


# --- records that are not delivered ---


@pytest.mark.parametrize(
    ("told", "error"),
    [
        ([KafkaError.UNKNOWN_TOPIC_OR_PART], "UNKNOWN_TOPIC_OR_PART"),
        ([KafkaError._MSG_TIMED_OUT, KafkaError._PURGE_QUEUE], "_MSG_TIMED_OUT"),
        ([], "_INCONSISTENT"),
    ],
)
def test_the_reason_is_that_of_the_records(bench: Bench, told: list[int], error: str) -> None:
    """The commit only says that records are missing; those that the abort takes back are no reason."""

    def commit() -> None:
        for code in told:
            bench.undelivered(KafkaError(code), message(0, topic="lead.decisions"))
        raise fault(KafkaError._INCONSISTENT, abortable=True)

    bench.opened().script.then("commit", commit)
    assert bench.run() == Settlement(committed=False, error=error)


def test_an_earlier_transactions_records_are_forgotten(bench: Bench) -> None:
    """They have nothing to do with this one's error."""
    bench.opened().undelivered(KafkaError(KafkaError._MSG_TIMED_OUT), message(0))
    bench.script.then("commit", fault(KafkaError._INCONSISTENT, abortable=True))
    assert bench.run().error == "_INCONSISTENT"


# --- fencing ---


@pytest.mark.parametrize(
    "code",
    [
        KafkaError._FENCED,
        KafkaError.INVALID_PRODUCER_EPOCH,
        KafkaError.PRODUCER_FENCED,
        KafkaError.TRANSACTION_COORDINATOR_FENCED,
    ],
)
def test_fenced_twice_ends(bench: Bench, code: int) -> None:
    """Another instance has the id: exit 6; the first time a new producer takes it back."""
    bench.opened().script.then("commit", fault(code, fatal=True), fault(code, fatal=True))
    assert not bench.run().committed
    with pytest.raises(FencedError, match="instance_id") as caught:
        bench.run()
    assert caught.value.exit_code == 6


def test_fenced_twice_far_apart_goes_on(bench: Bench) -> None:
    """More than a minute lies between."""
    bench.opened().script.then("commit", fenced(), fenced())
    bench.run()
    bench.clock.sleep(61.0)
    assert not bench.run().committed


def test_a_transaction_that_timed_out_is_no_twin(bench: Bench) -> None:
    """A process that was frozen for longer than the timeout begins anew, again and again."""
    bench.opened()
    for _ in range(3):
        bench.script.then("commit", bench.time_out)
        assert not bench.run().committed


def test_an_abort_that_waited_for_the_network_is_no_twins_doing(bench: Bench) -> None:
    """The transaction was young when its first error came, and timed out while its abort was under way."""
    bench.opened()
    for _ in range(3):
        bench.script.then("commit", abortable())
        bench.script.then("abort", bench.time_out)
        assert not bench.run().committed


def test_fenced_in_the_abort_counts(bench: Bench) -> None:
    """What requires an abort may come before the news that the producer is fenced."""
    bench.opened().script.then("commit", abortable(), abortable())
    bench.script.then("abort", fenced(), fenced())
    assert not bench.run().committed
    with pytest.raises(FencedError):
        bench.run()


# --- start and stop ---


def test_opening_takes_the_id_over(bench: Bench) -> None:
    """One producer, initialised and nothing more."""
    bench.transactor.open()
    assert (bench.calls, len(bench.producers)) == (["init"], 1)


def test_opening_tries_until_the_time_is_up(bench: Bench) -> None:
    """A coordinator that comes in time is taken."""
    bench.script.then("init", fault(KafkaError._TIMED_OUT), fault(KafkaError.COORDINATOR_NOT_AVAILABLE))
    bench.transactor.open()
    assert bench.calls == ["init"] * 3


def test_opening_waits_between_tries(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A refusal may come at once: 27 s of new clients without a pause would be thousands."""
    waited: list[int] = []
    monkeypatch.setattr(bench.transactor, "back_off", waited.append)
    bench.script.then("init", *[fault(KafkaError.NOT_COORDINATOR)] * 3)
    bench.transactor.open()
    assert waited == [1, 2, 3]


def test_opening_gives_up(bench: Bench) -> None:
    """Within 30 s of the start: exit 3."""

    def silent() -> None:
        bench.clock.sleep(10.0)
        raise fault(KafkaError._TIMED_OUT)

    bench.script.then("init", *[silent] * 10)
    with pytest.raises(KafkaUnavailableError) as caught:
        bench.transactor.open()
    assert caught.value.exit_code == 3
    assert len(bench.calls) == 3  # 10, 20, 30 s
    assert START_TIMEOUT_S < 30


def test_opening_without_the_right_to(bench: Bench) -> None:
    """No waiting gives it: at once, exit 3."""
    bench.script.then("init", fault(KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED))
    with pytest.raises(KafkaUnavailableError, match="not authorised"):
        bench.transactor.open()
    assert bench.calls == ["init"]


def test_a_longer_transaction_than_the_broker_allows(bench: Bench) -> None:
    """No waiting makes it shorter: at once, exit 2, with the property, its value and the broker's."""
    bench.script.then("init", fault(KafkaError.INVALID_TRANSACTION_TIMEOUT, fatal=True))
    with pytest.raises(ConfigurationError, match=r"transaction\.timeout\.ms = 15000: .* transaction\.max\.timeout\.ms"):
        bench.transactor.open()
    assert bench.calls == ["init"]


def test_closing_ends_the_waiting(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A transaction that is between two tries stays uncommitted, and its thread ends."""
    monkeypatch.setattr(transactions, "BACKOFF_S", 1000.0)
    monkeypatch.setattr(transactions, "BACKOFF_MAX_S", 1000.0)
    committing = Event()
    bench.opened().script.then("commit", lambda: _raise(retriable(), committing))
    future = bench.transactor.submit(Transaction((OUTPUT,), {3: 8}, STANDING))
    assert committing.wait(10)
    bench.transactor.close()
    with pytest.raises(FatalError, match="uncommitted"):
        future.result(timeout=10)


def test_a_bug_is_not_taken_for_kafkas_fault(bench: Bench) -> None:
    """It reaches whoever waits for the settlement."""
    bench.opened().script.then("produce", TypeError("no bytes"))
    with pytest.raises(TypeError):
        bench.run()


def _raise(error: Exception, after: Event) -> NoReturn:
    after.set()
    raise error

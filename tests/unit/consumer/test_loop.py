"""The loop over ports that the test holds: what is committed together, and what becomes of it when it is not."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from itertools import pairwise
from threading import Timer
from time import perf_counter
from typing import Any, Literal, cast

import pytest
from structlog.testing import capture_logs

from consumer import loop as loops
from consumer.aborts import MISSING, Aborts
from consumer.assignment import Partition, Phase
from consumer.batch import Batch
from consumer.dead_letters import Guard
from consumer.loop import (
    BACKOFF_MAX_S,
    BUSY_POLL_S,
    GAP_S,
    IDLE_POLL_S,
    QUIET_S,
    REVOKE_WAIT_S,
    SERVE_AFTER_S,
    SLICE_RECORDS,
    TOO_LARGE,
    Loop,
)
from consumer.ports import Membership, Restored, Settlement, Standing, Transaction
from consumer.purge import PASS_S_MAX, Purge
from consumer.records import Output, Polled, Record
from runtime.errors import ConfigurationError, DeadLetterLimitError, FatalError, StateError
from schemas.codec import RegistryUnavailableError
from scoring.batching import BatchController
from scoring.profile import Profile, pack, unpack
from scoring.stream_gates import StreamGates
from tests.unit.consumer import bench as benches
from tests.unit.consumer.bench import DAY_MS, DEAD_LETTERS, DECISIONS, PROFILES, event_record, on
from tests.unit.consumer.fakes import START_MS, record

LONG_S = 60.0
UNKNOWN_TOPIC = "UNKNOWN_TOPIC_OR_PART"
"""Longer than any back-off."""


class Source:
    """The events topic: polls give what the test puts in, for the partitions that were started."""

    def __init__(self) -> None:
        self.polls: deque[Polled] = deque()
        self.asked: list[tuple[float, int]] = []
        self.started: dict[int, int] = {}
        self.rewinds: list[dict[int, int]] = []
        self.member: str | None = "generation 1"
        self.lost_silently: set[int] = set()
        self.reopened = 0
        self.on_poll: Callable[[], None] = lambda: None
        self.loop: Loop | None = None

    def poll(self, timeout_s: float, max_records: int) -> Polled:
        self.asked.append((timeout_s, max_records))
        self.on_poll()
        if max_records <= 0 or not self.polls:
            return Polled([], {})
        polled = self.polls.popleft()
        if len(polled.records) > max_records:
            self.polls.appendleft(Polled(polled.records[max_records:], polled.ends))
            return Polled(polled.records[:max_records], {})
        return polled

    def start(self, number: int, next_offset: int) -> None:
        self.started[number] = next_offset

    def rewind(self, next_offsets: dict[int, int]) -> None:
        self.rewinds.append(next_offsets)

    def membership(self) -> Membership | None:
        return cast(Membership, self.member)

    def owned(self) -> set[int]:
        assert self.loop is not None
        return set(self.loop.assignment.partitions) - self.lost_silently

    def reopen(self) -> None:
        assert self.loop is not None
        self.loop.revoked(list(self.loop.assignment.partitions))
        self.reopened += 1

    def close(self) -> None:
        raise AssertionError("the loop does not leave the group by itself")


class Transactions:
    """Takes transactions; the test says how they end."""

    def __init__(self) -> None:
        self.submitted: list[Transaction] = []
        self.futures: list[Future[Settlement]] = []
        self.asked_for_stuck = self.verified = 0
        self.verified_everywhere = False
        self.standing: Standing | None = None
        self.verdict = Settlement(committed=True)

    def renew(self) -> Future[None]:
        raise AssertionError("all of them have partitions, or little time")

    def verify(self, standing: Standing | None, *, everywhere: bool) -> Future[Settlement]:
        self.verified += 1
        self.standing = standing
        self.verified_everywhere = everywhere
        future: Future[Settlement] = Future()
        future.set_result(self.verdict)
        return future

    def submit(self, transaction: Transaction) -> Future[Settlement]:
        assert all(future.done() for future in self.futures), "one at a time"
        # The batch goes on changing; what was submitted is what was there at the time.
        self.submitted.append(transaction._replace(next_offsets=dict(transaction.next_offsets)))
        self.futures.append(Future())
        return self.futures[-1]

    def give_up_stuck(self) -> None:
        self.asked_for_stuck += 1

    def commit(self) -> None:
        self.futures[-1].set_result(Settlement(committed=True))

    def abort(self, error: str | None = "_TIMED_OUT", *, undone: bool = False) -> None:
        self.futures[-1].set_result(Settlement(committed=False, error=error, undone=undone))


class Restorer:
    """Takes requests; the test says what is restored."""

    def __init__(self) -> None:
        self.requested: list[Partition] = []
        self.results: list[Restored | FatalError] = []

    def request(self, partitions: list[Partition]) -> None:
        self.requested += partitions

    def finished(self) -> list[Restored | FatalError]:
        results, self.results = self.results, []
        return results


class Heard:
    """Telemetry that keeps what it is told."""

    def __init__(self) -> None:
        self.batches: list[Batch] = []
        self.told: list[tuple[str, Any]] = []
        self.phases: list[str] = []
        self.stages: list[tuple[str, float]] = []
        self.in_rebalance: Callable[[], None] = lambda: None

    def turned(self, phase: str) -> None:
        self.phases.append(phase)
        if phase == "rebalance":
            self.in_rebalance()

    def stage(self, name: str, seconds: float) -> None:
        self.stages.append((name, seconds))

    def committed(self, batch: Batch) -> None:
        self.batches.append(batch)

    def aborted(self, error: str | None) -> None:
        self.told.append(("aborted", error))

    def failed(self, kind: str) -> None:
        self.told.append(("failed", kind))

    def rebalanced(self, kind: Literal["assigned", "revoked", "lost"], numbers: list[int]) -> None:
        self.told.append((kind, numbers))


class Controller(BatchController):
    """Keeps what it is told of committed cycles."""

    def __init__(self, max_batch: int) -> None:
        super().__init__(150, max_batch)
        self.observed: list[tuple[int, float, float]] = []

    def observe(self, n_records: int, cycle_ms: float, oldest_ms: float) -> None:
        self.observed.append((n_records, cycle_ms, oldest_ms))


class Bench:
    """A loop with a real processor."""

    def __init__(self, *, max_batch: int = 2000, guard: Guard | None = None, **limits: Any) -> None:
        self.inner = benches.Bench(**limits)
        self.clock = self.inner.clock
        self.source, self.transactions, self.restorer = Source(), Transactions(), Restorer()
        self.heard = Heard()
        self.controller = Controller(max_batch)
        self.loop = Loop(
            source=self.source,
            transactions=self.transactions,
            restorer=self.restorer,
            processor=self.inner.processor,
            telemetry=self.heard,
            clock=self.clock,
            guard=guard or Guard(1000, 1.0),
            gates=StreamGates(),
            controller=self.controller,
            purge=Purge(365 * DAY_MS),
            limits=Aborts(),
        )
        self.source.loop = self.loop

    def reading(self, *numbers: int, next_offset: int = 0, leads: dict[str, Profile] | None = None) -> Bench:
        """Partitions are assigned, restored and read."""
        self.loop.assigned(list(numbers))
        packed = {lead_id: pack(profile) for lead_id, profile in (leads or {}).items()}
        self.restorer.results += [Restored(self.partition(n), dict(packed), next_offset, new=False) for n in numbers]
        self.loop.turn()
        self.source.asked.clear()
        return self

    def partition(self, number: int = 0) -> Partition:
        return self.loop.assignment.partitions[number]

    def give(self, *records: Record, ends: dict[int, int] | None = None) -> Bench:
        """What the next poll gives."""
        self.source.polls.append(Polled(list(records), ends or {}))
        return self

    def turn(self, *, times: int = 1) -> Bench:
        for _ in range(times):
            self.loop.turn()
        return self

    def commit(self) -> Bench:
        """The transaction in flight is committed, and the loop takes notice."""
        self.transactions.commit()
        return self.turn()

    def abort(self, error: str | None = "_TIMED_OUT") -> Bench:
        """It is aborted, the loop takes notice, and the time for holding back is over."""
        self.transactions.abort(error)
        self.turn().clock.sleep(LONG_S)
        return self

    @property
    def sent(self) -> list[dict[int, int]]:
        """The next offsets of each transaction so far."""
        return [transaction.next_offsets for transaction in self.transactions.submitted]

    def outputs(self, topic: str, transaction: int = -1) -> list[Output]:
        return on(topic, list(self.transactions.submitted[transaction].outputs))


def visits(first: int, n: int, *, partition: int = 0) -> list[Record]:
    return [event_record(offset, partition=partition) for offset in range(first, first + n)]


@pytest.fixture
def bench() -> Bench:
    return Bench()


# --- another client ---


def test_with_another_client_all_is_given_up_and_taken_anew(bench: Bench) -> None:
    """As in a rebalance: what was gathered is dropped, and nothing is known of the partitions."""
    bench.reading(0).give(*visits(0, 1)).turn()
    bench.transactions.commit()
    bench.loop.rejoin([0])
    assert (bench.source.reopened, bench.loop.assignment.partitions) == (1, {})
    bench.reading(0, next_offset=1).give(*visits(1, 1)).turn(times=2)
    assert bench.sent[-1] == {0: 2}


def test_a_loop_that_takes_all_is_not_hindered(bench: Bench) -> None:
    """Nothing is held back while each poll has room."""
    bench.reading(0)
    before_s = bench.loop.hindered_s()
    bench.give(*visits(0, 1)).turn()
    bench.clock.sleep(1.0)
    assert bench.commit().loop.hindered_s() == before_s


def test_a_loop_without_room_is_hindered() -> None:
    """The client may have more than was taken."""
    bench = Bench(max_batch=1).reading(0).give(*visits(0, 3))
    for _ in range(3):
        bench.clock.sleep(1.0)
        assert bench.turn().loop.hindered_s() == bench.clock.monotonic()


def test_a_loop_that_does_not_poll_is_hindered(bench: Bench) -> None:
    """For as long as that lasts, and when it polls again."""
    bench.reading(0).clock.sleep(GAP_S + 1)
    assert bench.loop.hindered_s() == bench.clock.monotonic()
    now_s = bench.clock.monotonic()
    assert bench.turn().loop.hindered_s() == now_s


def test_a_loop_that_reads_again_is_hindered(bench: Bench) -> None:
    """What the client had is thrown away."""
    bench.reading(0).give(*visits(0, 1)).turn()
    bench.clock.sleep(1.0)
    bench.transactions.abort()
    now_s = bench.clock.monotonic()
    assert bench.turn().loop.hindered_s() == now_s


def test_an_end_that_was_told_is_read_to(bench: Bench) -> None:
    """Before it is committed, too."""
    bench.reading(0).give(*visits(0, 1), ends={0: 5})
    bench.transactions.submitted.clear()
    bench.loop._gather()
    assert bench.loop.read_to(bench.partition()) == 5


# --- one batch ---


def test_all_of_a_record_is_committed_together(bench: Bench) -> None:
    """Decision, action, profile and next offset, under the membership of its poll."""
    bench.reading(0).give(*visits(0, 1)).turn()
    (transaction,) = bench.transactions.submitted
    topics = [output.topic for output in transaction.outputs]
    assert topics == [DECISIONS, "lead.actions.disqualify", PROFILES]
    assert (transaction.next_offsets, transaction.standing.membership) == ({0: 1}, "generation 1")


def test_the_state_moves_with_the_commit(bench: Bench) -> None:
    """Not before: until then nobody knows how it ends."""
    bench.reading(0).give(*visits(0, 2)).turn()
    assert (bench.partition().next_offset, bench.partition().leads) == (0, {})
    bench.commit()
    assert bench.partition().next_offset == 2
    assert unpack(bench.partition().leads["l"]).page_visits == 2


def test_a_lead_goes_on_where_its_state_was(bench: Bench) -> None:
    """The restored profile is the one that is folded on."""
    bench.reading(0, next_offset=7, leads={"l": Profile(page_visits=5, last_offset=6, last_seen_at=START_MS)})
    bench.give(event_record(7)).turn()
    bench.commit()
    assert unpack(bench.partition().leads["l"]).page_visits == 6


def test_only_what_is_committed_is_told(bench: Bench) -> None:
    """Each batch once, with all its records."""
    bench.reading(0).give(*visits(0, 2)).turn()
    assert bench.heard.batches == []
    bench.commit()
    assert [len(batch.records) for batch in bench.heard.batches] == [2]


def test_the_snapshot_is_that_of_the_first_poll(bench: Bench) -> None:
    """What is gathered later goes under it, too: the broker refuses it if the group has moved on since."""
    bench.reading(0).give(*visits(0, 1)).turn()
    bench.give(*visits(1, 1)).turn()
    bench.source.member = "generation 2"
    bench.give(*visits(2, 1)).turn()
    bench.commit()
    assert bench.sent == [{0: 1}, {0: 3}]
    assert bench.transactions.submitted[-1].standing.membership == "generation 1"


def test_without_a_membership_nothing_is_committed(bench: Bench) -> None:
    """The broker could not tell us from a zombie: what was gathered is dropped, and read again as a member."""
    bench.reading(0)
    bench.source.member = None
    bench.give(*visits(0, 2)).turn()
    assert (bench.sent, bench.source.rewinds) == ([], [{0: 0}])
    bench.source.member = "generation 2"
    bench.clock.sleep(LONG_S)
    bench.give(*visits(0, 2)).turn()
    assert bench.sent == [{0: 2}]


def test_without_a_membership_the_loop_holds_back(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """To read and drop the same records without a pause would be a hot loop."""
    monkeypatch.setattr("consumer.loop.random.uniform", lambda _, ceiling_s: ceiling_s)
    bench.reading(0).source.member = None
    for _ in range(3):
        bench.give(*visits(0, 1)).turn()
    assert len(bench.source.rewinds) == 1


@pytest.mark.parametrize("stale", [0, 4])
def test_a_record_from_before_the_position_is_passed_over(bench: Bench, stale: int) -> None:
    """It was fetched before a rewind, or belongs to an earlier assignment."""
    bench.reading(0, next_offset=5).give(event_record(stale), event_record(5)).turn()
    assert len(bench.outputs(DECISIONS)) == 1


def test_a_record_of_a_partition_that_is_not_read_is_passed_over(bench: Bench) -> None:
    """Not owned, or without its state yet."""
    bench.reading(0)
    bench.loop.assigned([1])
    bench.give(event_record(0, partition=1), event_record(0, partition=2)).turn(times=2)
    assert bench.sent == []


def test_an_idle_loop_waits_in_the_poll(bench: Bench) -> None:
    """Not in a hot loop, and no longer than a request to stop may wait."""
    bench.reading(0).turn()
    assert bench.source.asked == [(IDLE_POLL_S, 2000)]


def test_a_poll_does_not_wait_while_there_is_something_to_commit(bench: Bench) -> None:
    """It would be the latency of what was gathered: the time is spent on the commit under way instead."""
    bench.reading(0).give(*visits(0, 1)).turn()
    bench.give(*visits(1, 1)).turn()
    bench.source.asked.clear()
    began_s = perf_counter()
    bench.turn()
    assert [timeout_s for timeout_s, _ in bench.source.asked] == [0.0]
    assert perf_counter() - began_s >= BUSY_POLL_S / 2


def test_no_more_is_asked_for_than_a_batch_may_have() -> None:
    """What is gathered counts."""
    bench = Bench(max_batch=3).reading(0)
    bench.give(*visits(0, 5)).turn()
    bench.turn()
    assert [asked for _, asked in bench.source.asked] == [3, 3]
    assert bench.sent == [{0: 3}]


def test_large_records_fill_a_batch_by_their_bytes(monkeypatch: pytest.MonkeyPatch, bench: Bench) -> None:
    """Two thousand of a megabyte each would be too much to hold; while that is committed no more are taken."""
    monkeypatch.setattr(loops, "BATCH_BYTES_MAX", 100)
    bench.reading(0).give(*visits(0, 1)).turn()
    bench.give(*visits(1, 5)).give(*visits(6, 5)).turn(times=3)
    assert len(bench.source.polls) == 1


def test_a_cycle_is_told_to_the_controller(bench: Bench) -> None:
    """Records, from the poll to the commit, and the age of the oldest at the poll; of batches with records alone."""
    bench.reading(0)
    bench.clock.sleep(2.0)
    bench.give(event_record(0, append_ms=START_MS + 500), event_record(1, append_ms=START_MS)).turn()
    bench.clock.sleep(0.25)
    bench.commit()
    bench.give(ends={0: 5}).turn().commit()
    assert bench.controller.observed == [(2, 250.0, 2000.0)]
    assert ("commit", 0.25) in bench.heard.stages


def test_each_phase_of_a_turn_is_told(bench: Bench) -> None:
    """So that a loop that is stuck can be told from one that waits, and by where."""
    bench.reading(0).heard.phases.clear()
    bench.give(*visits(0, 1)).turn()
    assert bench.heard.phases == ["poll", "process", "commit"]
    assert [name for name, _ in bench.heard.stages] == ["poll"]


def test_expired_leads_are_forgotten_with_the_batch(bench: Bench) -> None:
    """Their tombstones are part of the transaction."""
    late_ms = START_MS + 400 * DAY_MS
    bench.reading(0, leads={"old": Profile(last_seen_at=START_MS)})
    for offset in range(2):
        bench.give(event_record(offset, append_ms=late_ms)).turn().commit()
    bench.clock.sleep(PASS_S_MAX)
    bench.give(event_record(2, append_ms=late_ms)).turn(times=3)
    assert (b"old", None) in [(output.key, output.value) for output in bench.outputs(PROFILES)]
    bench.commit()
    assert set(bench.partition().leads) == {"l"}


# --- two batches ---


def test_little_waits_for_the_commit(bench: Bench) -> None:
    """One slice costs less than many: what comes meanwhile is one batch after it."""
    bench.reading(0).give(*visits(0, 1)).turn()
    bench.give(*visits(1, 1)).give(*visits(2, 1)).turn(times=2)
    assert bench.sent == [{0: 1}]
    bench.commit()
    assert bench.sent == [{0: 1}, {0: 3}]


def test_much_is_prepared_during_the_commit(bench: Bench) -> None:
    """On top of what is in flight, and seen through it: the counts go on."""
    bench.reading(0).give(*visits(0, 1)).turn()
    bench.give(*visits(1, SLICE_RECORDS)).turn()
    assert bench.inner.stages.told.count("decode") == 2
    assert len(bench.transactions.submitted) == 1
    bench.commit()
    bench.commit()
    assert unpack(bench.partition().leads["l"]).page_visits == SLICE_RECORDS + 1


def test_room_is_what_both_leave() -> None:
    """What is gathered and what is prepared on top of the one in flight; that one does not count."""
    bench = Bench(max_batch=SLICE_RECORDS + 10).reading(0)
    bench.give(*visits(0, 5)).turn()
    bench.give(*visits(5, SLICE_RECORDS)).turn()
    bench.give(*visits(5 + SLICE_RECORDS, 3)).turn()
    bench.turn()
    assert [room for _, room in bench.source.asked] == [SLICE_RECORDS + 10, SLICE_RECORDS + 10, 10, 7]


def test_a_full_batch_is_not_polled_for() -> None:
    """There is nowhere to put what came; but after a second the group wants to be served."""
    bench = Bench(max_batch=2).reading(0)
    bench.give(*visits(0, 2)).turn()
    bench.give(*visits(2, 2)).turn()
    bench.source.asked.clear()
    bench.turn(times=2)
    assert bench.source.asked == []
    bench.clock.sleep(SERVE_AFTER_S + 0.1)
    bench.turn()
    assert bench.source.asked == [(BUSY_POLL_S, 0)]


def test_a_full_batch_is_encoded_while_the_one_before_is_committed() -> None:
    """Nothing but the transaction is left to do once the one in flight has ended."""
    bench = Bench(max_batch=SLICE_RECORDS).reading(0)
    bench.give(*visits(0, SLICE_RECORDS)).turn()
    bench.give(*visits(SLICE_RECORDS, SLICE_RECORDS)).turn()
    bench.clock.sleep(1.0)
    bench.commit()
    first, second = (bench.outputs(PROFILES, number)[0].timestamp_ms for number in (0, 1))
    assert (first, second) == (START_MS, START_MS)
    assert bench.sent[1] == {0: 2 * SLICE_RECORDS}


def test_a_committed_batch_lets_go_of_the_one_before(bench: Bench) -> None:
    """Else every batch since the start would stay in memory."""
    bench.reading(0).give(*visits(0, 1)).turn()
    bench.give(*visits(1, SLICE_RECORDS)).turn()
    bench.commit().commit()
    assert [batch.parent for batch in bench.heard.batches] == [None, None]


def test_what_was_prepared_on_an_aborted_batch_goes_with_it(bench: Bench) -> None:
    """Its profiles rest on ones that never came to be."""
    bench.reading(0).give(*visits(0, 1)).turn()
    bench.give(*visits(1, SLICE_RECORDS)).turn()
    bench.abort()
    assert bench.source.rewinds == [{0: 0}]
    bench.give(*visits(0, SLICE_RECORDS + 1)).turn()
    bench.commit()
    assert unpack(bench.partition().leads["l"]).page_visits == SLICE_RECORDS + 1
    assert [len(batch.records) for batch in bench.heard.batches] == [SLICE_RECORDS + 1]


def test_a_batch_on_top_counts_the_dead_letters_below() -> None:
    """The guard goes through both."""
    bench = Bench(guard=Guard(3, 1.0)).reading(0)
    bench.give(record(0), record(1)).turn()
    bench.give(*[record(offset) for offset in range(2, 2 + SLICE_RECORDS)]).turn()
    bench.commit()
    assert bench.sent == [{0: 2}, {0: 3}]


# --- aborts ---


def test_an_aborted_batch_is_read_again(bench: Bench) -> None:
    """From the committed offset; nothing of it happened, and that it was aborted is told."""
    bench.reading(0, next_offset=4).give(*visits(4, 2)).turn()
    bench.abort("INVALID_TXN_STATE")
    assert bench.source.rewinds == [{0: 4}]
    assert (bench.partition().next_offset, bench.partition().leads, bench.heard.batches) == (4, {}, [])
    assert ("aborted", "INVALID_TXN_STATE") in bench.heard.told
    bench.give(*visits(4, 2)).turn()
    assert bench.transactions.submitted[0].next_offsets == bench.transactions.submitted[1].next_offsets


def test_a_redone_batch_gives_the_same_outputs(bench: Bench) -> None:
    """Byte for byte, but for the time of the decision."""
    bench.reading(0).give(*visits(0, 3)).turn()
    bench.transactions.abort()
    bench.turn()
    bench.loop._hold_until_s = 0.0  # without time passing
    bench.give(*visits(0, 3)).turn()
    first, second = bench.transactions.submitted
    assert first.outputs == second.outputs


def test_after_an_abort_the_loop_holds_back(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Up to twice as long each time, and polling on: the group keeps its member."""
    monkeypatch.setattr("consumer.loop.random.uniform", lambda _, ceiling_s: ceiling_s)
    bench.reading(0).give(*visits(0, 1)).turn()
    held_s = []
    for _ in range(3):
        bench.transactions.abort()
        began_s, before = bench.clock.monotonic(), len(bench.sent)
        bench.turn().give(*visits(0, 1))
        while len(bench.sent) == before:
            polls = len(bench.source.asked)
            bench.turn()
            assert len(bench.source.asked) == polls + 1
            bench.clock.sleep(0.05)
        held_s.append(bench.clock.monotonic() - began_s - 0.05)
    assert held_s == pytest.approx([0.2, 0.4, 0.8], abs=0.051)


def test_too_many_aborts_in_a_row_end(bench: Bench) -> None:
    """With the error that the limit gives."""
    bench.reading(0)
    for _ in range(MISSING.aborts - 1):
        bench.give(*visits(0, 1)).turn().abort(UNKNOWN_TOPIC)
    bench.give(*visits(0, 1)).turn().transactions.abort(UNKNOWN_TOPIC)
    with pytest.raises(ConfigurationError, match=UNKNOWN_TOPIC):
        bench.turn()


def test_a_commit_ends_the_row(bench: Bench) -> None:
    """One abort fewer than the limit, a commit, and as many again are not too many."""
    bench.reading(0)
    for offset in (0, 1):
        for _ in range(MISSING.aborts - 1):
            bench.give(*visits(offset, 1)).turn(times=3).abort(UNKNOWN_TOPIC)
        bench.give(*visits(offset, 1)).turn(times=3).commit()
    assert bench.partition().next_offset == 2


def test_a_dead_letter_that_is_refused_loses_its_value() -> None:
    """It was tried whole, as it might fit compressed; the next one is tried whole again."""
    bench = Bench(dead_letter_max_bytes=4000, producer_max_bytes=9000).reading(0)
    values = []
    bench.give(record(0, value=bytes(5000))).turn()
    values.append(bench.outputs(DEAD_LETTERS)[0].value)
    bench.abort(TOO_LARGE).give(record(0, value=bytes(5000))).turn()
    values.append(bench.outputs(DEAD_LETTERS)[0].value)
    bench.commit().give(record(1, value=bytes(5000))).turn()
    values.append(bench.outputs(DEAD_LETTERS)[0].value)
    assert [value is None for value in values] == [False, True, False]


def test_what_ends_the_transactions_ends_the_loop(bench: Bench) -> None:
    """Fenced, or a bug: the settlement never comes, and the error is raised here."""
    bench.reading(0).give(*visits(0, 1)).turn()
    bench.transactions.futures[-1].set_exception(FatalError("fenced"))
    with pytest.raises(FatalError, match="fenced"):
        bench.turn()


# --- the registry ---


def test_a_registry_out_of_reach_is_waited_for(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is lost and nothing committed; what comes meanwhile waits behind it."""
    inner = bench.inner.processor._decode
    out_of_reach = True

    def decode(value: bytes | None) -> dict[str, Any]:
        if out_of_reach:
            raise RegistryUnavailableError("no answer")
        return inner(value)

    monkeypatch.setattr(bench.inner.processor, "_decode", decode)
    bench.reading(0).give(*visits(0, 1)).turn()
    bench.clock.sleep(LONG_S)
    bench.give(*visits(1, 1)).turn()
    assert bench.sent == []
    assert bench.heard.told.count(("failed", "registry")) == 2
    assert bench.loop.oldest_unprocessed_ms() == {0: START_MS}
    out_of_reach = False
    bench.clock.sleep(LONG_S)
    bench.turn()
    assert bench.sent == [{0: 2}]


def test_a_registry_that_stays_away_is_asked_ever_more_rarely(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither it nor the log is flooded for as long as it is away; the first success forgets about it."""
    monkeypatch.setattr("consumer.loop.random.uniform", lambda _, ceiling_s: ceiling_s)
    inner = bench.inner.processor._decode
    tries: list[float] = []

    def decode(_: bytes | None) -> dict[str, Any]:
        tries.append(bench.clock.monotonic())
        raise RegistryUnavailableError("no answer")

    monkeypatch.setattr(bench.inner.processor, "_decode", decode)
    bench.reading(0).give(*visits(0, 1))
    with capture_logs() as logs:
        for _ in range(600):
            bench.turn().clock.sleep(0.1)
    pauses_s = [round(later - earlier, 1) for earlier, later in pairwise(tries)]
    assert pauses_s[:5] == [0.2, 0.4, 0.8, 1.6, 3.2]
    assert set(pauses_s[5:]) <= {5.0, 5.1}
    assert [log["tries"] for log in logs if log["event"] == "registry_unavailable"] == [1, 2, 4, 8, 16]
    monkeypatch.setattr(bench.inner.processor, "_decode", inner)
    bench.clock.sleep(LONG_S)
    bench.turn().commit()
    monkeypatch.setattr(bench.inner.processor, "_decode", decode)
    with capture_logs() as logs:
        bench.give(*visits(1, 1)).turn()
    assert [log["tries"] for log in logs if log["event"] == "registry_unavailable"] == [1]


def test_a_full_batch_that_waits_for_the_registry_serves_the_group(monkeypatch: pytest.MonkeyPatch) -> None:
    """It asks the registry again after a pause only, and is polled meanwhile."""
    monkeypatch.setattr("consumer.loop.random.uniform", lambda _, ceiling_s: ceiling_s)
    bench = Bench(max_batch=2).reading(0)
    asked: list[int] = []

    def prepare(records: list[Record], _: Batch) -> None:
        asked.append(len(records))
        raise RegistryUnavailableError("no answer")

    monkeypatch.setattr(bench.inner.processor, "prepare", prepare)
    bench.give(*visits(0, 2)).turn(times=3)
    assert asked == [2]
    assert bench.source.asked[1:] == [(BUSY_POLL_S, 0)] * 2


# --- the limit of dead letters ---


def test_at_the_limit_what_came_before_is_committed_and_then_it_ends() -> None:
    """Exit 4 with the commit, and the limiting record is read again after a restart, with all behind it."""
    bench = Bench(guard=Guard(1, 1.0)).reading(0)
    bench.give(event_record(0), record(1), record(2), event_record(3), ends={0: 4}).turn()
    assert bench.sent == [{0: 2}]
    with pytest.raises(DeadLetterLimitError):
        bench.commit()
    assert len(bench.heard.batches) == 1


def test_at_the_limit_with_nothing_before_it_ends_at_once() -> None:
    """The first record after a start that passes it."""
    bench = Bench(guard=Guard(0, 1.0)).reading(0).give(record(0))
    with pytest.raises(DeadLetterLimitError):
        bench.turn()
    assert bench.sent == []


def test_an_aborted_batch_is_no_reason_to_end() -> None:
    """Its dead letters are counted again when it is redone, and count once."""
    bench = Bench(guard=Guard(2, 1.0)).reading(0)
    for _ in range(3):
        bench.give(record(0), record(1)).turn().abort()
    bench.give(record(0), record(1)).turn().commit()
    assert bench.partition().next_offset == 2


def test_letters_of_committed_batches_count() -> None:
    """The row goes on from batch to batch."""
    bench = Bench(guard=Guard(2, 1.0)).reading(0)
    for offset in range(2):
        bench.give(record(offset)).turn().commit()
    with pytest.raises(DeadLetterLimitError):
        bench.give(record(2)).turn()


def test_while_the_last_batch_is_committed_nothing_more_is_taken() -> None:
    """What lies behind the limiting record stays unread."""
    bench = Bench(guard=Guard(1, 1.0)).reading(0)
    bench.give(event_record(0)).turn()
    bench.give(*[record(offset) for offset in range(1, 1 + SLICE_RECORDS)]).turn()
    bench.give(*visits(1 + SLICE_RECORDS, 1)).turn(times=2)
    assert len(bench.source.polls) == 1


# --- ends ---


def test_the_end_of_a_caught_up_partition_is_committed(bench: Bench) -> None:
    """It lies behind control records: without it lag would never be 0."""
    bench.reading(0, next_offset=3).give(ends={0: 5}).turn()
    assert bench.sent == [{0: 5}]
    assert list(bench.transactions.submitted[0].outputs) == []
    bench.commit()
    assert bench.partition().next_offset == 5


def test_an_end_goes_with_the_records_before_it(bench: Bench) -> None:
    """One transaction for both."""
    bench.reading(0).give(*visits(0, 2), ends={0: 3}).turn()
    assert bench.sent == [{0: 3}]


@pytest.mark.parametrize("end", [2, 3])
def test_an_end_that_is_nothing_new_is_not_committed(bench: Bench, end: int) -> None:
    """At the next offset, or from before it."""
    bench.reading(0, next_offset=3).give(ends={0: end}).turn(times=2)
    assert bench.sent == []


def test_an_end_is_committed_once(bench: Bench) -> None:
    """The next turns have nothing to do."""
    bench.reading(0, next_offset=3).give(ends={0: 5}).turn()
    bench.commit().turn(times=3)
    assert bench.sent == [{0: 5}]


def test_an_end_before_records_that_came_since_is_no_end(bench: Bench) -> None:
    """Told while a commit is under way, and overtaken by what was appended since."""
    bench.reading(0).give(*visits(0, 1)).turn()
    bench.give(ends={0: 3}).give(*visits(3, 2)).turn(times=2)
    bench.commit()
    assert bench.sent == [{0: 1}, {0: 5}]


def test_an_end_of_what_was_aborted_is_forgotten(bench: Bench) -> None:
    """The records before it are read again: committed by itself the end would skip them."""
    bench.reading(0).give(*visits(0, 2)).turn()
    bench.give(ends={0: 3}).turn()
    bench.abort().turn(times=2)
    assert 3 not in [offsets.get(0) for offsets in bench.sent]


def test_an_end_of_a_partition_that_is_gone_is_forgotten(bench: Bench) -> None:
    """Revoked in the very poll that tells it."""
    bench.reading(0, 1).give(ends={0: 3, 1: 4})
    bench.source.on_poll = lambda: bench.loop.revoked([0])
    bench.turn().source.on_poll = lambda: None
    bench.turn()
    assert bench.sent == [{1: 4}]


def test_an_end_of_an_aborted_transaction_is_told_again(bench: Bench) -> None:
    """The client tells an end once: the partition is read again for it, though no record was taken."""
    bench.reading(0, next_offset=3).give(ends={0: 5}).turn()
    bench.abort()
    assert bench.source.rewinds == [{0: 3}]
    assert bench.partition().position == 3


# --- the assignment ---


def test_a_partition_waits_for_its_state(bench: Bench) -> None:
    """Its restore is asked for at once, and it is read from the committed offset as soon as that is there."""
    bench.loop.assigned([0, 1])
    assert [partition.number for partition in bench.restorer.requested] == [0, 1]
    bench.turn()
    assert bench.source.started == {}
    bench.restorer.results.append(Restored(bench.partition(1), {}, 17, new=False))
    bench.turn()
    assert bench.source.started == {1: 17}
    assert [bench.partition(n).phase for n in (0, 1)] == [Phase.RESTORING, Phase.ACTIVE]


def test_a_new_partitions_start_is_committed_before_it_is_read(bench: Bench) -> None:
    """A crash in the first transaction must not look like lost offsets."""
    bench.loop.assigned([0])
    bench.restorer.results.append(Restored(bench.partition(), {}, 4, new=True))
    bench.turn()
    assert (bench.sent, bench.source.started) == ([{0: 4}], {})
    bench.commit()
    assert bench.source.started == {0: 4}
    assert bench.partition().phase is Phase.ACTIVE


def test_a_new_partition_does_not_wait_behind_the_others_backlog(bench: Bench) -> None:
    """Its start goes before the open batch, which keeps all that it has."""
    bench.reading(0)
    bench.loop.assigned([1])
    bench.give(*visits(0, 2)).turn()
    bench.give(*visits(2, SLICE_RECORDS)).turn()
    bench.restorer.results.append(Restored(bench.partition(1), {}, 4, new=True))
    bench.commit()
    assert bench.sent == [{0: 2}, {1: 4}]
    bench.commit().turn()
    assert bench.sent[2:] == [{0: 2 + SLICE_RECORDS}]
    assert bench.source.started == {0: 0, 1: 4}


def test_the_loop_rests_while_a_start_is_committed(bench: Bench) -> None:
    """However long the broker is away: nothing can be done before."""
    bench.loop.assigned([0])
    bench.restorer.results.append(Restored(bench.partition(), {}, 4, new=True))
    bench.turn()
    bench.source.asked.clear()
    bench.turn()
    assert [timeout_s for timeout_s, _ in bench.source.asked] == [BUSY_POLL_S]


def test_a_new_partitions_start_that_is_aborted_is_committed_again(bench: Bench) -> None:
    """And is not read meanwhile."""
    bench.loop.assigned([0])
    bench.restorer.results.append(Restored(bench.partition(), {}, 4, new=True))
    bench.turn().abort().turn()
    assert (bench.sent, bench.source.started) == ([{0: 4}, {0: 4}], {})


def test_a_rebuilt_partition_is_written_with_its_start(bench: Bench) -> None:
    """Every profile, and a tombstone for each lead that is none any more, in one transaction of its own."""
    bench.loop.assigned([0, 1])
    rewrite = {"a": Profile(page_visits=3), "b": None}
    bench.restorer.results += [
        Restored(bench.partition(1), {}, 9, new=True),
        Restored(bench.partition(0), {}, 4, new=True, rewrite=rewrite),
    ]
    bench.turn()
    bench.commit()
    assert bench.sent == [{1: 9}, {0: 4}]
    assert [(output.key, output.value is None) for output in bench.outputs(PROFILES)] == [(b"a", False), (b"b", True)]
    bench.commit()
    assert bench.partition().leads == {"a": pack(Profile(page_visits=3))}
    assert bench.source.started == {0: 4, 1: 9}


def test_a_state_that_comes_too_late_is_dropped(bench: Bench) -> None:
    """The partition was given up while it was restored, and may be here again."""
    bench.loop.assigned([0])
    late = Restored(bench.partition(), {}, 4, new=False)
    bench.loop.revoked([0])
    bench.loop.assigned([0])
    bench.restorer.results.append(late)
    bench.turn()
    assert bench.source.started == {}
    assert bench.partition().phase is Phase.RESTORING


def test_a_start_that_waits_is_dropped_with_its_partition(bench: Bench) -> None:
    """It would commit an offset of somebody else's partition."""
    bench.reading(1).loop.assigned([0])
    bench.give(*visits(0, 1, partition=1)).turn()
    bench.restorer.results.append(Restored(bench.partition(), {}, 4, new=True))
    bench.turn()
    bench.transactions.commit()
    bench.loop.revoked([0])
    bench.turn(times=2)
    assert [set(offsets) for offsets in bench.sent] == [{1}]


def test_a_state_that_cannot_be_restored_ends(bench: Bench) -> None:
    """With the restore's error."""
    bench.loop.assigned([0])
    bench.restorer.results.append(StateError("disagrees"))
    with pytest.raises(StateError):
        bench.turn()


def test_an_empty_assignment_is_an_assignment(bench: Bench) -> None:
    """An instance without partitions is ready."""
    before = bench.loop.assigned_once
    bench.loop.assigned([])
    assert (before, bench.loop.assigned_once, bench.restorer.requested) == (False, True, [])
    assert ("assigned", []) in bench.heard.told


@pytest.mark.parametrize("kind", ["revoked", "lost"])
def test_what_is_in_flight_settles_before_partitions_go(bench: Bench, kind: str) -> None:
    """The commit counts, and only then is the state dropped; the others keep theirs."""
    bench.reading(0, 1).give(*visits(0, 1), *visits(0, 1, partition=1)).turn()
    bench.transactions.commit()
    getattr(bench.loop, kind)([0])
    assert len(bench.heard.batches) == 1
    assert set(bench.loop.assignment.partitions) == {1}
    assert bench.partition(1).next_offset == 1
    assert (kind, [0]) in bench.heard.told


def test_a_client_that_is_stuck_is_looked_for(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """With each turn and while a rebalance waits: nobody else would notice."""
    monkeypatch.setattr(loops, "AWAIT_SLICE_S", 0.001)
    bench.reading(0).give(*visits(0, 1)).turn(times=3)
    assert bench.transactions.asked_for_stuck == 2
    bench.heard.in_rebalance = lambda: bench.clock.sleep(10.0)
    bench.loop.revoked([0])
    assert bench.transactions.asked_for_stuck == 2 + 5


def test_a_commit_under_way_is_waited_for_in_a_rebalance(bench: Bench) -> None:
    """It is Kafka that is waited for: that is progress, and told as such."""
    bench.reading(0, 1).give(*visits(0, 1), *visits(0, 1, partition=1)).turn()
    bench.heard.in_rebalance = bench.transactions.commit
    bench.loop.revoked([0])
    assert len(bench.heard.batches) == 1
    assert bench.partition(1).next_offset == 1


# --- the brokers lost what they had called committed ---


def test_what_is_undone_is_restored_and_read_again(bench: Bench) -> None:
    """All partitions: the state has what the brokers have not."""
    bench.reading(0, 1).give(*visits(0, 1)).turn()
    bench.commit().give(*visits(1, 2, partition=1)).turn()
    before = bench.partition(0)
    bench.transactions.abort(undone=True)
    bench.turn()
    assert before.dropped
    assert bench.restorer.requested[-2:] == [bench.partition(0), bench.partition(1)]
    bench.restorer.results.append(Restored(bench.partition(0), {}, 0, new=False))
    bench.clock.sleep(10)
    bench.give(*visits(0, 1)).turn(times=3)
    assert bench.sent[-1] == {0: 1}


@pytest.mark.parametrize("kind", ["revoked", "lost"])
def test_the_last_commit_is_verified_where_partitions_are_given_up(bench: Bench, kind: str) -> None:
    """Without any there may be no other transaction to find out that the brokers lost it."""
    bench.reading(0).give(*visits(0, 1)).turn()
    bench.commit()
    getattr(bench.loop, kind)([0])
    bench.turn(times=5)
    assert bench.transactions.verified == 1


def test_the_last_transaction_is_verified_after_a_silence(bench: Bench) -> None:
    """Once: a broker may have died and come back, and a next transaction that writes elsewhere would not tell."""
    bench.reading(0).give(*visits(0, 1)).turn()
    bench.commit()
    bench.turn(times=5)
    assert bench.transactions.verified == 0
    bench.clock.sleep(QUIET_S)
    bench.turn(times=5)
    assert (bench.transactions.verified, bench.transactions.verified_everywhere) == (1, True)


def test_after_a_silence_the_next_transaction_waits_for_the_look(bench: Bench) -> None:
    """It would take up what the last one left open."""
    bench.reading(0).give(*visits(0, 1)).turn()
    bench.commit()
    bench.clock.sleep(QUIET_S)
    bench.give(*visits(0, 2)).turn()
    assert (bench.transactions.verified, len(bench.transactions.submitted)) == (1, 1)
    bench.turn(times=2)
    assert (bench.transactions.verified, len(bench.transactions.submitted)) == (1, 2)


def test_what_verifying_undoes_is_restored(bench: Bench) -> None:
    """The partitions that stay have it in their state."""
    bench.reading(0, 1).give(*visits(0, 1)).turn()
    bench.commit()
    bench.transactions.verdict = Settlement(committed=False, undone=True)
    bench.loop.revoked([0])
    bench.turn(times=2)
    assert bench.restorer.requested[-1] is bench.partition(1)
    assert bench.partition(1).phase is Phase.RESTORING


def test_what_could_not_be_made_good_is_verified_before_anything_else(bench: Bench) -> None:
    """As often as it takes, under what this instance is in the group by then."""
    bench.reading(0, 1).give(*visits(0, 1)).turn()
    refused = Settlement(committed=False, error="ILLEGAL_GENERATION", postponed=True)
    bench.transactions.futures[-1].set_result(refused)
    bench.source.member = "generation 2"
    bench.transactions.verdict = Settlement(committed=True, postponed=True)
    for count in (1, 2):
        bench.turn()
        bench.clock.sleep(BACKOFF_MAX_S)
        bench.give(*visits(0, 1)).turn()
        assert (bench.transactions.verified, len(bench.transactions.submitted)) == (count, 1)
    tenures = {number: bench.partition(number).tenure for number in (0, 1)}
    assert bench.transactions.standing == Standing(cast(Membership, "generation 2"), tenures)
    bench.transactions.verdict = Settlement(committed=True)
    for _ in range(2):
        bench.turn()
        bench.clock.sleep(BACKOFF_MAX_S)
        bench.give(*visits(0, 1)).turn()
    assert len(bench.transactions.submitted) == 2


def test_what_could_not_be_made_good_is_verified_before_partitions_go(bench: Bench) -> None:
    """While they are ours it still can be."""
    bench.reading(0, 1).give(*visits(0, 1)).turn()
    bench.transactions.futures[-1].set_result(Settlement(committed=True, postponed=True))
    bench.loop.revoked([0])
    assert bench.transactions.verified == 1
    assert bench.transactions.standing is not None
    assert bench.transactions.standing.tenures.keys() == {0, 1}


def test_what_is_verified_under_leaves_out_what_was_lost_silently(bench: Bench) -> None:
    """The client knows of the loss before anybody tells the loop."""
    bench.reading(0, 1).give(*visits(0, 1)).turn()
    bench.commit()
    bench.source.lost_silently = {0}
    bench.clock.sleep(QUIET_S)
    bench.turn()
    assert bench.transactions.standing is not None
    assert bench.transactions.standing.tenures.keys() == {1}


@pytest.mark.parametrize("kind", ["assigned", "revoked", "lost"])
def test_what_was_gathered_is_read_again_after_a_rebalance(bench: Bench, kind: str) -> None:
    """Of the partitions that stay, too: the membership of its poll is over."""
    bench.reading(0, 1).give(*visits(0, 1)).turn()
    bench.give(*visits(0, 2, partition=1)).turn()
    bench.transactions.commit()
    getattr(bench.loop, kind)([2] if kind == "assigned" else [0])
    assert bench.source.rewinds == [{1: 0}]
    bench.source.member = "generation 2"
    bench.give(*visits(0, 2, partition=1)).turn(times=2)
    assert bench.sent[-1] == {1: 2}
    assert bench.transactions.submitted[-1].standing.membership == "generation 2"


def test_a_commit_that_outlives_the_rebalance_is_forgotten(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its end is unknown: what it touched and is still here is restored once more; nothing waits for ever."""
    monkeypatch.setattr(loops, "AWAIT_SLICE_S", 0.001)
    bench.reading(0, 1).give(*visits(0, 1), *visits(0, 1, partition=1)).turn()
    bench.heard.in_rebalance = lambda: bench.clock.sleep(10.0)
    bench.restorer.requested.clear()
    before = bench.partition(1)
    bench.loop.revoked([0])
    assert set(bench.loop.assignment.partitions) == {1}
    assert bench.partition(1) is not before
    assert bench.restorer.requested[-1] is bench.partition(1)
    assert bench.partition(1).phase is Phase.RESTORING


class Outlived:
    """A commit of two partitions was not waited for in a rebalance that took the first one away."""

    def __init__(self, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(loops, "AWAIT_SLICE_S", 0.001)
        bench.reading(0, 1).give(*visits(0, 1), *visits(0, 1, partition=1)).turn()
        bench.heard.in_rebalance = lambda: bench.clock.sleep(10.0)
        bench.loop.revoked([0])
        bench.give(ends={1: 27}).turn()

    def restored(self, bench: Bench, next_offset: int) -> None:
        bench.restorer.results.append(Restored(bench.partition(1), {}, next_offset, new=False))
        bench.turn()


@pytest.fixture
def outlived(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Outlived:
    return Outlived(bench, monkeypatch)


@pytest.mark.parametrize("committed", [True, False])
def test_a_commit_that_outlived_a_rebalance_changes_nothing_here(
    bench: Bench, outlived: Outlived, committed: bool
) -> None:
    """The restored state has it if it was committed; records on top of it, and an end that was told, count as usual."""
    outlived.restored(bench, next_offset=int(committed))
    bench.give(*visits(1, 1, partition=1)).turn()
    if committed:
        bench.transactions.commit()
    else:
        bench.transactions.abort()
    bench.turn(times=2)
    assert bench.sent[1:] == [{1: 2}]
    assert bench.source.rewinds == []
    assert unpack(bench.commit().partition(1).leads["l"]).page_visits == 1


def test_a_commit_that_lands_after_the_restore_is_restored(bench: Bench, outlived: Outlived) -> None:
    """The coordinator may have been away all the while: the restored state and what was read on top of it are wrong."""
    outlived.restored(bench, next_offset=0)
    bench.give(*visits(0, 1, partition=1)).turn()
    bench.restorer.requested.clear()
    bench.commit()
    assert bench.restorer.requested == [bench.partition(1)]
    assert bench.partition(1).phase is Phase.RESTORING
    assert not bench.loop._pending()


def test_a_commit_that_outlived_a_rebalance_is_counted(bench: Bench, outlived: Outlived) -> None:
    """Nobody else does: the restored partition goes on behind it."""
    outlived.restored(bench, next_offset=1)
    bench.commit()
    assert len(bench.heard.batches) == 1


def test_a_verification_that_outlives_a_rebalance_is_no_transaction(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It commits nothing: counted, it would tell of a transaction that there is not."""
    monkeypatch.setattr(loops, "AWAIT_SLICE_S", 0.001)
    verified: Future[Settlement] = Future()
    monkeypatch.setattr(bench.transactions, "verify", lambda *_, **__: verified)
    bench.reading(0, 1).give(*visits(0, 1)).turn()
    bench.commit().clock.sleep(QUIET_S)
    bench.turn()
    bench.heard.in_rebalance = lambda: bench.clock.sleep(10.0)
    bench.loop.revoked([0])
    told = len(bench.heard.batches)
    verified.set_result(Settlement(committed=True))
    assert len(bench.turn().heard.batches) == told


def test_a_rebalance_waits_no_longer_for_two_than_for_one(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """The group throws out who does not poll."""
    monkeypatch.setattr(loops, "AWAIT_SLICE_S", 0.001)
    monkeypatch.setattr(bench.transactions, "verify", lambda *_, **__: Future())
    bench.reading(0, 1).give(*visits(0, 1)).turn()
    began_s = bench.clock.monotonic()

    def wait_long() -> None:
        bench.clock.sleep(10.0)
        if not bench.transactions.futures[-1].done() and bench.clock.monotonic() - began_s > REVOKE_WAIT_S / 2:
            bench.transactions.futures[-1].set_result(Settlement(committed=True, postponed=True))

    bench.heard.in_rebalance = wait_long
    bench.loop.revoked([0])
    assert bench.clock.monotonic() - began_s < REVOKE_WAIT_S + 10.0


def test_a_commit_that_outlived_a_rebalance_ends_the_row_of_aborts(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One abort fewer than the limit, such a commit, and one more abort are not too many."""
    bench.reading(0, 1)
    for _ in range(MISSING.aborts - 1):
        bench.give(*visits(0, 1)).turn(times=3).abort(UNKNOWN_TOPIC)
    bench.clock.sleep(LONG_S)
    outlived = Outlived(bench, monkeypatch)
    outlived.restored(bench, next_offset=1)
    bench.commit().give(*visits(1, 1, partition=1)).turn(times=3).abort(UNKNOWN_TOPIC)


def test_an_end_of_a_partition_that_is_restored_again_is_not_believed(bench: Bench, outlived: Outlived) -> None:
    """Records before it were thrown away: committing it would skip them."""
    outlived.restored(bench, next_offset=0)
    bench.abort().turn()
    assert bench.sent[1:] == [{1: 0}]  # a sign of life


def test_partitions_that_were_lost_without_a_word(bench: Bench) -> None:
    """The client may not tell; what it holds is compared with each snapshot, and nothing of theirs is committed."""
    bench.reading(0, 1)
    bench.source.lost_silently = {0}
    bench.give(*visits(0, 1), *visits(0, 1, partition=1)).turn()
    assert set(bench.loop.assignment.partitions) == {1}
    assert ("lost", [0]) in bench.heard.told
    bench.give(*visits(0, 1, partition=1)).turn(times=2)
    assert bench.sent == [{1: 1}]


def test_leaving_the_group_waits_for_nothing(bench: Bench) -> None:
    """At the end nothing can or need be settled any more."""
    bench.reading(0).give(*visits(0, 1)).turn()
    bench.loop.ending = True
    bench.loop.revoked([0])
    assert set(bench.loop.assignment.partitions) == {0}


# --- the end ---


def test_finishing_commits_what_was_taken(bench: Bench) -> None:
    """What is in flight and what was gathered behind it; nothing more is polled."""
    bench.reading(0).give(*visits(0, 1)).turn()
    bench.give(*visits(1, 2)).turn()
    bench.source.asked.clear()
    bench.transactions.commit()
    submit = bench.transactions.submit

    def submitting(transaction: Transaction) -> Future[Settlement]:
        future = submit(transaction)
        bench.transactions.commit()
        return future

    bench.transactions.submit = submitting  # type: ignore[method-assign]
    assert bench.loop.finish(bench.clock.monotonic() + 7.5)
    assert (bench.sent, bench.partition().next_offset, bench.source.asked) == ([{0: 1}, {0: 3}], 3, [])


def test_finishing_with_nothing_to_do(bench: Bench) -> None:
    """At once."""
    assert bench.reading(0).loop.finish(0.0)
    assert bench.sent == []


def test_finishing_waits_for_what_is_in_flight(bench: Bench) -> None:
    """Up to its deadline, and as progress."""
    bench.reading(0).give(*visits(0, 1)).turn()
    Timer(0.01, bench.transactions.commit).start()
    assert bench.loop.finish(bench.clock.monotonic() + 7.5)
    assert bench.partition().next_offset == 1
    assert bench.heard.phases[-1] == "stop"


def test_finishing_gives_up_at_its_deadline(bench: Bench) -> None:
    """What does not settle in time stays uncommitted, and that is told."""
    bench.reading(0).give(*visits(0, 1)).turn()
    assert not bench.loop.finish(bench.clock.monotonic())
    assert bench.partition().next_offset == 0


def test_finishing_does_not_redo_what_was_aborted(bench: Bench) -> None:
    """Whoever is next reads it again."""
    bench.reading(0).give(*visits(0, 1)).turn()
    bench.transactions.abort()
    assert not bench.loop.finish(bench.clock.monotonic() + 7.5)
    assert len(bench.sent) == 1


def test_finishing_does_not_wait_for_a_registry(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Records that cannot be decoded yet are the next instance's."""
    monkeypatch.setattr(bench.inner.processor, "prepare", _out_of_reach)
    bench.reading(0).give(*visits(0, 1)).turn()
    assert not bench.loop.finish(bench.clock.monotonic() + 7.5)
    assert bench.sent == []


def postponed(bench: Bench) -> None:
    """A batch was committed, but of its transaction something is missing that could not be made good."""
    bench.reading(0).give(*visits(0, 1)).turn()
    bench.transactions.futures[-1].set_result(Settlement(committed=True, postponed=True))


def test_finishing_makes_good_what_was_postponed(bench: Bench) -> None:
    """Or nobody would: the next instance refuses a state that is ahead of its offset."""
    postponed(bench)
    assert bench.loop.finish(bench.clock.monotonic() + 7.5)
    assert (bench.transactions.verified, bench.partition().next_offset) == (1, 1)


def test_finishing_gives_up_what_cannot_be_made_good(bench: Bench) -> None:
    """At its deadline, with pauses until then."""
    postponed(bench)
    bench.transactions.verdict = Settlement(committed=True, postponed=True)
    deadline_s = bench.clock.monotonic() + 7.5
    assert not bench.loop.finish(deadline_s)
    assert bench.clock.monotonic() == pytest.approx(deadline_s)
    assert bench.transactions.verified < 1000


# --- what the lag is told ---


def test_the_oldest_unprocessed_record_is_known_until_it_is_committed(bench: Bench) -> None:
    """In flight, on top of it, and gathered; by partition."""
    bench.reading(0, 1).give(event_record(0, append_ms=START_MS + 5)).turn()
    assert bench.loop.oldest_unprocessed_ms() == {0: START_MS + 5}
    bench.give(*[event_record(n, append_ms=START_MS + 5 + n) for n in range(1, 1 + SLICE_RECORDS)]).turn()
    bench.give(event_record(0, partition=1, append_ms=START_MS + 9)).turn()
    assert bench.loop.oldest_unprocessed_ms() == {0: START_MS + 5, 1: START_MS + 9}
    bench.commit()
    assert bench.loop.oldest_unprocessed_ms() == {0: START_MS + 6, 1: START_MS + 9}
    bench.commit()
    assert bench.loop.oldest_unprocessed_ms() == {}


def test_the_oldest_record_may_lie_in_the_batch_on_top(bench: Bench) -> None:
    """Prepared and not yet committed."""
    bench.reading(0, 1).give(*visits(0, 1)).turn()
    bench.give(*visits(0, SLICE_RECORDS, partition=1)).turn()
    assert bench.loop.oldest_unprocessed_ms() == {0: START_MS, 1: START_MS}


def test_an_aborted_record_is_not_held_any_more(bench: Bench) -> None:
    """It is measured where it is read again."""
    bench.reading(0).give(*visits(0, 1)).turn().abort()
    assert bench.loop.oldest_unprocessed_ms() == {}


def _out_of_reach(*_: Any) -> None:
    raise RegistryUnavailableError("no answer")

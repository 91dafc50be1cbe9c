"""The transactional scoring loop: gather, prepare, transact, settle. All control flow and all its state are here.

While one batch is being committed the next one is gathered and, when much waits, prepared on top of it. So there are
at most two batches: the one in flight, whose transaction has not settled, and the open one above it. A commit makes
the one in flight part of the state; an abort drops both, and the input is read again from the committed offsets.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from concurrent.futures import Future, wait
from dataclasses import dataclass

import structlog

from consumer.aborts import Aborts
from consumer.assignment import Assignment, Partition, Phase
from consumer.batch import Batch
from consumer.dead_letters import Guard
from consumer.ports import (
    Input,
    Membership,
    Restored,
    Restorer,
    Settlement,
    Standing,
    Telemetry,
    Transaction,
    Transactions,
)
from consumer.processor import Processor
from consumer.purge import Purge
from consumer.records import Record
from runtime.clock import Clock
from runtime.errors import FatalError
from schemas.errors import RegistryUnavailableError
from scoring.batching import BatchController
from scoring.stream_gates import StreamGates

log = structlog.get_logger(__name__)

IDLE_POLL_S = 0.1
BUSY_POLL_S = 0.005
SLICE_RECORDS = 256
"""So many are prepared while a commit is under way; fewer wait for it, as one slice costs less than many."""
BATCH_BYTES_MAX = 32 * 1024 * 1024
SERVE_AFTER_S = 1.0
REVOKE_WAIT_S = 45.0
"""Below `max.poll.interval.ms`: a commit that takes longer is left to the broker, and its partitions are dropped."""
AWAIT_SLICE_S = 1.0
SILENT_S_MAX = 5.0
"""An instance without records commits an offset again so often, and so learns that another one has its id."""
RENEW_S = 15.0
"""An instance without partitions has nothing to commit: it takes its id anew so often, and so another one that has the
same id learns of it."""
QUIET_S = 1.0
"""After so long without a transaction the last one is verified: its markers have come by then, or were forgotten."""
TOO_LARGE = "MSG_SIZE_TOO_LARGE"
GAP_S = 2.0
"""Between two polls: after a longer one the client may have much."""
BACKOFF_S = 0.1
BACKOFF_MAX_S = 5.0


@dataclass(slots=True)
class _InFlight:
    batch: Batch
    future: Future[Settlement]
    began_s: float
    forgotten: bool = False
    """Set when its end was not waited for: its partitions are restored, and it is no part of the state either way."""


class Loop:
    """Implements `consumer.ports.RebalanceListener`. Not thread-safe: one thread calls `turn`.

    Args:
        source: The events topic.
        transactions: Commits batches.
        restorer: Brings the state of assigned partitions.
        processor: Prepares batches.
        telemetry: Shows what happens.
        clock: For durations and back-off.
        guard: The dead letter guard as it begins.
        gates: The stream gates as they begin.
        controller: Sizes batches.
        purge: Forgets expired leads.
        limits: What ends the service after so many aborts without a commit.
    """

    def __init__(
        self,
        *,
        source: Input,
        transactions: Transactions,
        restorer: Restorer,
        processor: Processor,
        telemetry: Telemetry,
        clock: Clock,
        guard: Guard,
        gates: StreamGates,
        controller: BatchController,
        purge: Purge,
        limits: Aborts,
    ) -> None:
        self.assignment = Assignment()
        self.assigned_once = False
        self.ending = False
        """Set when the group is left: nothing can or need be settled any more."""
        self._source, self._transactions, self._restorer = source, transactions, restorer
        self._processor, self._telemetry, self._clock = processor, telemetry, clock
        self._guard, self._gates, self._controller, self._limits = guard, gates, controller, limits
        self._purge = purge
        self._gathered: list[Record] = []
        self._gathered_bytes = 0
        self._membership: Membership | None = None
        self._ends: dict[int, int] = {}
        self._starting: list[Restored] = []
        self._polled_s = 0.0
        self._open: Batch | None = None
        self._in_flight: _InFlight | None = None
        self._renewal: Future[None] | None = None
        self._aborts = 0
        self._unsure = False
        """Whether the last transaction may have been lost with the partitions."""
        self._committed_s: float | None = None
        """When the last transaction settled, in monotonic seconds; None once it was verified."""
        self._postponed = 0
        """How often in a row what is missing of it could not be made good."""
        self._registry_tries = 0
        self._hold_until_s = 0.0
        self._submitted_s = clock.monotonic()
        self._hindered_s = self._gathered_s = self._submitted_s

    def turn(self) -> None:
        """One step; returns within a fraction of a second unless the client or the model does not.

        Raises:
            FatalError: The service must end; `exit_code` says how.
        """
        self._take_restored()
        self._telemetry.turned("poll")
        self._gather()
        if self._in_flight is not None:
            self._transactions.give_up_stuck()
            if self._in_flight.future.done():
                self._settle()
        if not self._holding():
            if self._in_flight is None or len(self._gathered) >= SLICE_RECORDS:
                self._telemetry.turned("process")
                self._prepare()
            if self._in_flight is None:
                self._transact()
            elif self._open is not None and self._room() <= 0:
                self._processor.changelog(self._open)  # while Kafka works, not between two transactions

    def rejoin(self, stalled: list[int]) -> None:
        """Begins anew with another client, as after a rebalance: the present one gives nothing of some partitions."""
        log.warning("fetch_stalled", partitions=stalled, next="joins the group again with a new client")
        self._telemetry.turned("rebalance")
        self._source.reopen()

    def finish(self, deadline_s: float) -> bool:
        """Commits what was prepared and takes nothing more.

        Args:
            deadline_s: Monotonic time in seconds by which it must be committed.

        Returns:
            False if something stays uncommitted: a transaction did not settle in time or was aborted, or the registry
            is away.
        """
        self._telemetry.turned("stop")
        while self._in_flight is not None or self._pending() or self._postponed:
            if self._in_flight is None:
                self._prepare()
                if not self._may_go_on(deadline_s):
                    return False
                self._transact()
            if self._in_flight is None:
                return not self._pending()
            wait([self._in_flight.future], max(0.0, deadline_s - self._clock.monotonic()))
            if not self._in_flight.future.done():
                return False
            self._settle()
            if self._aborts and not self._postponed:
                return False  # dropped: whoever is next reads it again
        return not self._aborts or not self.assignment.partitions  # else others do it again

    def _may_go_on(self, deadline_s: float) -> bool:
        """Waits for a renewal, and before what could not be made good is verified again; False if that is too late."""
        if self._postponed:
            self._clock.sleep(max(0.0, min(self._hold_until_s, deadline_s) - self._clock.monotonic()))
        if self._renewal is not None:
            wait([self._renewal], max(0.0, deadline_s - self._clock.monotonic()))
        return not self._postponed or self._clock.monotonic() < deadline_s

    def oldest_unprocessed_ms(self) -> dict[int, int]:
        """Append time of the oldest record of each partition that was polled and is not committed.

        May be called from any thread: records only move from the gathered to the open to the batch in flight, and
        are looked for in that order.
        """
        oldest: dict[int, int] = {}
        for records in self._uncommitted():
            for record in list(records):
                known = oldest.get(record.partition)
                if known is None or record.append_ms < known:
                    oldest[record.partition] = record.append_ms
        return oldest

    def hindered_s(self) -> float:
        """Monotonic time at which the client last may have had more than was taken, or was told to read again.

        May be called from any thread.
        """
        now_s = self._clock.monotonic()
        return now_s if now_s - self._gathered_s > GAP_S else self._hindered_s

    def read_to(self, partition: Partition) -> int:
        """The offset up to which the client gave what a partition has. May be called from any thread."""
        return max(partition.position, self._ends.get(partition.number, -1))

    def _uncommitted(self) -> Iterator[list[Record]]:
        yield self._gathered
        if (batch := self._open) is not None:
            yield batch.records
        if (in_flight := self._in_flight) is not None:
            yield in_flight.batch.records

    # --- the assignment changes; called from within a poll ---

    def assigned(self, numbers: list[int]) -> None:
        """Takes over partitions, which wait for their state."""
        log.info("partitions_assigned", partitions=numbers, next="restores their state" if numbers else "nothing")
        self._telemetry.rebalanced("assigned", numbers)
        if numbers:
            self._drop_uncommitted(numbers)
            self.assignment.add(numbers)
            self._restore(numbers)
        self.assigned_once = True

    def revoked(self, numbers: list[int]) -> None:
        """Gives partitions up after the transaction in flight has settled."""
        log.info("partitions_revoked", partitions=numbers, next="drops their state")
        self._telemetry.rebalanced("revoked", numbers)
        self._give_up(numbers)

    def lost(self, numbers: list[int]) -> None:
        """The partitions are somebody else's already; what is in flight for them the broker refuses."""
        log.warning("partitions_lost", partitions=numbers, next="drops their state and joins again")
        self._telemetry.rebalanced("lost", numbers)
        self._give_up(numbers)

    def _give_up(self, numbers: list[int]) -> None:
        if self.ending:
            return
        self._drop_uncommitted(numbers)
        self.assignment.remove(numbers)
        self._unsure = True

    def _drop_uncommitted(self, numbers: list[int]) -> None:
        """Settles what is in flight and drops what is not: the membership that it was gathered under is over."""
        deadline_s = self._clock.monotonic() + REVOKE_WAIT_S
        self._settle_in_rebalance(deadline_s)
        if self._postponed and self._in_flight is None:
            self._look_back()  # now: later the partitions are somebody else's
            self._settle_in_rebalance(deadline_s)
        self._discard()
        self._starting = [restored for restored in self._starting if restored.partition.number not in numbers]

    def _settle_in_rebalance(self, deadline_s: float) -> None:
        if self._in_flight is not None and not self._in_flight.forgotten:
            self._await(self._in_flight.future, deadline_s)
            if self._in_flight.future.done():
                self._settle()
            else:
                log.error("commit_outlives_rebalance", next="the state of all partitions is dropped and restored")
                self._forget_in_flight()

    def _await(self, future: Future[Settlement], deadline_s: float) -> None:
        """Waits for a transaction's end, which is progress: it is Kafka that is waited for."""
        while not future.done() and (left_s := deadline_s - self._clock.monotonic()) > 0:
            self._telemetry.turned("rebalance")
            self._transactions.give_up_stuck()
            wait([future], min(left_s, AWAIT_SLICE_S))

    def _forget_in_flight(self) -> None:
        """The transaction's end is unknown: whatever it touched is restored once more."""
        assert self._in_flight is not None
        self._in_flight.forgotten = True
        self._restore_again([n for n in self._in_flight.batch.next_offsets if n in self.assignment.partitions])

    def _restore_behind(self, batch: Batch) -> None:
        """Restores once more what was restored without a batch, which has landed since."""
        owned = [p for p in self.assignment.snapshot() if p.number in batch.next_offsets]
        behind = [p.number for p in owned if p.next_offset < batch.next_offsets[p.number]]
        if behind:
            self._discard()
            self._restore_again(behind)

    def _restore_again(self, numbers: list[int]) -> None:
        self._starting = [restored for restored in self._starting if restored.partition.number not in numbers]
        self.assignment.renew(numbers)
        self._restore(numbers)

    def _restore(self, numbers: list[int]) -> None:
        """Asks for the state of partitions that have none."""
        self._restorer.request([self.assignment.partitions[number] for number in numbers])

    # --- one turn ---

    def _take_restored(self) -> None:
        for result in self._restorer.finished():
            if isinstance(result, FatalError):
                raise result
            if not result.partition.dropped:
                self._activate(result)

    def _activate(self, restored: Restored) -> None:
        partition = restored.partition
        log.debug("partition_restored", partition=partition.number, leads=len(restored.leads), new=restored.new)
        partition.leads, partition.next_offset = restored.leads, restored.next_offset
        if restored.new:
            self._starting.append(restored)
        else:
            self._start(partition)

    def _start(self, partition: Partition) -> None:
        partition.activate(partition.next_offset, partition.leads)
        self._source.start(partition.number, partition.next_offset)

    def _gather(self) -> None:
        """Takes what waits, for as long as there is nothing better to do."""
        room = self._room()
        if self._in_flight is not None and (self._pending() or room <= 0):
            wait([self._in_flight.future], BUSY_POLL_S)
        if room <= 0 and not self._must_serve():
            self._hindered_s = self._clock.monotonic()
            return
        self._hindered_s = self.hindered_s()
        self._gathered_s = began_s = self._clock.monotonic()
        polled = self._source.poll(self._poll_s(room), room)
        if len(polled.records) >= room:
            self._hindered_s = self._clock.monotonic()
        if not polled.records and not polled.ends:
            return
        if not self._pending():
            if not self._take_membership():
                self._source.rewind({p.number: p.next_offset for p in self.assignment.active()})
                return
            self._polled_s = self._clock.monotonic()
        self._telemetry.stage("poll", self._clock.monotonic() - began_s)
        self._admit(polled.records)
        self._ends.update((number, end) for number, end in polled.ends.items() if self._is_active(number))

    def _take_membership(self) -> bool:
        """Takes a snapshot to commit under; False if partitions turn out to be lost, which nobody may have told.

        The snapshot comes first: of a loss before it the client's assignment knows, of one after it the broker.
        """
        self._membership = self._source.membership()
        owned = self._source.owned()
        gone = [number for number in self.assignment.partitions if number not in owned]
        if gone:
            self.lost(gone)
        return not gone

    def _poll_s(self, room: int) -> float:
        if self._holding() or room <= 0:
            return BUSY_POLL_S
        if self._pending() or (self._starting and self._in_flight is None):
            return 0.0
        return IDLE_POLL_S if self._in_flight is None else BUSY_POLL_S

    def _room(self) -> int:
        if self._gathered_bytes >= BATCH_BYTES_MAX or (self._open is not None and self._open.limit is not None):
            return 0
        return self._controller.limit() - len(self._gathered) - (len(self._open.records) if self._open else 0)

    def _must_serve(self) -> bool:
        """With a full batch that waits for long the group still wants to be polled."""
        if self._in_flight is None:
            return self._holding() or self._renewal is not None
        return self._clock.monotonic() - self._in_flight.began_s > SERVE_AFTER_S

    def _is_active(self, number: int) -> bool:
        partition = self.assignment.partitions.get(number)
        return partition is not None and partition.phase is Phase.ACTIVE

    def _admit(self, records: list[Record]) -> None:
        partitions = self.assignment.partitions
        size_bytes = 0
        for record in records:
            number, offset, _, key, value, _ = record
            partition = partitions.get(number)
            if partition is None or partition.phase is not Phase.ACTIVE or offset < partition.position:
                continue  # of an earlier assignment, or from before a rewind
            partition.position = offset + 1
            self._gathered.append(record)
            size_bytes += len(key or b"") + len(value or b"")
        self._gathered_bytes += size_bytes

    def _prepare(self) -> None:
        if not self._gathered or (self._open is not None and self._open.limit is not None):
            return
        if self._open is None:
            self._open = self._new_batch()
            self._open.polled_s = self._polled_s
            self._open.oldest_ms = self._clock.now_ms() - min(record.append_ms for record in self._gathered)
        try:
            self._processor.prepare(self._gathered, self._open)
        except RegistryUnavailableError as error:
            self._wait_for_registry(error)
            return
        self._registry_tries = 0
        self._gathered, self._gathered_bytes = [], 0  # past a limit what is left stays unread

    def _wait_for_registry(self, error: RegistryUnavailableError) -> None:
        """Tells of the first failure, and then ever more rarely."""
        self._registry_tries += 1
        self._telemetry.failed("registry")
        self._hold(self._registry_tries)
        if self._registry_tries.bit_count() == 1:
            next_step = "the loop waits and tries again; lag grows"
            log.warning("registry_unavailable", error=str(error), tries=self._registry_tries, next=next_step)

    def _new_batch(self) -> Batch:
        if self._in_flight is None or self._in_flight.forgotten:
            return Batch(self.assignment, self._guard, self._gates)
        parent = self._in_flight.batch
        return Batch(self.assignment, parent.guard, parent.gates, parent)

    def _pending(self) -> bool:
        return bool(self._gathered or self._open is not None)

    def _transact(self) -> None:
        if self._renewing() or self._look_back():
            return
        if self._starting:  # first, or new partitions would wait until the others' backlog is drained
            if self._take_membership():
                self._submit(self._start_offsets())
            return
        batch = self._open or self._offsets_only()
        if batch is None:
            self._renew_id()
            return
        if self._open is not None and not self._gathered and batch.limit is None:
            self._advance_past_ends(batch)  # past a limit records were dropped: their end is not ours
        if batch.empty:
            self._open = None
            if batch.limit is not None:
                raise batch.limit
            return
        if self._membership is None and not self._take_membership():
            return
        self._purge.add_to(batch, self._clock.monotonic())
        if self._submit(batch):
            self._open = None

    def _submit(self, batch: Batch) -> bool:
        """Begins the transaction of a batch, under the membership that it was gathered under."""
        if self._membership is None:  # not a member (any more): the broker could not tell us from a zombie
            self._discard()
            self._hold(1)
            return False
        self._telemetry.turned("commit")
        outputs = batch.outputs + self._processor.changelog(batch)
        standing = Standing(self._membership, self.assignment.tenures())
        future = self._transactions.submit(Transaction(outputs, batch.next_offsets, standing))
        self._submitted_s = self._clock.monotonic()
        self._in_flight = _InFlight(batch, future, self._submitted_s)
        return True

    def _look_back(self) -> bool:
        """Begins to verify the last transaction where a next one may not find out that the brokers lost it.

        Without partitions there may be none; and in a silence a broker may die and come back, and the next one, which
        writes elsewhere, does not notice.
        """
        now_s = self._clock.monotonic()
        quiet = self._committed_s is not None and now_s - self._committed_s >= QUIET_S
        if not quiet and not self._unsure:
            return False
        if quiet:
            self._committed_s = None
        self._unsure = False
        future = self._transactions.verify(self._standing(), everywhere=quiet)
        self._in_flight = _InFlight(self._new_batch(), future, now_s)
        return True

    def _standing(self) -> Standing | None:
        membership = self._source.membership()  # first: of a loss after it the broker knows
        if membership is None:
            return None
        owned = self._source.owned()
        return Standing(membership, {n: tenure for n, tenure in self.assignment.tenures().items() if n in owned})

    def _offsets_only(self) -> Batch | None:
        """The ends of caught-up partitions: they lie behind control records."""
        if self._ends and not self._gathered:
            batch = self._new_batch()
            self._advance_past_ends(batch)
            return None if batch.empty else batch
        return self._sign_of_life()

    def _sign_of_life(self) -> Batch | None:
        """After a long silence the committed offset of one partition, once more.

        Only a transaction tells a producer that it was fenced: of two idle instances with one id both would stay.
        """
        active = self.assignment.active()
        if self._gathered or not active or self._clock.monotonic() - self._submitted_s < SILENT_S_MAX:
            return None
        batch = self._new_batch()
        batch.next_offsets[active[0].number] = active[0].next_offset
        self._membership = None  # that of the batch before may be an old one
        return batch

    def _renew_id(self) -> None:
        """Fences another instance with this id until that ends: one without partitions would never hear of it."""
        now_s = self._clock.monotonic()
        if self.assignment.active() or now_s - self._submitted_s < RENEW_S or self._source.membership() is None:
            return
        self._submitted_s = now_s
        self._renewal = self._transactions.renew()

    def _renewing(self) -> bool:
        """Whether the id is just taken anew: then no transaction can begin."""
        if self._renewal is None:
            return False
        if self._pending() or self._starting:
            wait([self._renewal], BUSY_POLL_S)
        if self._renewal.done():
            renewal, self._renewal = self._renewal, None
            renewal.result()  # or what ends the service
        return self._renewal is not None

    def _start_offsets(self) -> Batch:
        """What must be committed before a new partition is read; a rebuilt one has a transaction of its own."""
        batch = self._new_batch()
        for restored in self._starting:
            if restored.rewrite and not batch.empty:
                break
            batch.next_offsets[restored.partition.number] = restored.next_offset
            if restored.rewrite:
                batch.profiles[restored.partition.number] = dict(restored.rewrite)
                break
        return batch

    def _advance_past_ends(self, batch: Batch) -> None:
        for number, end in self._ends.items():
            partition = self.assignment.partitions.get(number)
            if partition is None or partition.phase is not Phase.ACTIVE:
                continue
            if end > max(partition.next_offset, batch.next_offsets.get(number, -1)) and end >= partition.position:
                batch.next_offsets[number] = partition.position = end
        self._ends.clear()

    def _settle(self) -> None:
        assert self._in_flight is not None
        in_flight, self._in_flight = self._in_flight, None
        settlement = in_flight.future.result()
        now_s = self._clock.monotonic()
        if not settlement.committed:
            self._telemetry.aborted(settlement.error)
        self._postponed = self._postponed + 1 if settlement.postponed else 0
        if settlement.postponed:
            self._unsure = True
            self._hold(self._postponed)
        if settlement.undone:
            self._discard()
            self._restore_again(list(self.assignment.partitions))
        if in_flight.forgotten:
            if settlement.committed and not in_flight.batch.empty:
                self._note_committed(in_flight.batch)
                self._restore_behind(in_flight.batch)
            return
        if not settlement.committed:
            self._controller.aborted(len(in_flight.batch.records))
            self._rewind(settlement.error)
            return
        if self._open is not None:
            self._open.parent = None
        if not in_flight.batch.empty:
            self._apply(in_flight, now_s)

    def _apply(self, in_flight: _InFlight, now_s: float) -> None:
        """What is committed becomes part of the state."""
        batch, self._committed_s = in_flight.batch, now_s
        batch.apply_to_state()
        self._guard, self._gates = batch.guard, batch.gates
        self._telemetry.stage("commit", now_s - in_flight.began_s)
        self._note_committed(batch)
        if batch.records:
            self._controller.observe(len(batch.records), 1000.0 * (now_s - batch.polled_s), batch.oldest_ms)
        self._start_new(batch)
        if batch.limit is not None:
            raise batch.limit

    def _note_committed(self, batch: Batch) -> None:
        """Counts it, and ends a row of aborts."""
        if self._aborts:
            self._aborts = 0
            self._limits.committed()
            self._processor.forward_whole(certain=False)
        self._telemetry.committed(batch)

    def _start_new(self, batch: Batch) -> None:
        """Partitions whose start offset is committed now are read."""
        for restored in [r for r in self._starting if r.partition.number in batch.next_offsets]:
            self._starting.remove(restored)
            self._start(restored.partition)

    def _rewind(self, error: str | None) -> None:
        """Nothing of the aborted transaction happened: read its input again."""
        self._aborts += 1
        self._discard()
        if error == TOO_LARGE:
            self._processor.forward_whole(certain=True)
        fatal = self._limits.aborted(error)
        if fatal is not None:
            raise fatal
        self._hold(self._aborts)
        log.warning("transaction_aborted", error=error, in_a_row=self._aborts, next="reads the batch again")

    def _discard(self) -> None:
        """Drops everything that is not committed and reads the active partitions from their committed offsets."""
        self._hindered_s = self._clock.monotonic()
        self._open, self._gathered, self._gathered_bytes, self._membership = None, [], 0, None
        # An end is told once: to be told again, the partition must be read again even if no record was taken.
        active = self.assignment.active()
        behind = {p.number: p.next_offset for p in active if p.position != p.next_offset or p.number in self._ends}
        self._ends.clear()
        for partition in self.assignment.active():
            partition.position = partition.next_offset
        if behind:
            self._source.rewind(behind)

    def _hold(self, attempt: int) -> None:
        """Waits before the next try, polling on: exponential with full jitter."""
        ceiling_s = min(BACKOFF_MAX_S, BACKOFF_S * 2 ** min(attempt, 10))
        self._hold_until_s = self._clock.monotonic() + random.uniform(0, ceiling_s)  # noqa: S311 - jitter

    def _holding(self) -> bool:
        return self._clock.monotonic() < self._hold_until_s

"""Bugs to be planted: each is one that somebody could write, and that the seeds must find.

A mutant is a function that changes the service through a `MonkeyPatch`; its docstring says what went wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any, NamedTuple, cast

import pytest

from consumer import endings
from consumer.aftermath import Aftermath, Verdict
from consumer.assignment import Assignment, Leads, Phase
from consumer.attempt import Attempt, End
from consumer.batch import Batch
from consumer.changelog import ChangelogReader
from consumer.endings import Ending, Endings
from consumer.fencing import Fencing
from consumer.hanging import HangingTransactions
from consumer.input import KafkaInput
from consumer.loop import Loop
from consumer.offsets import GroupOffsets
from consumer.ports import Restored, Settlement, Transaction
from consumer.processor import Processor
from consumer.rebuild import Rebuilder, Rebuilt
from consumer.records import Output, Record
from consumer.restore import BackgroundRestorer
from consumer.sightings import Sight, Sightings
from consumer.start import Start
from consumer.transactions import Transactor
from scoring.profile import Profile, pack, unpack

Patch = pytest.MonkeyPatch
Plant = Callable[[Patch], None]


class Mutant(NamedTuple):
    """A bug to plant, and what a seed needs to have a chance of meeting it."""

    plant: Plant
    kinds: tuple[str, ...]


MUTANTS: dict[str, Mutant] = {}


def mutant(*kinds: str) -> Callable[[Plant], Plant]:
    """Makes it one of those that are tested, on seeds with these kinds of circumstances."""

    def add(plant: Plant) -> Plant:
        MUTANTS[plant.__name__] = Mutant(plant, kinds)
        return plant

    return add


def _around(patch: Patch, owner: type, name: str, call: Callable[..., Any]) -> None:
    """Replaces a method by `call(original, self, ...)`."""
    original = getattr(owner, name)
    patch.setattr(owner, name, lambda self, *args, **keywords: call(original, self, *args, **keywords))


# --- offsets ---


@mutant()
def offset_one_short(patch: Patch) -> None:
    """The offset of the last record is committed, not that of the next."""

    def prepare(original: Any, self: Processor, records: list[Record], batch: Batch) -> None:
        original(self, records, batch)
        for number in {record.partition for record in batch.records}:
            batch.next_offsets[number] = max(r.offset for r in batch.records if r.partition == number)

    _around(patch, Processor, "prepare", prepare)


@mutant()
def offset_one_far(patch: Patch) -> None:
    """The offset after the next is committed."""

    def prepare(original: Any, self: Processor, records: list[Record], batch: Batch) -> None:
        original(self, records, batch)
        for number in {record.partition for record in batch.records}:
            batch.next_offsets[number] = 2 + max(r.offset for r in batch.records if r.partition == number)

    _around(patch, Processor, "prepare", prepare)


@mutant()
def end_past_gathered_records(patch: Patch) -> None:
    """The end of a partition is committed although records before it are gathered and not part of the batch."""

    def advance(_: Any, self: Loop, batch: Batch) -> None:
        for number, end in self._ends.items():
            partition = self.assignment.partitions.get(number)
            if partition is not None and partition.phase is Phase.ACTIVE and end > partition.next_offset:
                batch.next_offsets[number] = partition.position = end
        self._ends.clear()

    def room(original: Any, self: Loop) -> int:
        return max(int(original(self)), 1)

    def transact(original: Any, self: Loop) -> None:
        if self._open is not None:
            self._advance_past_ends(self._open)
        original(self)

    def prepare(original: Any, self: Loop) -> None:
        kept = self._gathered[1:]
        self._gathered = self._gathered[:1]
        original(self)
        self._gathered = kept

    _around(patch, Loop, "_advance_past_ends", advance)
    _around(patch, Loop, "_room", room)
    _around(patch, Loop, "_transact", transact)
    _around(patch, Loop, "_prepare", prepare)


@mutant("flood")
def end_past_the_limit(patch: Patch) -> None:
    """The end of a partition is committed over the record at which the dead letter guard stopped."""

    def transact(original: Any, self: Loop) -> None:
        if self._open is not None and self._open.limit is not None:
            self._advance_past_ends(self._open)
        original(self)

    _around(patch, Loop, "_transact", transact)


@mutant("shuffle")
def end_forgotten(patch: Patch) -> None:
    """What is dropped at a rebalance includes ends that will not be told again."""

    def discard(original: Any, self: Loop) -> None:
        self._ends.clear()
        original(self)

    _around(patch, Loop, "_discard", discard)


@mutant()
def ends_ignored(patch: Patch) -> None:
    """A caught-up partition's committed offset stays before the control records at its end."""
    patch.setattr(Loop, "_advance_past_ends", lambda self, _: self._ends.clear())


@mutant()
def start_offset_not_committed(patch: Patch) -> None:
    """A new partition is read before the group has committed where it starts."""

    def activate(original: Any, self: Loop, restored: Restored) -> None:
        original(self, restored._replace(new=False))

    _around(patch, Loop, "_activate", activate)


# --- undoing ---


@mutant()
def state_written_before_the_commit(patch: Patch) -> None:
    """Profiles go into the state while the transaction is open, and an abort leaves them there."""

    def put(original: Any, self: Batch, partition: int, lead_id: str, profile: Profile | None) -> None:
        original(self, partition, lead_id, profile)
        if profile is not None:
            self.assignment.partitions[partition].leads[lead_id] = pack(profile)

    _around(patch, Batch, "put", put)


@mutant()
def rewind_forgotten(patch: Patch) -> None:
    """After an abort the consumer reads on from where it was: an abort does not move it."""

    def rewind(original: Any, self: Loop, error: str | None) -> None:
        with pytest.MonkeyPatch.context() as inner:
            inner.setattr(self._source, "rewind", lambda _: None)
            original(self, error)

    _around(patch, Loop, "_rewind", rewind)


@mutant()
def open_batch_survives_an_abort(patch: Patch) -> None:
    """The batch that was prepared on top of the aborted one is committed all the same."""

    def rewind(original: Any, self: Loop, error: str | None) -> None:
        batch, membership = self._open, self._membership
        original(self, error)
        if batch is not None:
            batch.parent, self._open, self._membership = None, batch, membership

    _around(patch, Loop, "_rewind", rewind)


@mutant()
def gathered_survives_an_abort(patch: Patch) -> None:
    """Records that were gathered before the abort are processed before those that are read again."""

    def rewind(original: Any, self: Loop, error: str | None) -> None:
        gathered, membership = self._gathered, self._membership
        original(self, error)
        self._gathered, self._membership = gathered, membership

    _around(patch, Loop, "_rewind", rewind)


@mutant()
def records_from_before_a_rewind_taken(patch: Patch) -> None:
    """What was fetched before a seek took place is taken for what comes after it."""

    def sort(original: Any, self: KafkaInput, messages: list[Any]) -> Any:
        waiting, self._seeks = self._seeks, {}
        try:
            return original(self, messages)
        finally:
            self._seeks = waiting

    def admit(_: Any, self: Loop, records: list[Record]) -> None:
        for record in records:
            partition = self.assignment.partitions.get(record.partition)
            if partition is not None and partition.phase is Phase.ACTIVE:
                partition.position = record.offset + 1
                self._gathered.append(record)

    _around(patch, KafkaInput, "_sort", sort)
    _around(patch, Loop, "_admit", admit)


# --- the state of one batch and the next ---


@mutant()
def own_batch_not_seen(patch: Patch) -> None:
    """A lead's second event in a batch finds the profile as it was before the first, the duplicate check too."""

    def profile(_: Any, self: Batch, partition: int, lead_id: str) -> Profile | None:
        packed = self.assignment.partitions[partition].leads.get(lead_id)
        return None if packed is None else unpack(packed)

    _around(patch, Batch, "profile", profile)


@mutant()
def batch_in_flight_not_seen(patch: Patch) -> None:
    """The batch that is prepared during a commit starts from the state before it."""

    def new_batch(_: Any, self: Loop) -> Batch:
        return Batch(self.assignment, self._guard, self._gates)

    _around(patch, Loop, "_new_batch", new_batch)


# --- ownership ---


@mutant()
def state_kept_after_loss(patch: Patch) -> None:
    """A partition that comes back is taken up with the state that this instance had when it lost it."""
    kept: dict[tuple[int, int], tuple[Assignment, Leads]] = {}

    def remove(original: Any, self: Assignment, numbers: list[int]) -> None:
        for number in numbers:
            partition = self.partitions.get(number)
            if partition is not None and partition.phase is Phase.ACTIVE:
                kept[id(self), number] = self, partition.leads
        original(self, numbers)

    def activate(original: Any, self: Loop, restored: Restored) -> None:
        _, leads = kept.get((id(self.assignment), restored.partition.number), (None, restored.leads))
        original(self, restored._replace(leads=leads))

    _around(patch, Assignment, "remove", remove)
    _around(patch, Loop, "_activate", activate)


@mutant("deaf", "expel")
def deaf_client_kept(patch: Patch) -> None:
    """One that hears of no assignment any more is waited for."""
    patch.setattr(KafkaInput, "_replace_if_homeless", lambda _: None)


@mutant("silent_loss", "expel")
def membership_taken_at_the_commit(patch: Patch) -> None:
    """Records are committed under the membership of the commit, not of the poll."""

    def transact(original: Any, self: Loop) -> None:
        self._membership = self._source.membership()
        original(self)

    _around(patch, Loop, "_transact", transact)


@mutant("silent_loss", "expel")
def silent_loss_not_noticed(patch: Patch) -> None:
    """Nobody compares what is committed with what the client holds."""
    patch.setattr(KafkaInput, "owned", lambda _: set(range(1000)))


@mutant()
def pause_outlives_the_assignment(patch: Patch) -> None:
    """A partition that was paused when it was taken away stays so when it comes back: nothing is heard of it."""
    from tests.simulation.member import MemberConsumer

    def resume(original: Any, self: MemberConsumer, partitions: list[Any]) -> None:
        fetches = self._fetches
        original(self, [p for p in partitions if p.partition in fetches and fetches[p.partition].placed])

    _around(patch, MemberConsumer, "resume", resume)


@mutant()
def commit_without_membership(patch: Patch) -> None:
    """Offsets are sent without a member id: the broker cannot tell a zombie."""

    def submit(original: Any, self: Transactor, transaction: Transaction) -> Future[Settlement]:
        standing = transaction.standing
        nobody: Any = type(standing.membership)("", -1)  # type: ignore[call-arg]
        changed = transaction._replace(standing=standing._replace(membership=nobody))
        future: Future[Settlement] = original(self, changed)
        return future

    _around(patch, Transactor, "submit", submit)


@mutant()
def revocation_does_not_wait(patch: Patch) -> None:
    """A partition is given up while its transaction is in flight, and the state is kept as if that had been aborted."""

    def drop(original: Any, self: Loop, numbers: list[int]) -> None:
        self._in_flight = None
        original(self, numbers)

    _around(patch, Loop, "_drop_uncommitted", drop)


# --- restore ---


@mutant("expel_at")
def restored_to_the_last_stable_offset(patch: Patch) -> None:
    """The changelog is read to its last stable offset: a transaction whose marker is late is missing."""

    def end(original: Any, self: ChangelogReader, number: int, _: Any) -> int:
        from confluent_kafka import IsolationLevel

        return int(original(self, number, IsolationLevel.READ_COMMITTED))

    _around(patch, ChangelogReader, "_end", end)


@mutant("expel_at")
def restore_does_not_wait_for_markers(patch: Patch) -> None:
    """The changelog is read while transactions below the high watermark are open, to the end that it has then."""

    def apply(original: Any, self: ChangelogReader, messages: list[Any], *args: Any) -> bool:
        return bool(original(self, messages, *args)) or any(message.error() is not None for message in messages)

    _around(patch, ChangelogReader, "_apply", apply)

    def end(original: Any, self: ChangelogReader, number: int, _: Any) -> int:
        from confluent_kafka import IsolationLevel

        return int(original(self, number, IsolationLevel.READ_UNCOMMITTED))

    _around(patch, ChangelogReader, "_end", end)


@mutant("freeze_at")
def offset_fetched_after_the_changelog(patch: Patch) -> None:
    """The changelog is read first and the committed offset fetched then: a commit in between is in one of them only."""

    def attempt(original: Any, self: BackgroundRestorer, partition: Any, unwanted: Any) -> Any:
        changelog = self._changelog.read(partition.number, unwanted)
        with pytest.MonkeyPatch.context() as inner:
            inner.setattr(self._changelog, "read", lambda *_: changelog)
            return original(self, partition, unwanted)

    _around(patch, BackgroundRestorer, "_attempt", attempt)


@mutant()
def pending_offsets_not_awaited(patch: Patch) -> None:
    """The committed offset is fetched while a transaction that has a newer one is open."""

    def fetch(original: Any, self: GroupOffsets, _: Any, numbers: list[int]) -> Any:
        return original(self, self._hasty, numbers)

    _around(patch, GroupOffsets, "_fetch", fetch)


@mutant("retention")
def purge_by_another_partitions_time(patch: Patch) -> None:
    """A lead of a partition that lags behind is forgotten before its next event, which came in time."""

    def apply(original: Any, self: Batch) -> None:
        original(self)
        latest_ms = max(partition.log_time_ms for partition in self.assignment.snapshot())
        for partition in self.assignment.snapshot():
            partition.log_time_ms = latest_ms

    _around(patch, Batch, "apply_to_state", apply)


@mutant("retention")
def expiry_forgotten(patch: Patch) -> None:
    """A lead that has been away for longer than the retention goes on where it was."""
    patch.setattr("scoring.fold.expired", lambda *_: False)


@mutant("retention")
def tombstones_not_written(patch: Patch) -> None:
    """Leads are forgotten in memory and stay in the changelog."""

    def changelog(original: Any, self: Processor, batch: Batch) -> list[Output]:
        return [output for output in original(self, batch) if output.value is not None]

    _around(patch, Processor, "changelog", changelog)


@mutant("state_loss")
def damaged_state_used(patch: Patch) -> None:
    """Nobody compares the state with the input."""
    patch.setattr("consumer.restore.disagreement", lambda *_: None)


@mutant("state_loss")
def rebuilt_from_the_first_record(patch: Patch) -> None:
    """After a rebuild all that the topic still holds is scored once more."""

    def rebuild(original: Any, self: Rebuilder, start: Start, *args: Any) -> Rebuilt | None:
        rebuilt: Rebuilt | None = original(self, start, *args)
        return None if rebuilt is None else rebuilt._replace(next_offset=start.low)

    _around(patch, Rebuilder, "rebuild", rebuild)


@mutant("state_loss")
def offset_of_a_tool_trusted(patch: Patch) -> None:
    """A rebuild goes on where the group's offset was moved to, whatever has an outcome."""

    def rebuild(original: Any, self: Rebuilder, start: Start, *args: Any) -> Rebuilt | None:
        rebuilt: Rebuilt | None = original(self, start, *args)
        if rebuilt is None or start.committed is None:
            return rebuilt
        return rebuilt._replace(next_offset=start.committed)

    _around(patch, Rebuilder, "rebuild", rebuild)


@mutant("state_loss")
def rebuilt_without_tombstones(patch: Patch) -> None:
    """A rebuild leaves what cannot be read in the changelog."""

    def start(original: Any, self: Loop, *args: Any) -> Batch:
        batch: Batch = original(self, *args)
        for profiles in batch.profiles.values():
            for lead_id in [lead_id for lead_id, profile in profiles.items() if profile is None]:
                del profiles[lead_id]
        return batch

    _around(patch, Loop, "_start_offsets", start)


# --- the changelog ---


@mutant()
def changelog_before_the_batch_is_whole(patch: Patch) -> None:
    """The changelog that was worked out ahead is kept though the batch has grown since."""

    def absorb(original: Any, self: Batch, child: Batch) -> None:
        early = self.changelog
        original(self, child)
        self.changelog = early

    def prepare(original: Any, self: Processor, records: list[Record], batch: Batch) -> None:
        for at in range(0, len(records), 2):
            original(self, records[at : at + 2], batch)
            self.changelog(batch)

    _around(patch, Batch, "absorb", absorb)
    _around(patch, Processor, "prepare", prepare)


# --- the ends of transactions ---


@mutant("unknown_end")
def unknown_end_taken_for_an_abort(patch: Patch) -> None:
    """A commit whose answer was lost is taken for aborted."""
    patch.setattr(Endings, "of", lambda *_, **__: Ending(committed=False, hanging=[]))


@mutant("unknown_end")
def unknown_end_taken_for_a_commit(patch: Patch) -> None:
    """A commit whose answer was lost is taken for committed."""
    patch.setattr(Endings, "of", lambda *_, **__: Ending(committed=True, hanging=[]))


@mutant("skipped_markers")
def hanging_transactions_left_alone(patch: Patch) -> None:
    """Nobody looks for partitions that were not told of an abort: the next commit shows what was aborted."""
    patch.setattr(HangingTransactions, "find", lambda *_: [])


@mutant("skipped_markers")
def hanging_transactions_not_aborted(patch: Patch) -> None:
    """They are found and left as they are."""
    patch.setattr(Aftermath, "_abort", lambda *_: True)


@mutant("skipped_markers", "unknown_end")
def pending_offsets_taken_for_committed(patch: Patch) -> None:
    """Offsets that stay pending count as committed, though nobody has seen anything of their transaction."""
    patch.setattr(Sightings, "look", lambda *_: Sight({("", 0)}, set()))


@mutant("skipped_markers")
def told_to_be_committed_and_believed(patch: Patch) -> None:
    """What the client once called committed is never looked at again."""
    patch.setattr(Aftermath, "verify", lambda *_, **__: Verdict())


@mutant("skipped_markers")
def what_is_missing_stays_so(patch: Patch) -> None:
    """Of a transaction that is there in part the rest is not written again."""
    patch.setattr(Aftermath, "_run", lambda *_: End(committed=True, prompt=True))


@mutant("skipped_markers")
def state_kept_after_it_was_undone(patch: Patch) -> None:
    """The state still has what was undone."""

    def settlement(original: Any, self: Transactor, *args: Any) -> Settlement:
        return cast(Settlement, original(self, *args))._replace(undone=False)

    _around(patch, Transactor, "_settlement", settlement)


@mutant("twin")
def twins_without_partitions_stay(patch: Patch) -> None:
    """An instance without partitions never takes its id anew."""
    patch.setattr(Loop, "_renew_id", lambda _: None)


@mutant("skipped_markers")
def nobody_looks_without_partitions(patch: Patch) -> None:
    """The last transaction is verified by the next one alone, and after partitions were given up there is none."""

    def verify(*_: object, **__: object) -> Future[Settlement]:
        future: Future[Settlement] = Future()
        future.set_result(Settlement(committed=True))
        return future

    patch.setattr(Transactor, "verify", verify)


@mutant("skipped_markers")
def nobody_looks_after_a_silence(patch: Patch) -> None:
    """The next transaction is prompt and writes elsewhere: that is taken for a proof that all before it are well."""
    patch.setattr("consumer.loop.QUIET_S", 1e9)


@mutant("skipped_markers")
def a_wait_before_the_end_is_no_sign(patch: Patch) -> None:
    """A transaction that waited for a broker to come back, and then ended promptly, counts as prompt."""
    patch.setattr("consumer.transactions.OUTAGE_S", 1e9)


@mutant("skipped_markers")
def what_the_next_one_went_on_from_is_not_looked_at(patch: Patch) -> None:
    """Partitions from which the next transaction went on count as somebody else's: what they lack stays missing."""
    original = endings._held
    patch.setattr(endings, "_held", lambda attempt, _, committed: original(attempt, None, committed))


@mutant("skipped_markers", "freeze_at", "deaf")
def the_changelog_opens_too_early(patch: Patch) -> None:
    """What hangs there is aborted like the rest: the next owner goes on before the records are written again."""
    patch.setattr(Aftermath, "_spared", lambda *_: set())


@mutant("skipped_markers", "silent_loss", "join")
def a_partition_that_came_back_was_never_away(patch: Patch) -> None:
    """Whoever had it in between may have gone on from it: its end is taken for what the next transaction hides."""

    def replace(original: Any, self: Assignment, tenures: dict[int, int]) -> None:
        original(self, dict.fromkeys(tenures, 1))

    _around(patch, Assignment, "_replace", replace)


@mutant("late_end")
def producer_kept_after_a_slow_end(patch: Patch) -> None:
    """The next transaction begins under the same epoch: a late copy of an end may end it."""

    def ending(original: Any, self: Attempt, end: Callable[[], None]) -> bool:
        original(self, end)
        return True

    _around(patch, Attempt, "_ending", ending)


@mutant()
def abort_not_told_to_the_loop(patch: Patch) -> None:
    """An aborted transaction counts as committed."""

    def settlement(original: Any, self: Transactor, *args: Any) -> Settlement:
        original(self, *args)
        return Settlement(committed=True)

    _around(patch, Transactor, "_settlement", settlement)


@mutant("hang")
def waiting_for_a_client_that_is_stuck(patch: Patch) -> None:
    """A call that never comes back is waited for."""
    patch.setattr(Transactor, "give_up_stuck", lambda _: None)


@mutant("freeze_at")
def every_fencing_ends(patch: Patch) -> None:
    """A lone instance whose transaction timed out is taken for one of twins."""
    patch.setattr(Fencing, "must_end", lambda *_: True)


@mutant()
def aborted_input_read(patch: Patch) -> None:
    """The input is read uncommitted: aborted events count."""
    from tests.simulation.logs import Log
    from tests.simulation.member import MemberConsumer

    def fetch(original: Any, self: MemberConsumer, number: int, state: Any) -> Any:
        with pytest.MonkeyPatch.context() as inner:
            inner.setattr(Log, "first_committed", _first_written)
            return original(self, number, state)

    _around(patch, MemberConsumer, "_fetch", fetch)


def _first_written(self: Any, start: int) -> Any:
    """Records as a reader of everything sees them."""
    written: Iterator[Any] = ((offset, entry) for offset, entry in enumerate(self.entries[start:], start))
    return next(((o, e) for o, e in written if e is not None and not e.control), None)

"""How a transaction ended: the client may not have said so, and the coordinator may not have told every partition."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import structlog
from confluent_kafka import KafkaException, TopicPartition

from consumer.attempt import Attempt
from consumer.end_offsets import Place, place_names
from consumer.ports import Standing
from consumer.records import Output
from consumer.sightings import Sight

log = structlog.get_logger(__name__)


class CommittedOffsets(Protocol):
    """What is committed of input partitions."""

    def committed(self, numbers: list[int]) -> list[TopicPartition]:
        """Waits for pending offsets."""

    def committed_without_pending(self, numbers: list[int]) -> list[TopicPartition]:
        """Does not."""


class Ending(NamedTuple):
    """How a transaction ended.

    Attributes:
        committed: None where that cannot be known yet.
        hanging: The partitions on which it is open still.
        pending: So are its offsets.
    """

    committed: bool | None
    hanging: list[Place]
    pending: bool = False

    def names(self) -> list[str]:
        """What is open still, for people."""
        return place_names(self.hanging) + ["offsets"] * self.pending


@dataclass(frozen=True, slots=True)
class Loss:
    """What is not there of a transaction that is said to be committed.

    Attributes:
        missing: The partitions that do not show it.
        landed: Its offsets are there.
        ours: The input partitions from which nobody else has gone on.
        behind: Those of which the committed offset is less than what it committed, if they were kept since.
        undone: Nothing of it is.
    """

    missing: set[Place]
    landed: bool
    ours: set[int]
    behind: set[int]
    undone: bool

    def __bool__(self) -> bool:
        return bool(self.missing or self.behind) or self.undone

    def first(self, spared: set[Place]) -> set[Place]:
        """What is aborted where it hangs and written again; what is spared comes later, if the offsets are there."""
        return self.missing - spared if self.landed else self.missing

    def names(self) -> list[str]:
        """What is not there, for people."""
        return place_names(self.missing) + ["offsets"] * (not self.landed)


class Endings:
    """Judges transactions that the brokers have ended.

    Args:
        offsets: The group's.
        find_hanging: Those of some partitions on which a transaction is open still.
        look: Where the last of some records can be seen.
    """

    def __init__(
        self,
        offsets: CommittedOffsets,
        find_hanging: Callable[[Collection[Place]], list[Place]],
        look: Callable[[Sequence[Output]], Sight],
    ) -> None:
        self._offsets, self._find_hanging, self._look = offsets, find_hanging, look

    def of(self, attempt: Attempt, told: bool | None, *, suspicious: bool = False) -> Ending:
        """How it ended.

        The offsets alone would not tell: another owner may have committed the same since. A transaction is atomic, so
        one partition that has its metadata is enough; if none has, it was aborted, or all are somebody else's by now.

        Args:
            attempt: What was tried.
            told: How the client said that it ended.
            suspicious: Look at the offsets too if nothing else is open.
        """
        hanging = self._find_hanging(attempt.last_outputs)
        if told is not None and not hanging and not suspicious:
            return Ending(told, hanging)
        numbers = list(attempt.transaction.next_offsets)
        try:
            landed = attempt.has_landed(self._offsets.committed(numbers))
            return Ending(landed if told is None else told, hanging)
        except KafkaException as exception:
            log.warning("committed_offsets_unknown", error=str(exception), next="asks without those that are pending")
        try:
            committed = self._offsets.committed_without_pending(numbers)
            landed = attempt.has_landed(committed) or (told is not False and self._is_seen(attempt, committed))
        except KafkaException as exception:
            log.warning("committed_offsets_unknown", error=str(exception), next="asks again")
            return Ending(None, hanging)
        # What nobody has seen anything of is aborted now, whatever the coordinator had decided.
        return Ending(landed, hanging, pending=True)

    def _is_repeated(self, attempt: Attempt, committed: list[TopicPartition]) -> bool:
        """Whether it only said once more what is committed, and that can be read: a sign of life."""
        wanted = attempt.transaction.next_offsets
        if attempt.transaction.outputs or any(place.offset != wanted[place.partition] for place in committed):
            return False
        try:
            self._offsets.committed(list(wanted))
        except KafkaException:
            return False  # pending for ever, most likely
        return True

    def _is_seen(self, attempt: Attempt, committed: list[TopicPartition]) -> bool:
        """Whether some of it can be seen where nobody else can have written the same since."""
        wanted = attempt.transaction.next_offsets
        ours = {place.partition for place in committed if place.offset < wanted[place.partition]}
        outputs = [output for output in attempt.transaction.outputs if output.partition in ours]
        return bool(self._look(outputs).seen)

    def hanging(self, places: Collection[Place]) -> list[Place]:
        """Those on which a transaction is open still."""
        return self._find_hanging(places)

    def loss(self, attempt: Attempt, then: Attempt | None, standing: Standing | None, *, thorough: bool) -> Loss:
        """What is not there of a transaction that the client said was committed.

        Args:
            attempt: The last one before a new producer was initialised.
            then: The one after it, if there was one. Where that can be seen it has shown what was open before it.
            standing: Now; None if it is not known.
            thorough: Look at the records even if the offsets are there.

        Raises:
            KafkaException: Kafka could not answer.
        """
        wanted = attempt.transaction.next_offsets
        committed = self._offsets.committed_without_pending(list(wanted))
        shown = then.last_outputs.keys() if then is not None and then.has_landed(committed) else set()
        held = _held(attempt, then, committed)
        landed = bool(held) or self._is_repeated(attempt, committed)
        if landed and not thorough:
            return Loss(set(), landed, held, behind=set(), undone=False)
        # Where somebody went on from it, all of it was there; and what is there now is no longer its end.
        ours = held if landed else {place.partition for place in committed if place.offset <= wanted[place.partition]}
        outputs = [o for o in attempt.transaction.outputs if o.partition in ours and o.place not in shown]
        sight = self._look(outputs)
        if landed:
            return Loss(self._still_ours(attempt, then, sight.missing), landed, ours, behind=set(), undone=False)
        behind = {place.partition for place in committed if place.offset < wanted[place.partition]}
        if standing is not None:  # those of another owner wait for what is pending, and the next commit ends that
            behind = {number for number in behind if kept(attempt, standing, number)}
        nothing_seen = not sight.seen and (bool(sight.missing) or not attempt.transaction.outputs)
        undone = ours == set(wanted) and nothing_seen
        if undone and then is not None and self._look(then.transaction.outputs).seen:
            undone = False  # to abort it would take the offsets of the next one too
        return Loss(sight.missing, landed, ours, behind, undone)

    def _still_ours(self, attempt: Attempt, then: Attempt | None, missing: set[Place]) -> set[Place]:
        """Of the partitions that do not show it those from which nobody has gone on.

        The records of a next owner may be seen before its offsets are: those that are pending have to be waited for.
        """
        if not missing:
            return missing
        numbers = sorted({number for _, number in missing})
        try:
            committed = self._offsets.committed(numbers)
        except KafkaException:
            self._offsets.committed_without_pending(numbers)  # the brokers answer: somebody is at work there
            return set()
        ours = _held(attempt, then, committed)
        return {place for place in missing if place[1] in ours}


def _held(attempt: Attempt, then: Attempt | None, committed: Collection[TopicPartition]) -> set[int]:
    """The input partitions whose offset the transaction committed, or the next one after it.

    Not the next one's where somebody else may have had the partition in between, and gone on from it.
    """
    held = {place.partition for place in committed if place.metadata == attempt.metadata}
    if then is None:
        return held
    then_held = {place.partition for place in committed if place.metadata == then.metadata}
    return held | {number for number in then_held if kept(attempt, then.transaction.standing, number)}


def kept(attempt: Attempt, standing: Standing, number: int) -> bool:
    """Whether a partition of a transaction was this instance's from then on."""
    return attempt.transaction.standing.tenures[number] == standing.tenures.get(number)

"""How a transaction ended: the client may not have said so, and the coordinator may not have told every partition."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple, Protocol

import structlog
from confluent_kafka import KafkaException

from consumer.attempt import Attempt
from consumer.end_offsets import Place
from consumer.records import Output

log = structlog.get_logger(__name__)


class CommittedMetadata(Protocol):
    """What was committed with the offsets of input partitions."""

    def metadata(self, numbers: list[int]) -> list[str]:
        """Waits for pending offsets."""

    def metadata_without_pending(self, numbers: list[int]) -> list[str]:
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
        return [f"{topic}-{number}" for topic, number in sorted(self.hanging)] + ["offsets"] * self.pending


class Endings:
    """Judges transactions that the brokers have ended.

    Args:
        offsets: The group's.
        find_hanging: Those of some partitions on which a transaction is open still.
        any_visible: Whether any of a transaction's records can be seen.
    """

    def __init__(
        self,
        offsets: CommittedMetadata,
        find_hanging: Callable[[Collection[Place]], list[Place]],
        any_visible: Callable[[Sequence[Output]], bool],
    ) -> None:
        self._offsets, self._find_hanging, self._any_visible = offsets, find_hanging, any_visible

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
            landed = attempt.metadata in self._offsets.metadata(numbers)
            return Ending(landed if told is None else told, hanging)
        except KafkaException as exception:
            log.warning("committed_offsets_unknown", error=str(exception), next="asks without those that are pending")
        try:
            landed = attempt.metadata in self._offsets.metadata_without_pending(numbers)
            landed = landed or (told is not False and self._any_visible(attempt.transaction.outputs))
        except KafkaException as exception:
            log.warning("committed_offsets_unknown", error=str(exception), next="asks again")
            return Ending(None, hanging)
        # What nobody has seen anything of is aborted now, whatever the coordinator had decided.
        return Ending(landed, hanging, pending=True)

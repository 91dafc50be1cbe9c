"""When transactions that abort again and again end the service."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

from confluent_kafka import KafkaError

from runtime import kafka
from runtime.errors import ConfigurationError, FatalError, KafkaUnavailableError

_UNAUTHORISED = {KafkaError(code).name() for code in kafka.UNAUTHORISED}
_MISSING = {"UNKNOWN_TOPIC_OR_PART", "_UNKNOWN_TOPIC", "_UNKNOWN_PARTITION"}
_HEALED_BY_WAITING = {
    "_TIMED_OUT",
    "_TIMED_OUT_QUEUE",
    "_MSG_TIMED_OUT",
    "_TRANSPORT",
    "_ALL_BROKERS_DOWN",
    "_INCONSISTENT",  # what a commit says when records could not be delivered in time, whatever the reason
    "_WAIT_COORD",
    "_FENCED",
    "COORDINATOR_NOT_AVAILABLE",
    "COORDINATOR_LOAD_IN_PROGRESS",
    "NOT_COORDINATOR",
    "NOT_ENOUGH_REPLICAS",
    "NOT_ENOUGH_REPLICAS_AFTER_APPEND",
    "NOT_LEADER_FOR_PARTITION",
    "LEADER_NOT_AVAILABLE",
    "REQUEST_TIMED_OUT",
    "NETWORK_EXCEPTION",
    "KAFKA_STORAGE_ERROR",
    "CONCURRENT_TRANSACTIONS",
    "ILLEGAL_GENERATION",
    "UNKNOWN_MEMBER_ID",
    "FENCED_MEMBER_EPOCH",
    "STALE_MEMBER_EPOCH",
    "REBALANCE_IN_PROGRESS",
    "TRANSACTION_ABORTABLE",
    "INVALID_PRODUCER_EPOCH",
    "PRODUCER_FENCED",
    "INVALID_TXN_STATE",
    "UNKNOWN_PRODUCER_ID",
    "INVALID_PRODUCER_ID_MAPPING",
}


class Aborts:
    """Counts aborted transactions since the last committed one, by the kind of their cause, and says when they end it.

    A broker that is away is waited for without end; what no waiting heals looks abortable to the client just the same,
    and like a broker that is away in between.
    """

    def __init__(self) -> None:
        self._counts = Counter[Limit]()

    def committed(self) -> None:
        """Nothing counts any more."""
        self._counts.clear()

    def aborted(self, error: str | None) -> FatalError | None:
        """What ends the service; None: try again.

        Args:
            error: The name of Kafka's error; None without one.
        """
        limit = _limit(error)
        if limit is None:
            return None
        self._counts[limit] += 1
        return limit.failure(error, limit.aborts) if self._counts[limit] >= limit.aborts else None


class Limit(NamedTuple):
    """One kind of cause.

    Attributes:
        aborts: So many without a commit end the service.
        failure: With this, given the name of the error and their number.
    """

    aborts: int
    failure: Callable[[str | None, int], FatalError]


def _limit(error: str | None) -> Limit | None:
    if error in _HEALED_BY_WAITING:
        return None
    if error in _UNAUTHORISED:
        return UNAUTHORISED
    return MISSING if error in _MISSING else OTHER


UNAUTHORISED = Limit(
    3,
    lambda error, _: KafkaUnavailableError(f"not authorised: transactions abort with {error}. {kafka.RIGHTS}"),
)
MISSING = Limit(
    3,
    lambda error, _: ConfigurationError(
        f"transactions abort with {error}: an output topic is missing. `lead-scorer topics create` creates it"
    ),
)
OTHER = Limit(
    30,
    lambda error, aborts: FatalError(
        f"{aborts} transactions were aborted without a commit between them, last with {error}. Nothing of them is "
        "visible; the brokers' logs say why. Start again once that is mended"
    ),
)

"""When transactions that abort again and again end the service. Pure."""

from __future__ import annotations

from runtime.errors import ConfigurationError, FatalError, KafkaUnavailableError

UNAUTHORISED_MAX = 3
MISSING_MAX = 5
OTHER_MAX = 30

_UNAUTHORISED = {
    "TOPIC_AUTHORIZATION_FAILED",
    "GROUP_AUTHORIZATION_FAILED",
    "CLUSTER_AUTHORIZATION_FAILED",
    "TRANSACTIONAL_ID_AUTHORIZATION_FAILED",
}
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


def abort_limit(error: str | None, in_a_row: int) -> FatalError | None:
    """What ends the service after so many aborts in a row for this error; None: try again.

    A broker that is away is waited for without end; what no waiting heals looks abortable to the client just the same.

    Args:
        error: The name of Kafka's error.
        in_a_row: Aborted transactions since the last committed one.
    """
    if error in _UNAUTHORISED and in_a_row >= UNAUTHORISED_MAX:
        return KafkaUnavailableError(
            f"not authorised: transactions abort with {error}. The principal needs Write on the decisions, profiles, "
            "action and dead letter topics and on the transactional id, and Read on the events topic and the group"
        )
    if error in _MISSING and in_a_row >= MISSING_MAX:
        return ConfigurationError(
            f"transactions abort with {error}: an output topic is missing. `lead-scorer topics create` creates it"
        )
    if error not in _HEALED_BY_WAITING and in_a_row >= OTHER_MAX:
        return FatalError(
            f"{in_a_row} transactions in a row were aborted, last with {error}. Nothing of them is visible; the "
            "brokers' logs say why. Start again once that is mended"
        )
    return None

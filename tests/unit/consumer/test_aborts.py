"""When aborts in a row end the service, and with what."""

from __future__ import annotations

import pytest
from confluent_kafka import KafkaError
from hypothesis import given
from hypothesis import strategies as st

from consumer import aborts
from consumer.aborts import MISSING, OTHER, UNAUTHORISED, Aborts, Limit
from runtime.errors import FatalError

LISTED = sorted(aborts._UNAUTHORISED | aborts._MISSING | aborts._HEALED_BY_WAITING)


@pytest.mark.parametrize("name", LISTED)
def test_names_are_kafkas(name: str) -> None:
    """An error that the client names otherwise would never be recognised."""
    assert KafkaError(getattr(KafkaError, name)).name() == name


def ended(*errors: str | None, after: Aborts | None = None) -> list[FatalError | None]:
    """What each of these in a row leads to."""
    aborts = after or Aborts()
    return [aborts.aborted(error) for error in errors]


@pytest.mark.parametrize(
    ("error", "limit", "exit_code"),
    [
        ("TOPIC_AUTHORIZATION_FAILED", UNAUTHORISED, 3),
        ("UNKNOWN_TOPIC_OR_PART", MISSING, 2),
        ("INVALID_TIMESTAMP", OTHER, 1),
        (None, OTHER, 1),
    ],
)
def test_ends_exactly_at_its_limit(error: str | None, limit: Limit, exit_code: int) -> None:
    """One abort fewer is tried again; what no waiting heals ends with the exit code of its kind."""
    *before, last = ended(*[error] * limit.aborts)
    assert before == [None] * (limit.aborts - 1)
    assert last is not None
    assert last.exit_code == exit_code


@given(st.lists(st.sampled_from(sorted(aborts._HEALED_BY_WAITING)), max_size=100))
def test_an_absent_broker_is_waited_for_without_end(errors: list[str]) -> None:
    """However many transactions it has aborted."""
    assert not any(ended(*errors))


def test_what_a_long_outage_aborted_does_not_count_against_another_error() -> None:
    """A broker that comes back may not know of a topic at first."""
    assert not any(ended(*["_TIMED_OUT"] * 100, "UNKNOWN_TOPIC_OR_PART", "GROUP_AUTHORIZATION_FAILED", None))


def test_what_a_missing_topic_looks_like_in_between_does_not_begin_anew() -> None:
    """To the client it is away for half a minute, then unknown, and with the next producer away again."""
    in_turn = ["_MSG_TIMED_OUT", "_MSG_TIMED_OUT", "UNKNOWN_TOPIC_OR_PART"] * MISSING.aborts
    assert ended(*in_turn)[-1]


def test_errors_of_one_kind_count_together() -> None:
    """An output topic and the group may be closed to the principal in turn."""
    assert ended("TOPIC_AUTHORIZATION_FAILED", "GROUP_AUTHORIZATION_FAILED", "TOPIC_AUTHORIZATION_FAILED")[-1]


def test_a_commit_ends_the_row() -> None:
    """One fewer than the limit, a commit, and as many again."""
    aborts = Aborts()
    for _ in range(2):
        assert not any(ended(*["UNKNOWN_TOPIC_OR_PART"] * (MISSING.aborts - 1), after=aborts))
        aborts.committed()


def test_the_message_names_the_error_and_what_to_do() -> None:
    """The operator reads it as the last line."""
    assert "topics create" in str(ended(*["UNKNOWN_TOPIC_OR_PART"] * MISSING.aborts)[-1])
    assert "GROUP_AUTHORIZATION_FAILED" in str(ended(*["GROUP_AUTHORIZATION_FAILED"] * UNAUTHORISED.aborts)[-1])

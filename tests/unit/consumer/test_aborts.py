"""When aborts in a row end the service, and with what."""

from __future__ import annotations

import pytest
from confluent_kafka import KafkaError
from hypothesis import given
from hypothesis import strategies as st

from consumer import aborts
from consumer.aborts import MISSING_MAX, OTHER_MAX, UNAUTHORISED_MAX, abort_limit

LISTED = sorted(aborts._UNAUTHORISED | aborts._MISSING | aborts._HEALED_BY_WAITING)


@pytest.mark.parametrize("name", LISTED)
def test_names_are_kafkas(name: str) -> None:
    """An error that the client names otherwise would never be recognised."""
    assert KafkaError(getattr(KafkaError, name)).name() == name


@pytest.mark.parametrize(
    ("error", "limit", "exit_code"),
    [
        ("TOPIC_AUTHORIZATION_FAILED", UNAUTHORISED_MAX, 3),
        ("UNKNOWN_TOPIC_OR_PART", MISSING_MAX, 2),
        ("INVALID_TIMESTAMP", OTHER_MAX, 1),
        (None, OTHER_MAX, 1),
    ],
)
def test_ends_exactly_at_its_limit(error: str | None, limit: int, exit_code: int) -> None:
    """One abort fewer is tried again; what no waiting heals ends with the exit code of its kind."""
    assert abort_limit(error, limit - 1) is None
    fatal = abort_limit(error, limit)
    assert fatal is not None
    assert fatal.exit_code == exit_code


@given(st.sampled_from(sorted(aborts._HEALED_BY_WAITING)), st.integers(1, 10**9))
def test_an_absent_broker_is_waited_for_without_end(error: str, in_a_row: int) -> None:
    """However many transactions it has aborted."""
    assert abort_limit(error, in_a_row) is None


def test_the_message_names_the_error_and_what_to_do() -> None:
    """The operator reads it as the last line."""
    assert "topics create" in str(abort_limit("UNKNOWN_TOPIC_OR_PART", MISSING_MAX))
    assert "GROUP_AUTHORIZATION_FAILED" in str(abort_limit("GROUP_AUTHORIZATION_FAILED", UNAUTHORISED_MAX))

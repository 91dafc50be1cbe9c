"""What `decisions tail` says of records that it cannot read, from messages that stand in for a topic's."""

from __future__ import annotations

from collections.abc import Iterator
from unittest.mock import Mock

import pytest
from confluent_kafka import Message
from typer.testing import CliRunner

from cli import decisions
from cli.main import app
from consumer import topic_reader
from runtime.errors import FatalError
from tests.unit.consumer.fakes import message

BY_ID = b"\x00\x00\x00\x00\x07rest"


def in_topic(monkeypatch: pytest.MonkeyPatch, *values: bytes) -> None:
    def read(*_: object, **__: object) -> Iterator[Message]:
        return (message(offset, topic="lead.decisions", value=value) for offset, value in enumerate(values))

    monkeypatch.setattr(decisions, "_consumer", Mock())
    monkeypatch.setattr(topic_reader, "read_topic", read)


def test_what_is_no_decision_is_told_and_passed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody else wrote to the topic: its place is told, and those behind it are still shown."""
    in_topic(monkeypatch, b"{}", BY_ID)
    result = CliRunner().invoke(app, ["decisions", "tail"])
    assert result.exit_code == 0
    assert [line.partition(": ")[0] for line in result.stderr.splitlines()] == [
        "lead.decisions-0-0",
        "lead.decisions-0-1",
    ]


def test_a_registry_that_is_away_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """With what to do, and no traceback."""
    in_topic(monkeypatch, BY_ID)
    environ = {"LEAD_SCORER__SCHEMA_REGISTRY__URL": "http://127.0.0.1:1"}
    error = CliRunner().invoke(app, ["decisions", "tail"], env=environ).exception
    assert isinstance(error, FatalError)
    assert "try again once it is there" in str(error)

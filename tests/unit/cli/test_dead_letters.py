"""What `dead-letters` shows and sends, of letters that stand in for a topic's."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

import pytest
from typer.testing import CliRunner

from cli import dead_letters
from cli.main import app
from consumer import replay
from consumer.replay import DeadLetter, Sent


def letter(number: int, append_ms: int = 0, reason: str = "undecodable", source: str = "events") -> DeadLetter:
    return DeadLetter(
        place=f"letters-0-{number}",
        append_ms=append_ms,
        source_topic=source,
        source_partition=3,
        source_offset=number,
        stage="decode",
        reason=reason,
        exception="",
        message="",
        replayed_from=None,
        key=b"key",
        value=b"payload",
        headers=[],
    )


def in_topic(monkeypatch: pytest.MonkeyPatch, *readings: list[DeadLetter]) -> None:
    """Each reading of the topic finds the next of these."""
    found: Iterator[list[DeadLetter]] = iter(readings)
    monkeypatch.setattr(dead_letters, "_letters", lambda _settings, _selection: iter(next(found)))


def test_the_latest_are_shown_in_order_of_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of one moment as they stand in the topic."""
    in_topic(monkeypatch, [letter(0, 30), letter(1, 10), letter(2, 20), letter(3, 30)])
    result = CliRunner().invoke(app, ["dead-letters", "list", "--output", "json", "--limit", "3"])
    rows = [json.loads(line) for line in result.output.splitlines()]
    assert [row["dead_letter"] for row in rows] == ["letters-0-2", "letters-0-0", "letters-0-3"]


def test_all_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also those that are not shown."""
    in_topic(monkeypatch, [letter(0), letter(1, reason="unknown_schema"), letter(2)])
    result = CliRunner().invoke(app, ["dead-letters", "list", "--limit", "1"])
    assert "3 dead letters" in result.output


def test_what_was_counted_is_sent_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """What came meanwhile waits for the next replay; what is gone meanwhile is told, with exit code 1."""
    sent: list[str] = []

    def send(letters: Iterable[DeadLetter], _producer: object) -> Iterator[Sent]:
        for one in letters:
            sent.append(one.place)
            yield Sent(one, place="events-3-9")

    monkeypatch.setattr(replay, "replay", send)
    in_topic(monkeypatch, [letter(0), letter(1), letter(2, source="")], [letter(1), letter(2), letter(3)])
    result = CliRunner().invoke(app, ["dead-letters", "replay"])
    assert sent == ["letters-0-1"]
    assert "letters-0-2: cannot be replayed" in result.output
    assert "sent 1 of 2" in result.output
    assert result.exit_code == 1

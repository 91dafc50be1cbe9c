"""What `dead-letters` shows and sends, of letters that stand in for a topic's."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import replace

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
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert [row["dead_letter"] for row in rows] == ["letters-0-2", "letters-0-0", "letters-0-3"]


def test_all_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also those that are not shown."""
    in_topic(monkeypatch, [letter(0), letter(1, reason="unknown_schema"), letter(2)])
    result = CliRunner().invoke(app, ["dead-letters", "list", "--limit", "1"])
    assert "3 dead letters" in result.output


def test_what_is_not_shown_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that reads the lines would take them for all."""
    in_topic(monkeypatch, [letter(0), letter(1), letter(2)])
    result = CliRunner().invoke(app, ["dead-letters", "list", "--output", "json", "--limit", "2"])
    assert "the latest 2 of 3 dead letters" in result.stderr


@pytest.mark.parametrize("append_ms", [-(10**15), 10**15])
def test_a_time_that_cannot_be_is_shown(monkeypatch: pytest.MonkeyPatch, append_ms: int) -> None:
    """A producer may stamp a record with anything: the first or the last time that there is stands for it."""
    in_topic(monkeypatch, [letter(0, append_ms)])
    result = CliRunner().invoke(app, ["dead-letters", "list", "--output", "json"])
    assert json.loads(result.stdout)["appended_at"][:5] in ("0001-", "9999-")


def test_of_what_failed_again_the_latest_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else each replay would double what is still bad."""
    again = replace(letter(1), replayed_from="letters-0-0")
    in_topic(monkeypatch, [letter(0), again, letter(2)])
    result = CliRunner().invoke(app, ["dead-letters", "replay", "--dry-run"])
    assert "would send 2" in result.stdout
    assert "1 more were replayed before" in result.stderr


def test_what_was_chosen_alone_is_sent_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """What became of it is not among the chosen."""
    in_topic(monkeypatch, [replace(letter(0), replayed_from="letters-0-9")])
    assert "would send 1" in CliRunner().invoke(app, ["dead-letters", "replay", "--dry-run"]).stdout


@pytest.mark.parametrize(("count", "told"), [(32, False), (33, True)])
def test_more_than_the_window_knows_is_told(monkeypatch: pytest.MonkeyPatch, count: int, *, told: bool) -> None:
    """Ids leave the window in the order in which they came: of one more than it holds a second replay finds none."""
    in_topic(monkeypatch, [letter(number) for number in range(count)])
    result = CliRunner().invoke(app, ["dead-letters", "replay", "--dry-run"])
    assert ("1 keys have more of these than state.dedup_window = 32" in result.stderr) is told


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

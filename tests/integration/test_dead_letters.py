"""Dead letters on a real broker: listed, sent back, and what becomes of them then."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import Producer

from runtime.config import Settings
from schemas.codec import lead_event_codec
from tests.faults.scenario import cli, prepare
from tests.faults.traffic import simulate
from tests.invariants import Found, Topics, decoded, header_list, headers_of
from tests.kafka import Namespace
from tests.scorer import Scorer, scorers

FLOOD = 20
Running = tuple[Scorer, Settings, dict[str, str]]


@pytest.fixture
def running(namespace: Namespace, tmp_path: Path) -> Iterator[Running]:
    """A scorer that has met good and bad records."""
    environ, settings = prepare(namespace, tmp_path)
    simulate(environ, 1000, seed=3)
    with scorers(environ, tmp_path, "a") as (scorer,):
        scorer.start()
        Topics(settings).wait_until_caught_up()
        yield scorer, settings, environ
        if scorer.running:
            assert scorer.stop() == 0


def _noise_of_two_letters(size: int) -> bytes:
    """One bit of noise a byte: zstd shrinks it to under a fifth, lz4 hardly."""
    return bytes(97 + bit for bit in random.Random(1).choices((0, 1), k=size))


def listed(environ: dict[str, str], *arguments: str) -> list[dict[str, str]]:
    """What `dead-letters list` prints as JSON."""
    done = cli(environ, "dead-letters", "list", "--output", "json", *arguments)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_list_shows_every_dead_letter_with_its_reason(running: Running) -> None:
    """The list agrees with the topic, and the filters choose from it."""
    _, settings, environ = running
    letters = Topics(settings).read(settings.topics.dead_letters)
    everything = listed(environ)
    assert sorted(row["reason"] for row in everything) == sorted(headers_of(m)["reason"] for m in letters)
    reason = everything[0]["reason"]
    assert listed(environ, "--reason", reason) == [row for row in everything if row["reason"] == reason]
    assert "example" not in json.dumps(everything)  # no address of a lead, and no other part of a payload


def test_replay_shows_first_and_sends_only_when_asked(running: Running) -> None:
    """A dry run sends nothing; a replay goes to the same partition, and what is still bad is a dead letter again."""
    _, settings, environ = running
    topics = Topics(settings)
    before = topics.read(settings.topics.dead_letters)
    dry = cli(environ, "dead-letters", "replay", "--dry-run")
    assert "nothing was sent" in dry.stdout
    events = len(topics.read(settings.topics.events))

    done = cli(environ, "dead-letters", "replay")
    assert done.returncode == 0, done.stderr
    topics.wait_until_caught_up()
    after = topics.read(settings.topics.dead_letters)
    assert len(topics.read(settings.topics.events)) == events + len(before)
    again = [m for m in after if "__lead_scorer.replayed_from" in dict(header_list(m))]
    assert len(again) == len(before) == len(after) - len(before)
    assert sorted(str(m.partition()) for m in again) == sorted(str(m.partition()) for m in before)
    replayed_from = {row["replayed_from"] for row in listed(environ)}
    Found(settings).check()
    assert replayed_from == {None} | {f"{m.topic()}-{m.partition()}-{m.offset()}" for m in before}


def test_a_replayed_event_is_scored_once(running: Running) -> None:
    """What was refused and is good now is scored; replayed a second time it is a duplicate."""
    scorer, settings, environ = running
    codec = lead_event_codec()
    known = [decoded(codec, m.value()) for m in Topics(settings).read(settings.topics.events)]
    event = {**next(e for e in known if isinstance(e, dict)), "event_id": "late", "occurred_at": 1, "created_at": None}
    event["company_headcount"] = None
    producer = Producer({"bootstrap.servers": settings.kafka.bootstrap_servers})
    letter_headers: list[tuple[str, str | bytes | None]] = [
        ("trace", b"1"),
        ("__lead_scorer.errors.topic", settings.topics.events.encode()),
        ("__lead_scorer.errors.partition", b"0"),
        ("__lead_scorer.errors.offset", b"999999"),
        ("__lead_scorer.errors.reason", b"internal_error"),
    ]
    producer.produce(
        settings.topics.dead_letters, codec.encode(event), str(event["lead_id"]).encode(), 0, headers=letter_headers
    )
    assert producer.flush(10) == 0
    before = scorer.metrics()
    for _ in range(2):
        assert cli(environ, "dead-letters", "replay", "--reason", "internal_error").returncode == 0
    Topics(settings).wait_until_caught_up()
    after = scorer.metrics()
    for result in ("scored", "duplicate"):
        name = f'lead_scorer_events_total{{result="{result}"}}'
        assert after[name] - before[name] == 1


def test_a_flood_ends_the_service_before_it_reaches_the_topic(running: Running) -> None:
    """Exit code 4 past the limit, which is not committed; with the flood's cause mended nothing is lost."""
    scorer, settings, environ = running
    topics = Topics(settings)
    assert scorer.stop() == 0
    letters = len(topics.read(settings.topics.dead_letters))
    producer = Producer({"bootstrap.servers": settings.kafka.bootstrap_servers})
    for _ in range(3 * FLOOD):
        producer.produce(settings.topics.events, b"no event", b"key", 0)
    assert producer.flush(10) == 0
    guard = {**environ, "LEAD_SCORER__DEAD_LETTERS__MAX_CONSECUTIVE": str(FLOOD)}
    with scorers(guard, scorer.log_path.parent, "a") as (guarded,):
        code, reason = guarded.start(ready=False).ended()
    assert code == 4
    assert "dead-letters list" in reason
    assert len(topics.read(settings.topics.dead_letters)) - letters == FLOOD
    assert topics.ends()[0] - topics.committed()[0] == 2 * FLOOD
    scorer.start()
    topics.wait_until_caught_up()
    Found(settings).check()


@pytest.mark.parametrize(
    ("key", "value", "kept"),
    [
        (b"key", b"\xc3\x01" + b"x" * 3_000_000, {"key", "value"}),
        (b"key", b"\xc3\x01" + _noise_of_two_letters(4_000_000), {"key"}),
        (_noise_of_two_letters(4_000_000), b"\xc3\x01", set()),
    ],
    ids=["fits when compressed", "does not", "nor does its key"],
)
def test_a_record_that_the_topic_cannot_take_loses_what_it_must(
    running: Running, key: bytes, value: bytes, kept: set[str]
) -> None:
    """A record larger than the topic's limit came in compressed; it is forwarded whole if it can be, else without."""
    _, settings, _ = running
    sent: list[str] = []
    producer = Producer(
        {
            "bootstrap.servers": settings.kafka.bootstrap_servers,
            "message.max.bytes": 10_000_000,
            "compression.type": "zstd",
        }
    )
    producer.produce(settings.topics.events, value, key, 0, on_delivery=lambda _, m: sent.append(str(m.offset())))
    assert producer.flush(20) == 0
    Topics(settings).wait_until_caught_up()
    letters = Topics(settings).read(settings.topics.dead_letters)
    (letter,) = [m for m in letters if m.partition() == 0 and [headers_of(m)["offset"]] == sent]
    assert letter.key() == (key if "key" in kept else None)
    assert letter.value() == (value if "value" in kept else None)
    assert (str(len(key) + len(value)) in headers_of(letter)["message"]) is not ("value" in kept)

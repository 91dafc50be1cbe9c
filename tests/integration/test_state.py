"""State that disagrees with the input: refused with exit code 5, and made anew when asked to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import ConsumerGroupTopicPartitions, Producer, TopicPartition

from runtime.config import Settings, load
from tests.faults.scenario import cli, prepare
from tests.faults.traffic import simulate
from tests.invariants import Found, Topics, offset_of, partition_of
from tests.kafka import Namespace, eventually
from tests.scorer import Scorer, scorers

EVENTS = 2000


@pytest.fixture
def stopped(namespace: Namespace, tmp_path: Path) -> Iterator[tuple[Scorer, Settings, dict[str, str]]]:
    """A scorer that has scored some events and was stopped."""
    environ, settings = prepare(namespace, tmp_path)
    simulate(environ, EVENTS, seed=1)
    with scorers(environ, tmp_path, "a") as (scorer,):
        scorer.start()
        Topics(settings).wait_until_caught_up()
        assert scorer.stop() == 0
        yield scorer, settings, environ


@contextmanager
def rebuilding(stopped: Scorer, environ: dict[str, str]) -> Iterator[Scorer]:
    """The same instance, rebuilding its state; at the end it stops cleanly."""
    directory, arguments = stopped.log_path.parent, ("--rebuild-state",)
    with scorers(environ, directory, stopped.instance_id, arguments=arguments) as (scorer,):
        yield scorer.start()
        assert scorer.stop() == 0


def forget_offsets(settings: Settings) -> None:
    """As the broker does when a group is away for too long."""
    topics = Topics(settings)

    topics.admin.delete_consumer_groups([settings.kafka.group_id])[settings.kafka.group_id].result(10)
    assert topics.committed() == {}


def damage_changelog(settings: Settings) -> None:
    """A value of the changelog is overwritten with noise."""
    message = Topics(settings).read(settings.topics.profiles)[-1]
    producer = Producer({"bootstrap.servers": settings.kafka.bootstrap_servers})
    producer.produce(settings.topics.profiles, b"\xc3\x01noise", message.key(), message.partition() or 0)
    assert producer.flush(10) == 0


def move_offsets(settings: Settings) -> None:
    """As an operator does with a tool: backwards in one half of the partitions, and past new events in the other."""
    topics = Topics(settings)
    group, committed = settings.kafka.group_id, topics.committed()
    servers, events = settings.kafka.bootstrap_servers, settings.topics.events
    environ = {"LEAD_SCORER__KAFKA__BOOTSTRAP_SERVERS": servers, "LEAD_SCORER__TOPICS__EVENTS": events}
    simulate(environ, EVENTS, seed=3)
    places = [
        TopicPartition(events, number, end if number % 2 else committed[number] // 2)
        for number, end in topics.ends().items()
    ]
    moved = topics.admin.alter_consumer_group_offsets([ConsumerGroupTopicPartitions(group, places)])
    moved[group].result(10)


@pytest.mark.parametrize(
    ("harm", "says"),
    [
        (forget_offsets, "no committed offset"),
        (damage_changelog, "cannot be read"),
        (move_offsets, "were reset"),
    ],
    ids=["offsets expired", "changelog damaged", "offsets moved"],
)
def test_a_state_that_disagrees_is_refused_and_rebuilt_when_asked(
    stopped: tuple[Scorer, Settings, dict[str, str]], harm: Callable[[Settings], None], says: str
) -> None:
    """Exit code 5 names the cause and the command; with it every offset has one outcome and the profiles are right."""
    scorer, settings, environ = stopped
    harm(settings)
    code, reason = scorer.start(ready=False).ended()
    assert code == 5
    assert says in reason
    assert "--rebuild-state" in reason

    with rebuilding(scorer, environ) as rebuilt:
        simulate(environ, EVENTS, seed=2)
        Topics(settings).wait_until_caught_up()
    assert rebuilt.events("state_rebuilt")
    scorer.start()
    simulate(environ, EVENTS, seed=4)
    Topics(settings).wait_until_caught_up()
    Found(settings).check()


def test_what_retention_took_before_it_was_scored_is_told(stopped: tuple[Scorer, Settings, dict[str, str]]) -> None:
    """Exit code 5 with how many; a rebuild keeps the state that is known, and says what it could not know."""
    scorer, settings, environ = stopped
    topics, events = Topics(settings), settings.topics.events
    scored, committed = topics.read(events), topics.committed()
    simulate(environ, EVENTS, seed=2)
    ends = topics.ends()
    number = max(ends, key=lambda number: ends[number] - committed[number])
    low = (committed[number] + ends[number]) // 2
    place = TopicPartition(events, number, low)
    topics.admin.delete_records([place])[place].result(10)
    code, reason = scorer.start(ready=False).ended()
    assert code == 5
    lost = low - committed[number]
    assert f"{lost} records were lost to retention" in reason

    with rebuilding(scorer, environ) as rebuilt:
        topics.wait_until_caught_up()
    (told,) = rebuilt.events("state_rebuilt")
    assert (told["partition"], told["never_scored"], told["source"]) == (number, lost, "changelog")
    assert told["unknown"]
    found = Found(settings)
    found.remember(scored)
    found.check()


def outcomes(found: Found) -> list[list[Any]]:
    """All that tells of input records, topic by topic."""
    return [found.decisions, found.dead_letters, *found.actions.values()]


def place_of(outcome: Any) -> tuple[str, int, int]:
    """Where an outcome stands."""
    message = outcome[0] if isinstance(outcome, tuple) else outcome
    return message.topic(), partition_of(message), offset_of(message)


def test_events_that_begin_a_new_life_are_all_scored(stopped: tuple[Scorer, Settings, dict[str, str]]) -> None:
    """The brokers drop the group's offsets with the old topic, and the new one is longer than the old ones reached."""
    scorer, settings, environ = stopped
    topics, own = Topics(settings), settings.topics
    before = Found(settings)
    first_life = {place_of(one) for kept in outcomes(before) for one in kept}
    topics.admin.delete_topics([own.events])[own.events].result(10)
    eventually(lambda: own.events not in topics.admin.list_topics(timeout=10).topics)
    eventually(lambda: cli(environ, "topics", "create").returncode == 0)
    simulate(environ, 2 * EVENTS, seed=5)
    assert scorer.start(ready=False).ended()[0] == 5

    with rebuilding(scorer, environ):
        topics.wait_until_caught_up()
    scorer.start()  # though the profiles of the first life, with higher offsets, are still in the changelog
    simulate(environ, 10, seed=6)
    topics.wait_until_caught_up()
    found = Found(settings)
    for kept in outcomes(found):
        kept[:] = [one for one in kept if place_of(one) not in first_life]
    found.check()


def test_cli_names_the_option() -> None:
    """`run --help` tells of the way out."""
    assert "--rebuild-state" in cli({"COLUMNS": "200"}, "run", "--help").stdout


def test_expired_leads_count_as_new_and_leave_the_changelog(namespace: Namespace, tmp_path: Path) -> None:
    """With a retention of seconds: features begin anew by append time, tombstones follow, and the oracle agrees."""
    environ, _ = prepare(namespace, tmp_path)
    environ["LEAD_SCORER__STATE__RETENTION_DAYS"] = str(3 / 86_400)
    settings = load(None, environ)
    with scorers(environ, tmp_path, "a") as (scorer,):
        scorer.start()
        simulate(environ, 500, seed=1)
        Topics(settings).wait_until_caught_up()

        def tombstoned() -> bool:
            simulate(environ, 20, seed=2)
            changelog = Topics(settings).read(settings.topics.profiles)
            return any(message.value() is None for message in changelog)

        eventually(tombstoned, every_s=0.5)
        Topics(settings).wait_until_caught_up()
        assert scorer.stop() == 0
    Found(settings).check()

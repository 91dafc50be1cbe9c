"""The proof itself: whatever is wrong in the topics, or was for a moment, is found."""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from runtime.config import Settings
from tests.faults.scenario import prepare
from tests.faults.traffic import simulate
from tests.faults.watcher import CommittedOffsets, Watcher
from tests.invariants import Found, Topics, hanging, partition_of
from tests.kafka import Namespace, eventually
from tests.scorer import scorers

DECIDED = ("score", "rule_score", "confidence", "decision", "scored_by", "action_published", "decision_id")


@pytest.fixture(scope="module")
def settings(kafka: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """Of a scorer that has met good and bad records, and is gone."""
    directory = tmp_path_factory.mktemp("proof")
    space = Namespace(kafka.bootstrap_servers, "proof")
    environ, settings = prepare(space, directory)
    simulate(environ, 1000, seed=3)
    with scorers(environ, directory, "a") as (scorer,):
        scorer.start()
        Topics(settings).wait_until_caught_up()
        assert scorer.stop() == 0
    yield settings
    space.delete()


@pytest.fixture(scope="module")
def whole(settings: Settings) -> Found:
    """What it left, which is as it must be."""
    found = Found(settings)
    found.check()
    return found


@pytest.fixture
def found(whole: Found) -> Found:
    """The same, to be spoilt."""
    spoilt = copy.copy(whole)
    spoilt.events, spoilt.dead_letters, spoilt.changelog = [*whole.events], [*whole.dead_letters], [*whole.changelog]
    spoilt.decisions = [(message, copy.deepcopy(decision)) for message, decision in whole.decisions]
    spoilt.actions = {decision: [*messages] for decision, messages in whole.actions.items()}
    return spoilt


def swap_in_a_partition(records: list[Any], number_of: Callable[[Any], int]) -> None:
    """Two records of a partition that has two change places."""
    places = defaultdict(list)
    for at, record in enumerate(records):
        places[number_of(record)].append(at)
    first, second = next(found[:2] for found in places.values() if len(found) > 1)
    records[first], records[second] = records[second], records[first]


def by_model(found: Found) -> dict[str, Any]:
    """A decision of the model."""
    return next(decision for _, decision in found.decisions if decision["scored_by"] == "MODEL")


def an_action(found: Found) -> list[Any]:
    """The records of the action topic with the most of them."""
    return max(found.actions.values(), key=len)


SPOILT: dict[str, Callable[[Found], object]] = {
    "an event without an outcome": lambda found: found.decisions.pop(),
    "two decisions": lambda found: found.decisions.append(found.decisions[-1]),
    "decisions out of order": lambda found: swap_in_a_partition(found.decisions, lambda pair: partition_of(pair[0])),
    "no dead letter": lambda found: found.dead_letters.pop(),
    "two dead letters": lambda found: found.dead_letters.append(found.dead_letters[-1]),
    "dead letters out of order": lambda found: swap_in_a_partition(found.dead_letters, partition_of),
    "an outcome without an event": lambda found: found.events.pop(),
    "no action": lambda found: an_action(found).pop(),
    "two actions": lambda found: an_action(found).append(an_action(found)[-1]),
    "actions out of order": lambda found: swap_in_a_partition(an_action(found), partition_of),
    "an old profile": lambda found: found.changelog.pop(),
    "a feature": lambda found: found.decisions[-1][1]["features"].update(engagement_score=101.0),
    "a model that is not told": lambda found: by_model(found).update(model_version=None),
    "a reason for a fallback that was none": lambda found: by_model(found).update(fallback_reason="error"),
}


@pytest.mark.parametrize("what", SPOILT)
def test_what_is_wrong_is_found(found: Found, what: str) -> None:
    """Each of them alone."""
    SPOILT[what](found)
    with pytest.raises(AssertionError):
        found.check()


@pytest.mark.parametrize("name", DECIDED)
def test_each_part_of_a_decision_is_recomputed(found: Found, name: str) -> None:
    """A score that is off by a thousandth, of a model too; a route, or who decided it."""
    decision = by_model(found)
    value = decision[name]
    if isinstance(value, float):
        decision[name] = value + 0.001 if value < 0.5 else value - 0.001
    else:
        decision[name] = (not value) if isinstance(value, bool) else f"{value}?"
    with pytest.raises(AssertionError):
        found.check()


def test_the_proof_is_of_models_and_dead_letters_too(whole: Found) -> None:
    """Else what is spoilt above would be less than it says."""
    assert "MODEL" in {decision["scored_by"] for _, decision in whole.decisions}
    assert whole.dead_letters


def test_what_a_reader_saw_must_be_there(settings: Settings, whole: Found) -> None:
    """What vanished, and what came in another order."""
    records = [message for message, _ in whole.decisions]
    with Watcher(settings, [settings.topics.decisions]) as watcher:
        eventually(lambda: watcher.has(len(records)))
        watcher.prove(records)
        with pytest.raises(AssertionError, match="what was seen is not what is there"):
            watcher.prove(records[:-1])
        swap_in_a_partition(records, partition_of)
        with pytest.raises(AssertionError, match="what was seen is not what is there"):
            watcher.prove(records)


@pytest.mark.parametrize("then", [6, -1001])
def test_offsets_that_go_back_are_noticed(settings: Settings, then: int) -> None:
    """And those that vanish."""
    looking = CommittedOffsets(settings)
    for offset in (7, then):
        looking._compare(TopicPartition(settings.topics.events, 0, offset))
    with pytest.raises(AssertionError):
        looking.prove()


def test_an_open_transaction_is_noticed(namespace: Namespace) -> None:
    """For as long as it is open."""
    topic = namespace.create("hanging")
    admin = AdminClient({"bootstrap.servers": namespace.bootstrap_servers})
    producer = Producer(
        {"bootstrap.servers": namespace.bootstrap_servers, "transactional.id": namespace.name("producer")}
    )
    producer.init_transactions(30)
    producer.begin_transaction()
    producer.produce(topic, b"open", partition=0)
    assert producer.flush(30) == 0
    assert hanging(admin, [(topic, 0)]) == [(topic, 0)]
    producer.abort_transaction(30)
    eventually(lambda: hanging(admin, [(topic, 0)]) == [])

"""Three brokers of which those that matter go away in turn, and for a while too many of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
from confluent_kafka import IsolationLevel
from confluent_kafka.admin import AdminClient

from consumer.end_offsets import end_offsets
from producer import LeadEventProducer, ProducerSettings
from runtime import kafka
from runtime.config import load
from runtime.local_kafka import LocalKafka
from runtime.topics import exists
from tests.faults.scenario import Scenario, at_once, here
from tests.faults.servers import alter, mend, scenario_on, wait_for_answers
from tests.kafka import Namespace, answered, eventually, read
from tests.scorer import Scorer

pytestmark = pytest.mark.long
Pause = Callable[[], None]
REPLICATED = {"LEAD_SCORER__TOPICS__REPLICATION_FACTOR": "3", "LEAD_SCORER__TOPICS__PARTITIONS": "3"}
SINGLE = {"LEAD_SCORER__TOPICS__REPLICATION_FACTOR": "1", "LEAD_SCORER__TOPICS__PARTITIONS": "3"}
STILL_S = 5.0
"""Longer than the controller waits for a broker (`broker.session.timeout.ms`)."""
LEADS = 100
"""Enough that each partition gets some."""
TOO_FEW_S = 4.0
QUIET_S = 1.0
"""After so long without a record those who look on have what was acknowledged before a fault."""
BACK_S = 150.0
WITHOUT_S = 90.0
"""For the service to go on beside a broker that stands still; docs/reliability.md promises it."""
REBUILDS = 2
STARTS = 12
"""Enough that some are told first of the broker that stands still: 0 to 3 of 12."""


def hash_of(text: str) -> int:
    """Java's, with which brokers choose a coordinator."""
    found = 0
    for letter in text:
        found = (31 * found + ord(letter)) & 0xFFFFFFFF
    return found & 0x7FFFFFFF


def leader(admin: AdminClient, topic: str, key: str = "") -> int:
    """The broker that leads the partition of a topic to which a key belongs."""
    partitions = admin.list_topics(topic, timeout=30).topics[topic].partitions
    found: int = partitions[hash_of(key) % len(partitions)].leader
    return found


def roles(scenario: Scenario) -> dict[str, tuple[str, str]]:
    """Whose loss must be outlived: the topic and key that tell who it is now."""
    group = scenario.settings.kafka.group_id
    return {
        "partition leader": (scenario.settings.topics.events, ""),
        "group coordinator": ("__consumer_offsets", group),
        "transaction coordinator": ("__transaction_state", f"{group}-a"),
    }


def whole(admin: AdminClient) -> bool:
    """Whether every partition has all its replicas in sync again."""
    found = admin.list_topics(timeout=30).topics.values()
    partitions = [partition for topic in found for partition in topic.partitions.values()]
    return all(len(partition.isrs) == len(partition.replicas) for partition in partitions)


def make_whole(cluster: LocalKafka, admin: AdminClient) -> None:
    """Starts and resumes what is down, and waits for its replicas."""
    mend(cluster)
    eventually(lambda: whole(admin), within_s=BACK_S)


def reached(scenario: Scenario, ends: Mapping[int, int]) -> bool:
    """Whether each partition is processed as far as that."""
    committed = scenario.topics.committed()
    return all(committed.get(partition, 0) >= end for partition, end in ends.items())


def quiet(scenario: Scenario) -> bool:
    """Whether those who look on see nothing new for a while."""
    seen = scenario.watcher.count()
    time.sleep(QUIET_S)
    return scenario.watcher.count() == seen


@contextmanager
def on_cluster(
    cluster: LocalKafka, directory: Path, seed: int, label: str, environ: Mapping[str, str] = REPLICATED
) -> Iterator[Scenario]:
    """A scenario on three brokers, all of them in sync before and after."""
    with scenario_on(cluster, directory, seed, label, environ) as scenario:
        yield scenario
        make_whole(cluster, scenario.topics.admin)


@contextmanager
def beside_a_silent_broker(cluster: LocalKafka, seed: int, label: str) -> Iterator[tuple[Namespace, Pause]]:
    """Names on three brokers, and what makes one of them stand still; all are in sync again after it."""
    space = Namespace(cluster.bootstrap_servers, label)
    try:
        yield space, cluster.nodes[seed % 3].pause
    finally:
        make_whole(cluster, space.admin)
        space.delete()


def started(scenario: Scenario) -> Scorer:
    """An instance, and what latency it has beside three brokers."""
    scorer = scenario.scorer("a").start()
    scenario.allow_for_the_machine()
    return scorer


def test_whoever_matters_may_go_away(kafka_cluster: LocalKafka, tmp_path: Path, seed: int) -> None:
    """Leader, group coordinator and transaction coordinator, killed in turn: the others take over, all goes on."""
    with on_cluster(kafka_cluster, tmp_path, seed, "bounced") as scenario:
        scorer = started(scenario)
        order = list(roles(scenario).values())
        scenario.chance.shuffle(order)
        with scenario.traffic():
            for topic, key in order:
                scenario.progress(BACK_S)
                time.sleep(scenario.chance.uniform(0.0, 0.5))  # the moment is what is random here
                kafka_cluster.nodes[leader(scenario.topics.admin, topic, key) - 1].kill()
                wait_for_answers(scenario)
                scenario.progress(BACK_S)
                make_whole(kafka_cluster, scenario.topics.admin)
            assert scorer.get("/healthz")[0] == 200
        wait_for_answers(scenario)
        assert scorer.events("kafka_client_log")
        scenario.check(scorer)


def test_whoever_matters_may_stand_still(kafka_cluster: LocalKafka, tmp_path: Path, seed: int) -> None:
    """One of them hangs up on nobody and answers nobody: all goes on without it, and when it is back."""
    with on_cluster(kafka_cluster, tmp_path, seed, "still") as scenario:
        scorer = started(scenario)
        topic, key = [*roles(scenario).values()][seed % 3]  # the first seed takes the group coordinator
        with scenario.traffic():
            scenario.progress(BACK_S)
            time.sleep(scenario.chance.uniform(0.0, 0.5))  # the moment is what is random here
            kafka_cluster.nodes[leader(scenario.topics.admin, topic, key) - 1].pause()
            until = time.monotonic() + WITHOUT_S
            time.sleep(STILL_S)  # the fault itself
            wait_for_answers(scenario)
            ends = scenario.topics.ends()
            scenario.progress(until - time.monotonic())
            eventually(lambda: reached(scenario, ends), within_s=here(until - time.monotonic()))
            assert scorer.get("/healthz")[0] == 200
            make_whole(kafka_cluster, scenario.topics.admin)
        wait_for_answers(scenario)
        scenario.check(scorer)


def test_partitions_may_have_no_leader_for_a_moment(kafka_cluster: LocalKafka, tmp_path: Path, seed: int) -> None:
    """A broker that has the only replica stands still and is fenced: every client finds it when it is back."""
    with on_cluster(kafka_cluster, tmp_path, seed, "fenced", SINGLE) as scenario:
        scorer = started(scenario)
        with scenario.traffic():
            for node in scenario.chance.sample(kafka_cluster.nodes, 2):
                scenario.progress(BACK_S)
                time.sleep(scenario.chance.uniform(0.0, 0.5))  # the moment is what is random here
                node.pause()
                time.sleep(STILL_S)  # the fault itself
                mend(kafka_cluster)
                wait_for_answers(scenario)
                eventually(lambda: whole(scenario.topics.admin), within_s=BACK_S)
                scenario.progress(BACK_S)
            assert scorer.get("/healthz")[0] == 200
        scenario.check(scorer)


def test_an_upstream_does_not_wait_for_a_broker_that_stands_still(kafka_cluster: LocalKafka, seed: int) -> None:
    """What went to it unanswered goes to the one that leads now, once, before `flush` gives up."""
    with beside_a_silent_broker(kafka_cluster, seed, "upstream") as (space, pause):
        topic = space.create("events", partitions=3)  # with three replicas: the brokers' default
        settings = ProducerSettings(source="test", bootstrap_servers=space.bootstrap_servers, topic=topic)
        with LeadEventProducer(settings) as upstream:
            for number in range(2 * LEADS):
                if number == LEADS:
                    upstream.flush()
                    pause()
                upstream.page_visit(lead_id=str(number))
            upstream.flush()
        mend(kafka_cluster)
        sent = {str(number).encode() for number in range(2 * LEADS)}
        assert {message.key() for message in read(space.bootstrap_servers, topic, len(sent))} == sent

        def count() -> int:
            ends = answered(lambda: end_offsets(space.admin, topic, [0, 1, 2], IsolationLevel.READ_COMMITTED))
            return sum(ends.values())

        eventually(lambda: count() >= len(sent))  # who was away tells what it knew for a moment
        assert count() == len(sent)


def test_a_start_hears_of_the_brokers_beside_one_that_stands_still(kafka_cluster: LocalKafka, seed: int) -> None:
    """Each client is told of one broker that it shall ask, which may be the one that answers nobody."""
    with beside_a_silent_broker(kafka_cluster, seed, "start") as (space, pause):
        topic = space.create("events")
        settings = load(None, space.environ())

        def start() -> None:
            admin = kafka.admin(settings)
            kafka.wait_for_broker(admin)
            assert exists(admin, topic)

        pause()
        at_once(*[start] * STARTS)


def test_too_few_replicas_are_waited_for(kafka_cluster: LocalKafka, tmp_path: Path, seed: int) -> None:
    """With two of three brokers down nothing is acknowledged; when they are back nothing is lost.

    Nor can the brokers change anything about themselves: the quorum is gone with them.
    """
    with on_cluster(kafka_cluster, tmp_path, seed, "too-few") as scenario:
        scorer = started(scenario)
        with scenario.traffic():
            scenario.progress(BACK_S)
            for node in scenario.chance.sample(kafka_cluster.nodes, 2):
                node.kill()
            eventually(lambda: quiet(scenario))
            seen = scenario.watcher.count()
            time.sleep(TOO_FEW_S)  # the fault itself
            assert scenario.watcher.count() == seen
            assert scorer.get("/healthz")[0] == 200
            mend(kafka_cluster)
            wait_for_answers(scenario)
            scenario.progress(BACK_S)
        scenario.check(scorer)


def test_fewer_in_sync_than_required_refuse(kafka_cluster: LocalKafka, tmp_path: Path, seed: int) -> None:
    """Two brokers rule, but a topic wants three: not even the end of a transaction can be written; then all is."""
    with on_cluster(kafka_cluster, tmp_path, seed, "in-sync") as scenario:
        scorer = started(scenario)
        alter(scenario.topics.admin, scenario.settings.topics.decisions, "min.insync.replicas", "3")
        with scenario.traffic():
            scenario.progress(BACK_S)
            scenario.chance.choice(kafka_cluster.nodes).kill()
            eventually(lambda: len(scorer.events("producer_rebuild_failed")) >= REBUILDS, within_s=BACK_S)
            before, seen = scenario.topics.committed(), scenario.watcher.count()
            time.sleep(TOO_FEW_S)
            assert (scenario.topics.committed(), scenario.watcher.count()) == (before, seen)
            assert scorer.get("/healthz")[0] == 200
            mend(kafka_cluster)
            wait_for_answers(scenario)
            scenario.progress(BACK_S)
        refused = {line["error"] for line in scorer.events("producer_rebuild_failed")}
        assert "CONCURRENT_TRANSACTIONS" in refused
        scenario.check(scorer)

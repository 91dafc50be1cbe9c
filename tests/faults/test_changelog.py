"""A changelog with every fault that an operator may meet: refused with its exit code, mended, or none at all."""

from __future__ import annotations

import re
from pathlib import Path

from confluent_kafka import Producer, TopicPartition

from tests.faults.scenario import CLEANUP_S, Scenario, cli
from tests.faults.servers import FaultKafka, alter, scenario_on
from tests.faults.test_outputs import delete
from tests.invariants import Found, offset_of, partition_of
from tests.kafka import eventually
from tests.scorer import Scorer

EVENTS = 300
PEER_TIMEOUT_MS = 4000


def scored(scenario: Scenario) -> Scorer:
    """An instance that has some state, stopped."""
    scorer = scenario.scorer("a").start()
    scenario.simulate(EVENTS)
    scenario.topics.wait_until_caught_up()
    assert scorer.stop() == 0
    return scorer


def peer(scenario: Scenario, number: int) -> Producer:
    """Another instance's producer, ready for its transactions."""
    identity = {"transactional.id": f"peer-{number}", "transaction.timeout.ms": PEER_TIMEOUT_MS}
    producer = Producer({"bootstrap.servers": scenario.settings.kafka.bootstrap_servers, **identity})
    producer.init_transactions(30)
    return producer


def open_transaction(scenario: Scenario, producer: Producer, number: int) -> None:
    """Begins one with a record on a partition of the changelog."""
    producer.begin_transaction()
    producer.produce(scenario.settings.topics.profiles, b"never committed", b"lead", number)
    assert producer.flush(30) == 0


def set_cleanup(scenario: Scenario, policy: str) -> None:
    """Alters the changelog's cleanup policy."""
    alter(scenario.topics.admin, scenario.settings.topics.profiles, "cleanup.policy", policy)


def flip_a_byte(kafka: FaultKafka, topic: str, number: int | None = None) -> None:
    """In the last record that the broker keeps of a partition, by default of the largest, as a disk may do."""
    folder = kafka.nodes[0].log.parent / "data"
    segments = folder.glob(f"{topic}-{'*' if number is None else number}/*.log")
    segment = max(segments, key=lambda path: path.stat().st_size)
    content = bytearray(segment.read_bytes())
    content[content.rindex(b"lead-") + 2] ^= 0xFF
    with segment.open("r+b") as file:
        file.write(content)


def test_bytes_flipped_on_the_brokers_disk_are_noticed(fault_kafka: FaultKafka, tmp_path: Path, seed: int) -> None:
    """Exit 5, where the checksum of a batch is wrong; with a new changelog `--rebuild-state` goes on."""
    with scenario_on(fault_kafka, tmp_path, seed, "flipped") as scenario:
        scorer = scored(scenario)
        flip_a_byte(fault_kafka, scenario.settings.topics.profiles)
        code, reason = scorer.start(ready=False).ended()
        assert code == 5
        assert "--rebuild-state" in reason

        delete(scenario, scenario.settings.topics.profiles)
        assert cli(scenario.environ, "topics", "create").returncode == 0
        scenario.check(scenario.scorer("a", "--rebuild-state").start())


def test_damaged_events_are_not_passed_over(fault_kafka: FaultKafka, tmp_path: Path, seed: int) -> None:
    """Exit 5 before anything behind them is committed; once they are deleted `--rebuild-state` goes on."""
    with scenario_on(fault_kafka, tmp_path, seed, "damaged") as scenario:
        scorer, events = scored(scenario), scenario.settings.topics.events
        done = scenario.topics.ends()
        scenario.simulate(EVENTS)
        number = next(number for number, end in scenario.topics.ends().items() if end > done[number])
        before = scenario.topics.read(events)
        flip_a_byte(fault_kafka, events, number)
        scenario.simulate(EVENTS)
        code, reason = scorer.start(ready=False).ended()
        assert code == 5
        found = re.search(rf"{re.escape(events)}-{number}: what is at offset (\d+) cannot be read", reason)
        assert found
        committed, end = scenario.topics.committed()[number], scenario.topics.ends()[number]
        assert committed <= int(found[1])

        place = TopicPartition(events, number, end)
        scenario.topics.admin.delete_records([place])[place].result(30)
        rebuilding = scenario.scorer("a", "--rebuild-state").start()
        scenario.topics.wait_until_caught_up()
        assert rebuilding.stop() == 0
        (told,) = rebuilding.events("state_rebuilt")
        assert (told["partition"], told["never_scored"]) == (number, end - committed)
        proof = Found(scenario.settings)
        proof.remember(m for m in before if partition_of(m) == number and offset_of(m) < committed)
        proof.check()


def test_a_changelog_that_is_not_as_it_must_be_is_refused(fault_kafka: FaultKafka, tmp_path: Path, seed: int) -> None:
    """Wrong cleanup policy and missing: exit 2; another group's, or made anew: exit 5; each says how to go on."""
    with scenario_on(fault_kafka, tmp_path, seed, "changelog") as scenario:
        profiles = scenario.settings.topics.profiles
        scorer = scored(scenario)
        set_cleanup(scenario, "delete")
        code, reason = scorer.start(ready=False).ended()
        assert code == 2
        assert f"{profiles}: cleanup.policy is delete, must be compact" in reason
        set_cleanup(scenario, "compact")

        stranger = scenario.scorer("b", LEAD_SCORER__KAFKA__GROUP_ID=f"{scenario.settings.kafka.group_id}-other")
        code, reason = stranger.start(ready=False).ended()
        assert code == 5
        assert "the changelog is another group's" in reason

        delete(scenario, profiles)
        code, reason = scorer.start(ready=False).ended()
        assert code == 2
        assert f"{profiles}: does not exist; `lead-scorer topics create`" in reason

        assert cli(scenario.environ, "topics", "create").returncode == 0
        code, reason = scorer.start(ready=False).ended()
        assert code == 5
        assert "the profiles topic was recreated" in reason
        assert "--rebuild-state" in reason
        scenario.check(scenario.scorer("a", "--rebuild-state").start())


def test_what_peers_left_at_its_tail_is_no_fault(fault_kafka: FaultKafka, tmp_path: Path, seed: int) -> None:
    """Aborted records are none; an open transaction of a dead peer is waited for until its timeout."""
    with scenario_on(fault_kafka, tmp_path, seed, "tail") as scenario:
        scorer = scored(scenario)
        *others, last = range(scenario.settings.topics.partitions)
        for number in others:
            aborting = peer(scenario, number)
            open_transaction(scenario, aborting, number)
            aborting.abort_transaction(30)
        dying = peer(scenario, last)
        scorer.start(ready=False)
        eventually(lambda: scorer.events("starting"))  # it takes half a second to its restore, the transaction less
        open_transaction(scenario, dying, last)
        eventually(lambda: scorer.events("restore_waits"))
        assert scorer.get("/readyz")[0] == 503
        eventually(scorer.ready, within_s=CLEANUP_S)
        scenario.check(scorer)

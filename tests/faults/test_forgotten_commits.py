"""A lone broker that is killed forgets parts of commits that it has confirmed (KAFKA-20734): they are mended."""

from __future__ import annotations

import random
import time
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import pairwise
from threading import Event

from consumer.end_offsets import Place
from consumer.ports import Settlement, Standing, Transaction
from consumer.records import Output
from consumer.wiring import group_offsets, make_transactor
from runtime import kafka
from runtime.clock import SystemClock
from runtime.config import Settings, load
from tests.faults.scenario import CLEANUP_S, here
from tests.faults.servers import FaultKafka
from tests.invariants import Topics, hanging, partition_of
from tests.kafka import Namespace, eventually

OWNERS, OWN_PARTITIONS = 6, 4
"""Instances, and partitions of each: the more markers to write, the more are forgotten."""
CHANGELOG, *_ = OUTPUTS = "profiles", "decisions", "other"
BATCH_BYTES = 1_000_000
TICK_S = 0.2
BACK_S = 90.0


class Owner:
    """The transactions of one instance: in each a record, its number, to every partition of its own in every topic.

    Args:
        settings: Its group is its own, and so is its part of the events topic.
        topics: The outputs' names.
        first: The first of its partitions.

    Attributes:
        places: Where it writes.
        standing: The numbers of the transactions that were committed and not undone again.
    """

    def __init__(self, settings: Settings, topics: list[str], first: int) -> None:
        self.settings = settings
        self.partitions = range(first, first + OWN_PARTITIONS)
        self.standing: list[int] = []
        self.places = [(topic, number) for topic in topics for number in self.partitions]
        self._clock, admin = SystemClock(), kafka.admin(settings)
        offsets = group_offsets(settings, admin)
        self._transactor = make_transactor(settings, admin, offsets, self._clock, lambda text: text, BATCH_BYTES)
        membership = kafka.consumer(settings).consumer_group_metadata()
        self._place = Standing(membership, dict.fromkeys(self.partitions, 1))

    def run(self, stop: Event) -> None:
        """Commits one after the other until told to stop, and makes sure of the last."""
        self._transactor.open()
        number = 0
        while not stop.is_set():
            number += 1
            settlement = self._settled(self._transactor.submit(self._transaction(number)))
            if settlement.committed:
                self.standing.append(number)
            while settlement.postponed:
                settlement = self._settled(self._transactor.verify(self._place, everywhere=False))
        self._settled(self._transactor.verify(self._place, everywhere=False))
        self._transactor.close()

    def _transaction(self, number: int) -> Transaction:
        text, now_ms = str(number).encode(), self._clock.now_ms()
        outputs = [Output(*place, text, text, now_ms) for place in self.places]
        return Transaction(outputs, dict.fromkeys(self.partitions, number), self._place)

    def _settled(self, future: Future[Settlement]) -> Settlement:
        while True:
            try:
                settlement = future.result(TICK_S)
            except TimeoutError:
                self._transactor.give_up_stuck()
                continue
            if settlement.undone:
                self.standing.pop()
            return settlement


def after_the_kill(owners: list[Owner], kill: Callable[[], None]) -> None:
    """Runs the owners, kills the broker under them, and stops them when all have gone on."""
    stop = Event()
    with ThreadPoolExecutor(OWNERS) as pool:
        runs = [pool.submit(owner.run, stop) for owner in owners]

        def more_than(counts: list[int]) -> bool:
            for run in runs:
                if run.done():
                    run.result()  # raises what ended it
            return all(len(owner.standing) > count for owner, count in zip(owners, counts, strict=True))

        try:
            eventually(lambda: more_than([0] * OWNERS))
            kill()
            before = [len(owner.standing) for owner in owners]
            eventually(lambda: more_than(before), within_s=here(BACK_S))
        finally:
            stop.set()
        for run in runs:
            run.result()


def without_one_repeat(numbers: list[int]) -> list[int]:
    """Without the first one that follows its like."""
    again = (index for index, (one, other) in enumerate(pairwise(numbers)) if one == other)
    index = next(again, len(numbers))
    return numbers[:index] + numbers[index + 1 :]


def test_what_a_killed_broker_forgot_of_commits_is_mended(fault_kafka: FaultKafka, seed: int) -> None:
    """Many instances commit without pause: each record of what stands is there once, no partition is left hanging.

    In the changelog one record, the last one before the kill, may stand twice, one behind the other.
    """
    chance = random.Random(seed)
    space = Namespace(fault_kafka.bootstrap_servers, "forgotten")
    numbers = range(OWNERS * OWN_PARTITIONS)
    space.create("events", partitions=len(numbers))
    topics = [space.create(output, partitions=len(numbers)) for output in OUTPUTS]
    owners = []
    for first in numbers[::OWN_PARTITIONS]:
        own = {"LEAD_SCORER__KAFKA__GROUP_ID": space.name(f"group-{first}")}
        owners.append(Owner(load(None, space.environ() | own), topics, first))

    def kill() -> None:
        time.sleep(chance.uniform(2.0, 4.0))  # the moment is what is random here
        fault_kafka.nodes[0].kill()
        fault_kafka.nodes[0].start()

    after_the_kill(owners, kill)
    places = [(topic, number) for topic in topics for number in numbers]
    eventually(lambda: hanging(space.admin, places) == [], within_s=here(CLEANUP_S))
    written: defaultdict[Place, list[int]] = defaultdict(list)
    for topic in topics:
        for message in Topics(owners[0].settings).read(topic):
            written[topic, partition_of(message)].append(int(message.value() or b""))
    for number in numbers:
        place = space.name(CHANGELOG), number
        written[place] = without_one_repeat(written[place])
    assert written == {(topic, number): owner.standing for owner in owners for topic, number in owner.places}
    for owner in owners:
        assert Topics(owner.settings).committed() == dict.fromkeys(owner.partitions, owner.standing[-1])
    space.delete()

"""What the loop does when there is nothing to do."""

from __future__ import annotations

from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import pytest

from consumer.aborts import Aborts
from consumer.dead_letters import Guard
from consumer.loop import RENEW_S, SILENT_S_MAX, Loop
from consumer.ports import Settlement, Standing, Transaction
from consumer.records import Polled
from runtime.errors import KafkaUnavailableError
from scoring.stream_gates import StreamGates
from tests.unit.consumer.fakes import FakeClock

MEMBERSHIP: Any = "generation 7"


class Idle:
    """A loop that owns partition 3, read to offset 7, to which no records come; transactions settle at once."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.submitted: list[Transaction] = []
        self.member: Any = MEMBERSHIP
        self.renewed = 0
        self.renewal = Future[None]()
        source: Any = SimpleNamespace(
            poll=lambda *_: Polled([], {}), membership=lambda: self.member, owned=lambda: {3}, rewind=lambda _: None
        )
        anything: Any = SimpleNamespace(
            give_up_stuck=lambda: None,
            finished=list,
            submit=self._submit,
            verify=self._verify,
            renew=self._renew,
            add_to=lambda *_: None,
            changelog=lambda _: [],
            limit=lambda: 100,
        )
        telemetry: Any = SimpleNamespace(turned=lambda _: None, stage=lambda *_: None, committed=lambda _: None)
        self.loop = Loop(
            source=source,
            transactions=anything,
            restorer=anything,
            processor=anything,
            telemetry=telemetry,
            clock=self.clock,
            guard=Guard(10, 0.5),
            gates=StreamGates(),
            controller=anything,
            purge=anything,
            limits=Aborts(),
        )

    def own(self) -> None:
        """Takes the partition over."""
        self.loop.assignment.add([3])
        self.loop.assignment.partitions[3].activate(7, {})

    def turn(self) -> None:
        """A few turns, in which no time passes."""
        for _ in range(3):
            self.loop.turn()

    def _submit(self, transaction: Transaction) -> Future[Settlement]:
        self.submitted.append(transaction)
        return self._verify(everywhere=True)

    def _renew(self) -> Future[None]:
        self.renewed += 1
        return self.renewal

    def _verify(self, _: object = None, *, everywhere: bool) -> Future[Settlement]:
        assert everywhere
        future: Future[Settlement] = Future()
        future.set_result(Settlement(committed=True))
        return future


def test_a_sign_of_life_once_in_a_while() -> None:
    """It commits where it stands, and then is silent again for as long: only so does a replaced instance learn it."""
    idle = Idle()
    idle.own()
    idle.turn()
    assert idle.submitted == []
    for count in (1, 2):
        idle.clock.sleep(SILENT_S_MAX)
        idle.turn()
        assert idle.submitted == [Transaction([], {3: 7}, Standing(MEMBERSHIP, {3: 1}))] * count


def test_without_partitions_there_is_nothing_to_commit() -> None:
    """An instance more than there are partitions has no offset to send."""
    idle = Idle()
    idle.clock.sleep(SILENT_S_MAX)
    idle.turn()
    assert idle.submitted == []


def test_without_partitions_it_takes_its_id_anew() -> None:
    """Once in a while: another one with its id, which has all partitions, would never hear of it otherwise."""
    idle = Idle()
    idle.renewal.set_result(None)
    idle.turn()
    assert idle.renewed == 0
    for count in (1, 2):
        idle.clock.sleep(RENEW_S)
        idle.turn()
        assert idle.renewed == count
    assert idle.submitted == []


def test_with_partitions_or_without_a_group_it_leaves_its_id_alone() -> None:
    """With them its transactions do it; without a group there is nobody to take turns with."""
    owner, away = Idle(), Idle()
    owner.own()
    away.member = None
    for idle in (owner, away):
        idle.clock.sleep(RENEW_S)
        idle.turn()
        assert idle.renewed == 0


def test_a_renewal_holds_up_transactions_alone() -> None:
    """Not the assignment of a partition, nor a stop; its offset is committed once the renewal has ended."""
    idle = Idle()
    idle.clock.sleep(RENEW_S)
    idle.turn()
    assert idle.renewed == 1
    assert idle.loop.finish(deadline_s=idle.clock.monotonic())
    idle.own()
    idle.clock.sleep(SILENT_S_MAX)
    idle.turn()
    assert idle.submitted == []
    idle.renewal.set_result(None)
    idle.turn()
    assert idle.submitted == [Transaction([], {3: 7}, Standing(MEMBERSHIP, {3: 1}))]


def test_a_renewal_that_is_refused_ends_the_service() -> None:
    """The right to the id was taken away."""
    idle = Idle()
    idle.renewal.set_exception(KafkaUnavailableError("not authorised"))
    idle.clock.sleep(RENEW_S)
    with pytest.raises(KafkaUnavailableError):
        idle.turn()

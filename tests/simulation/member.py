"""The consumer of the events topic: stands in for `confluent_kafka.Consumer` behind `consumer.input.KafkaInput`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from confluent_kafka import OFFSET_END, KafkaError, TopicPartition

from tests.simulation.cluster import EVENTS, Cluster
from tests.simulation.group import Membership
from tests.simulation.kernel import Process
from tests.simulation.messages import SimulatedMessage, fail
from tests.simulation.network import NoAnswerError

Callback = Callable[["MemberConsumer", list[TopicPartition]], None]
POLL_COST_S = 0.0003
STRETCH_S = 0.5
"""A poll may take longer than asked; it is woken early by whatever happens."""
NOTICE_S = 2.0
"""For so long at most a consumer that is out of the group goes on as if it were not."""
LEAVE_S = 1.0


@dataclass(slots=True)
class _Fetch:
    asked_s: float
    """When the brokers will have answered where the end is; the answer overrides a seek (librdkafka#2256)."""
    position: int = -1
    placed: bool = False
    end_told: int = -1


class MemberConsumer:
    """A member of the group, which may be out of it for a while without knowing."""

    def __init__(self, cluster: Cluster, process: Process) -> None:
        self.process = process
        self._cluster, self._kernel = cluster, cluster.kernel
        self._on: dict[str, Callback] = {}
        self._fetches: dict[int, _Fetch] = {}
        self._paused: set[int] = set()
        self._member_id = ""
        self._membership: Membership | None = None
        self._wanted: frozenset[int] | None = None
        self._lost = False
        self._notice_s: float | None = None
        self._closed = False

    # --- as KafkaInput uses it ---

    def subscribe(self, topics: list[str], *, on_assign: Callback, on_revoke: Callback, on_lost: Callback) -> None:
        assert topics == [EVENTS]
        self._on = {"assign": on_assign, "revoke": on_revoke, "lost": on_lost}
        self._join()

    def poll(self, timeout: float) -> SimulatedMessage | None:
        kernel = self._kernel
        kernel.sleep(POLL_COST_S)
        self._heartbeat()
        until_s = kernel.now_s + (max(timeout, kernel.random.random() * STRETCH_S) if timeout > 0 else 0.0)
        while True:
            if self._serve():
                return None
            message = self._next()
            if message is not None:
                return message
            left_s = until_s - kernel.now_s
            if left_s <= 0:
                return None
            kernel.wait(left_s, self.process.signal, *(self._cluster.events(n).changed for n in self._fetches))

    def consume(self, num_messages: int, timeout: float) -> list[SimulatedMessage]:
        assert timeout == 0
        messages: list[SimulatedMessage] = []
        chance = self._kernel.random
        for _ in range(chance.randint(0, num_messages)):
            if chance.random() < 0.02:
                self._serve()
            message = self._next()
            if message is None:
                break
            messages.append(message)
        return messages

    def seek(self, partition: TopicPartition) -> None:
        fetch = self._fetches.get(partition.partition)
        if fetch is None or self._kernel.random.random() < 0.05:
            fail(KafkaError._STATE)
        fetch.position, fetch.end_told = partition.offset, -1
        self._kernel.note("seek", number=partition.partition, offset=partition.offset)

    def pause(self, partitions: list[TopicPartition]) -> None:
        self._set_paused(partitions, paused=True)

    def resume(self, partitions: list[TopicPartition]) -> None:
        self._set_paused(partitions, paused=False)

    def incremental_assign(self, partitions: list[TopicPartition]) -> None:
        for partition in partitions:
            assert partition.offset == OFFSET_END
            answer_s = self._kernel.now_s + self._kernel.random.expovariate(20)
            self._fetches[partition.partition] = _Fetch(answer_s)

    def assignment(self) -> list[TopicPartition]:
        return [TopicPartition(EVENTS, number) for number in self._fetches]

    def memberid(self) -> str:
        return "" if self._membership is None else self._membership.member_id

    def consumer_group_metadata(self) -> Membership:
        assert self._membership is not None
        return self._membership

    def close(self) -> None:
        if self._closed or self.process.dead:
            return
        self._closed = True
        if self._fetches:
            self._call("revoke", list(self._fetches))
            self._fetches.clear()
        if self._member_id:
            self._leave()

    # --- as the group sees it ---

    def synchronise(self, membership: Membership, numbers: frozenset[int]) -> None:
        """A new generation: the membership is known at once, the callbacks wait for a poll."""
        if self._closed or self._lost:
            return
        self._membership, self._wanted = membership, numbers
        unheard = self._cluster.group.owned_by(membership.member_id) - numbers - self._fetches.keys()
        if unheard:  # given in a generation that was over before we heard of it
            self._release(membership, sorted(unheard))
        self.process.signal.fire()

    def _join(self) -> None:
        def ask() -> None:
            request = partial(self._cluster.group.join, self)
            self._member_id = self._cluster.network.call(self.process, request, once=True)
            if self._closed:
                self._leave()

        self._kernel.spawn(self.process, "join", ask)

    def _leave(self) -> None:
        request = partial(self._cluster.group.leave, self._member_id)
        try:
            self._cluster.network.call(self.process, request, timeout_s=LEAVE_S)
        except NoAnswerError:
            self._kernel.note("left without a word")
            self._kernel.at(self._cluster.scenario.session_s, request)

    def _heartbeat(self) -> None:
        """Notices, some time after it has happened, that the group goes on without this member."""
        if not self._member_id or self._cluster.group.knows(self._member_id):
            self._notice_s = None
            return
        if not self._cluster.network.reachable(self.process):
            return
        if self._notice_s is None:
            self._notice_s = self._kernel.now_s + self._kernel.random.random() * NOTICE_S
        if self._kernel.now_s >= self._notice_s:
            self._notice_s = self._membership = self._wanted = None
            self._member_id = ""
            if self._cluster.scenario.has("silent_loss") and self._kernel.random.random() < 0.7:
                self._kernel.note("lost without callback", numbers=list(self._fetches))
                self._fetches.clear()
                self._join()
            else:
                self._lost = True

    def _serve(self) -> bool:
        """Calls back; whether there was anything to tell."""
        if self._lost:
            numbers, self._lost = list(self._fetches), False
            if numbers:
                self._call("lost", numbers)
            self._fetches.clear()
            if self._cluster.scenario.has("deaf") and not self._cluster.calm and self._kernel.random.random() < 0.5:
                self._kernel.note("never looks for its coordinator again")
                return True
            self._join()
            return True
        if self._wanted is None or self._membership is None:
            return False
        wanted, member, self._wanted = self._wanted, self._membership, None
        self._give_up([number for number in self._fetches if number not in wanted], member)
        gained = [number for number in sorted(wanted) if number not in self._fetches]
        if gained or self._kernel.random.random() < 0.2:
            self._call("assign", gained)
            self._cluster.pass_point(self.process, "assigned")
        return True

    def _give_up(self, numbers: list[int], member: Membership) -> None:
        if not numbers:
            return
        self._call("revoke", numbers)
        for number in numbers:
            self._fetches.pop(number, None)
        self._cluster.pass_point(self.process, "revoked")
        self._release(member, numbers)

    def _release(self, member: Membership, numbers: list[int]) -> None:
        release = partial(self._cluster.group.release, member.member_id, numbers)
        self._kernel.spawn(self.process, "release", partial(self._cluster.network.call, self.process, release))

    def _call(self, name: str, numbers: list[int]) -> None:
        self._kernel.note(name, numbers=numbers)
        self._on[name](self, [TopicPartition(EVENTS, number) for number in numbers])

    # --- fetching ---

    def _set_paused(self, partitions: list[TopicPartition], *, paused: bool) -> None:
        """To the client a pause is the application's: it is accepted for, and outlives, any assignment."""
        numbers = {partition.partition for partition in partitions}
        self._paused = self._paused | numbers if paused else self._paused - numbers

    def _next(self) -> SimulatedMessage | None:
        """A record, or the end of a partition, from whichever comes first this time."""
        if not self._fetches or not self._cluster.network.reachable(self.process):
            return None
        numbers = list(self._fetches)
        first = self._kernel.random.randrange(len(numbers)) if len(numbers) > 1 else 0
        for number in (*numbers[first:], *numbers[:first]):
            fetch = self._fetches[number]
            if number not in self._paused:
                message = self._fetch(number, fetch)
                if message is not None:
                    return message
        return None

    def _fetch(self, number: int, fetch: _Fetch) -> SimulatedMessage | None:
        log = self._cluster.events(number)
        if not fetch.placed:
            if self._kernel.now_s < fetch.asked_s:
                return None
            fetch.position, fetch.placed = log.stable_end, True
        found = log.first_committed(fetch.position)
        if found is not None:
            fetch.position = found[0] + 1
            self._kernel.note("fetched", number=number, offset=found[0])
            return SimulatedMessage(number, *found)
        fetch.position = max(fetch.position, log.stable_end)
        if fetch.end_told == fetch.position:
            return None
        fetch.end_told = fetch.position
        self._kernel.note("end", number=number, offset=fetch.position)
        return SimulatedMessage(number, fetch.position, None)

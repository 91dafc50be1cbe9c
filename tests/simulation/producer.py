"""The transactional producer: stands in for `confluent_kafka.Producer` behind `consumer.transactions.Transactor`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NoReturn

from confluent_kafka import KafkaError, TopicPartition

from tests.simulation.cluster import DEAD_LETTERS, Cluster
from tests.simulation.coordinator import Identity, Place, RefusedError
from tests.simulation.group import Membership
from tests.simulation.kernel import Process
from tests.simulation.logs import Entry
from tests.simulation.messages import fail
from tests.simulation.network import LONG_S, NoAnswerError
from tests.simulation.scenario import LARGE_BYTES
from tests.simulation.threads import FOREVER_S

MESSAGE_TIMEOUT_S = 10.0
RETRY_S = 0.03
ABANDON_S = (1.05, 3.0)
"""After how long the client gives the first copy of an end up and sends another one."""
LATE_S = 15.0
AWAY_S = 1.2
"""For at least so long is a broker away that dies and comes back."""
_WAITABLE = {KafkaError.CONCURRENT_TRANSACTIONS, KafkaError.UNSTABLE_OFFSET_COMMIT}
_MEMBERSHIP = {KafkaError.UNKNOWN_MEMBER_ID, KafkaError.ILLEGAL_GENERATION}


class TransactionalProducer:
    """As librdkafka does it: errors say whether to abort, to repeat, or to throw the producer away."""

    def __init__(self, cluster: Cluster, process: Process, transactional_id: str) -> None:
        self._cluster, self._process, self._id = cluster, process, transactional_id
        self._kernel, self._chance, self._scenario = cluster.kernel, cluster.kernel.random, cluster.scenario
        self._identity: Identity | None = None
        self._queue: list[tuple[Place, Entry]] = []
        self._places: set[Place] = set()
        self._offsets_sent = False
        self._decided = False
        """The end was answered, and the client is called again only because it did not say so."""
        self._doomed = False
        self._fatal: int | None = None

    # --- as Transactor uses it ---

    def init_transactions(self, timeout: float) -> None:
        self._identity = self._ask(lambda: self._cluster.coordinator.initialise(self._id), timeout)
        self._cluster.pass_point(self._process, "initialised")

    def begin_transaction(self) -> None:
        self._check()
        self._queue, self._places, self._offsets_sent, self._decided = [], set(), False, False
        forgotten_s = self._cluster.coordinator.forgotten.pop(self._id, None)
        away = forgotten_s is not None and self._kernel.now_s - forgotten_s < AWAY_S
        self._doomed = away or (forgotten_s is not None and self._chance.random() < 0.5)

    def produce(
        self,
        topic: str,
        value: bytes | None,
        key: bytes | None,
        partition: int,
        *,
        timestamp: int,
        headers: list[tuple[str, bytes | None]] | None = None,
    ) -> None:
        self._check()
        if self._hits("retriable"):
            raise BufferError
        self._cluster.pass_point(self._process, "produce")
        self._queue.append(((topic, partition), Entry(key, value, headers, timestamp, None)))
        if self._chance.random() < 0.03:
            self._flush()

    def poll(self, timeout: float) -> None:
        self._kernel.sleep(timeout)

    def flush(self, timeout: float) -> int:
        self._check()
        assert timeout > 0
        self._flush()
        return 0

    def send_offsets_to_transaction(self, offsets: list[TopicPartition], membership: Membership) -> None:
        self._check()
        if not offsets:
            return
        if self._chance.random() < 0.3:
            self._flush()
        self._disturb()
        asked = {offset.partition: (offset.offset, offset.metadata or "") for offset in offsets}
        group, coordinator, identity = self._cluster.group, self._cluster.coordinator, self._held()

        refused = self._hits("refused")

        def request() -> None:
            write = coordinator.add_offsets(identity, group)
            if refused:
                raise RefusedError(KafkaError.ILLEGAL_GENERATION)
            group.add_pending(write, membership, asked)

        self._offsets_sent = True
        self._ask(request)

    def commit_transaction(self) -> None:
        self._check()
        if not self._decided:
            self._flush()
            self._disturb()
        self._end(commit=True)

    def abort_transaction(self) -> None:
        self._check()
        self._queue = []
        self._cluster.pass_point(self._process, "abort")
        if not self._decided and self._hits("retriable"):
            fail(KafkaError._TIMED_OUT, retriable=True)
        if self._places or self._offsets_sent:
            self._end(commit=False)

    # --- how it does it ---

    def _flush(self) -> None:
        """Writes what is queued, a partition at a time, in an order of its own."""
        queue, self._queue = self._queue, []
        coordinator, identity = self._cluster.coordinator, self._held()
        new = {place for place, _ in queue} - self._places
        if new:
            self._places |= new
            self._ask(lambda: coordinator.add_places(identity, new), MESSAGE_TIMEOUT_S, late_aborts=True)
        if self._scenario.has("large") and any(_too_large(place, entry) for place, entry in queue):
            self._kernel.note("a record is too large")
            fail(KafkaError.MSG_SIZE_TOO_LARGE, abort=True)
        groups = list(_by_place(queue))
        self._chance.shuffle(groups)
        cut = self._chance.randint(0, len(groups))
        for part in (groups[:cut], groups[cut:]):
            if part:

                def request(part: list[tuple[Place, list[Entry]]] = part) -> None:
                    for place, entries in part:
                        coordinator.append(identity, place, entries)

                self._ask(request, MESSAGE_TIMEOUT_S, once=True, late_aborts=True)

    def _end(self, *, commit: bool) -> None:
        request = partial(self._cluster.coordinator.end, self._held(), commit=commit)
        if commit and not self._decided and self._hits("unknown_end"):
            self._end_unknown(partial(request, unheard=True))
        if self._hits("late_end"):
            self._kernel.note("an end is under way for long", commit=commit)
            self._kernel.at(self._chance.random() * LATE_S, partial(self._arrive_late, request))
            self._kernel.sleep(self._chance.uniform(*ABANDON_S))

        def decide() -> None:
            request()
            self._cluster.pass_point(self._process, "commit_decided")

        self._ask(decide)
        if not self._decided and self._hits("retriable"):
            self._decided = True
            fail(KafkaError._TIMED_OUT, retriable=True)

    def _end_unknown(self, request: Callable[[], None]) -> None:
        """The client gives up and does not say how the transaction ended."""
        way = self._chance.choice(("arrives", "is lost", "arrives late"))
        self._kernel.note("the end is not known", request=way)
        if way == "arrives":
            self._ask(request)
        elif way == "arrives late":
            self._kernel.at(self._chance.random() * LATE_S, partial(self._arrive_late, request))
        self._fatal = KafkaError._FAIL
        self._check()

    def _arrive_late(self, request: Callable[[], None]) -> None:
        try:
            request()
        except RefusedError as error:
            self._kernel.note("a late end is refused", code=error.code)
        else:
            self._kernel.note("a late end is taken")

    def _ask(
        self,
        request: Callable[[], Any],
        timeout_s: float = LONG_S,
        *,
        once: bool = False,
        late_aborts: bool = False,
    ) -> Any:
        """One request with the client's own retries and its classes of errors."""
        until_s = self._kernel.now_s + timeout_s
        while True:
            try:
                return self._cluster.network.call(
                    self._process, request, timeout_s=until_s - self._kernel.now_s, once=once, writes=True
                )
            except NoAnswerError:
                _too_late(late_aborts)
            except RefusedError as error:
                if error.code not in _WAITABLE:
                    self._refused(error.code)
                elif self._kernel.now_s >= until_s:
                    _too_late(late_aborts)
                self._kernel.sleep(RETRY_S)

    def _refused(self, code: int) -> NoReturn:
        if code in _MEMBERSHIP:
            fail(code, abort=True)
        self._fatal = KafkaError._FENCED if code == KafkaError.INVALID_PRODUCER_EPOCH else code
        fail(self._fatal, fatal=True)

    def _disturb(self) -> None:
        """Errors that a client may report for reasons of its own; or it never says anything again."""
        if self._doomed:
            self._fail_somehow()
        if self._hits("hang"):
            self._kernel.sleep(FOREVER_S)
        if self._hits("retriable"):
            fail(KafkaError._TIMED_OUT, retriable=True)
        if self._hits("abortable"):
            fail(KafkaError._MSG_TIMED_OUT, abort=True)

    def _fail_somehow(self) -> None:
        """The broker has died and come back since the transaction before."""
        way = self._chance.choice(("stuck", "abortable", "fatal", "waits"))
        self._kernel.note("the broker came back", way=way)
        if way == "stuck":
            self._kernel.sleep(FOREVER_S)
        if way == "waits":
            self._doomed = False
            self._kernel.sleep(2 * AWAY_S)
            return
        if way == "fatal":
            self._fatal = KafkaError._FAIL
            self._check()
        fail(KafkaError._MSG_TIMED_OUT, abort=True)

    def _hits(self, kind: str) -> bool:
        if not self._scenario.has(kind) or self._cluster.calm:
            return False
        if self._chance.random() >= self._scenario.error_share:
            return False
        self._kernel.note("error", kind=kind)
        return True

    def _check(self) -> None:
        if self._fatal is not None:
            fail(self._fatal, fatal=True)

    def _held(self) -> Identity:
        assert self._identity is not None
        return self._identity


def _too_large(place: Place, entry: Entry) -> bool:
    headers = sum(len(name) + len(value or b"") + 2 for name, value in entry.headers or [])
    return place[0] == DEAD_LETTERS and len(entry.key or b"") + len(entry.value or b"") + headers + 80 > LARGE_BYTES


def _too_late(aborts: bool) -> NoReturn:
    """A message that was not written in time ends its transaction; any other call may be made again."""
    if aborts:
        fail(KafkaError._MSG_TIMED_OUT, abort=True)
    fail(KafkaError._TIMED_OUT, retriable=True)


def _by_place(queue: list[tuple[Place, Entry]]) -> Iterator[tuple[Place, list[Entry]]]:
    places: dict[Place, list[Entry]] = {}
    for place, entry in queue:
        places.setdefault(place, []).append(entry)
    yield from places.items()

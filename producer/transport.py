"""Bytes to a topic: back-pressure, and failures that reach the caller."""

import contextlib
from collections import deque
from collections.abc import Callable
from functools import partial
from math import ceil
from threading import Lock
from typing import Final, Protocol

from confluent_kafka import KafkaError, KafkaException

from producer.errors import DeliveryError, DeliveryFailure
from runtime.clock import Clock, SystemClock

OnDelivery = Callable[[str, DeliveryFailure | None], None]

_SLICE_S: Final = 0.2  # the client does not notice Ctrl-C while it waits
_PURGED: Final = {
    KafkaError._PURGE_QUEUE: "given up: not delivered in time",
    KafkaError._PURGE_INFLIGHT: "given up: sent but not acknowledged in time, it may have arrived",
}


class Client(Protocol):
    """What is used of `confluent_kafka.Producer`."""

    def produce(self, topic: str, value: bytes | None, key: bytes | None, *, on_delivery: Callable[..., None]) -> None:
        """Queues a record; raises BufferError when the queue is full."""

    def poll(self, timeout: float) -> int:
        """Calls the delivery callbacks that are due."""

    def flush(self, timeout: float) -> int:
        """Waits until the queue is empty; gives what is left in it."""

    def purge(self) -> None:
        """Gives up what is queued and in flight."""

    def __len__(self) -> int: ...


class Transport:
    """Records to one topic, through the client's queue. May be used by several threads.

    A failed delivery is known only later: it is kept, and raised by the next `send`, by `flush` or by `close`.

    A client that could not deliver a record in time may never deliver any (librdkafka#5430): what comes later is sent
    by another one, while the first keeps what it has until that is delivered or timed out.

    Args:
        make_client: Makes a Kafka producer.
        topic: Where the records go.
        queue_timeout_s: How long `send` waits for room in the queue.
        on_delivery: Called for each record with its label and its failure or None, from within the calls here.
        clock: Times the waiting.
    """

    def __init__(
        self,
        make_client: Callable[[], Client],
        topic: str,
        *,
        queue_timeout_s: float,
        on_delivery: OnDelivery | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._make_client, self._client = make_client, make_client()
        self._replaced: list[Client] = []
        self._late = False
        """Whether the present client, not one before it, could not deliver something in time."""
        self._lock = Lock()
        """Nothing may be queued with a client that is replaced: nobody might wait for its report."""
        self._topic = topic
        self._queue_timeout_s = queue_timeout_s
        self._on_delivery = on_delivery
        self._clock = clock or SystemClock()
        self._failures: deque[DeliveryFailure] = deque()  # appended and taken one by one: safe between threads

    def send(self, key: bytes | None, value: bytes | None, label: str) -> None:
        """Queues a record; its delivery is reported under the label, the event id.

        Raises:
            DeliveryError: An earlier record was not delivered (this one is then not queued: call again), this one
                cannot be (too large), or there was no room in the queue for `queue_timeout_s`.
        """
        if self._failures:
            self._raise_failures()
        if not self._queued(key, value, label):
            self._wait_for_room(key, value, label)
        self._poll(0)

    def wait(self, seconds: float) -> None:
        """Lets time pass while deliveries are reported; up to a millisecond more."""
        deadline = self._clock.monotonic() + seconds
        while (left := deadline - self._clock.monotonic()) > 0:
            self._poll(min(left, _SLICE_S))

    def flush(self, timeout_s: float) -> None:
        """Waits until everything sent so far is acknowledged, and gives up what is not in time.

        Afterwards each record is either delivered or was named by an error.

        Raises:
            DeliveryError: Something was not delivered.
        """
        if self._drain(timeout_s):
            clients = self._clients()
            self._late = self._late or bool(len(clients[-1]))
            for client in clients:
                client.purge()
            self._drain(1.0)  # only the reports of what was given up
        self._raise_failures()

    def _drain(self, timeout_s: float) -> int:
        deadline = self._clock.monotonic() + timeout_s
        while (left := deadline - self._clock.monotonic()) > 0:
            if not sum(client.flush(min(left, _SLICE_S)) for client in self._clients()):
                return 0
        return sum(map(len, self._clients()))

    def _clients(self) -> list[Client]:
        with self._lock:
            self._replaced = [client for client in self._replaced if len(client)]
            return [*self._replaced, self._client]

    def _replace_client(self) -> None:
        with self._lock:
            if not self._late:  # another thread was faster
                return
            made = self._make_client()
            if made is not self._client:
                self._replaced.append(self._client)
            self._client, self._late = made, False

    def _poll(self, seconds: float) -> None:
        if self._replaced:
            for client in self._clients()[:-1]:
                client.poll(0)
        # The client cuts its wait to whole milliseconds: rounded up, as the rest would be spent spinning.
        self._client.poll(ceil(1000 * seconds) / 1000)

    def _queued(self, key: bytes | None, value: bytes | None, label: str) -> bool:
        if self._late:
            self._replace_client()
        try:
            with self._lock:
                report = partial(self._report, label, self._client)
                self._client.produce(self._topic, value, key, on_delivery=report)
        except BufferError:
            return False
        except KafkaException as error:
            raise DeliveryError([DeliveryFailure(label, error.args[0].str())]) from error
        return True

    def _wait_for_room(self, key: bytes | None, value: bytes | None, label: str) -> None:
        deadline = self._clock.monotonic() + self._queue_timeout_s
        while (left := deadline - self._clock.monotonic()) > 0:
            self._poll(min(left, _SLICE_S))
            if self._queued(key, value, label):
                return
        reason = f"no room in the client's queue for {self._queue_timeout_s:g} s: the brokers are slow or gone"
        raise DeliveryError([*self._taken_failures(), DeliveryFailure(label, reason)])

    def _report(self, label: str, client: Client, error: KafkaError | None, _record: object) -> None:
        failure = None
        if error is not None:
            if error.code() == KafkaError._MSG_TIMED_OUT and client is self._client:
                self._late = True
            failure = DeliveryFailure(label, _PURGED.get(error.code(), error.str()))
            self._failures.append(failure)
        if self._on_delivery is not None:
            self._on_delivery(label, failure)

    def _taken_failures(self) -> list[DeliveryFailure]:
        taken = []
        with contextlib.suppress(IndexError):
            while True:
                taken.append(self._failures.popleft())
        return taken

    def _raise_failures(self) -> None:
        if taken := self._taken_failures():  # another thread may have been faster
            raise DeliveryError(taken)

"""Stand-ins for what the service takes from `threading`, `queue` and `concurrent.futures`: tasks of the simulation."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection
from concurrent.futures import Future
from queue import Empty
from typing import Any

from tests.simulation.kernel import Kernel, Process, Signal

FOREVER_S = 1e9
STRETCH_S = 0.4
"""A wait for nothing in particular may take longer than asked: it is woken early by whatever happens."""


class Threads:
    """Makes the stand-ins; a thread belongs to the process that made it."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel

    def process(self) -> Process:
        """The process whose turn it is."""
        assert self.kernel.current is not None
        return self.kernel.current.process

    def event(self) -> SimulatedEvent:
        """For `threading.Event`."""
        return SimulatedEvent(self.kernel)

    def queue(self) -> SimulatedQueue:
        """For `queue.SimpleQueue`."""
        return SimulatedQueue(self.kernel, self.process())

    def thread(self, *, target: Callable[[], None], name: str, daemon: bool) -> SimulatedThread:
        """For `threading.Thread`."""
        assert daemon, "it ends with its process"
        return SimulatedThread(self.kernel, self.process(), name, target)

    def wait(self, futures: Collection[Future[Any]], timeout: float) -> None:
        """For `concurrent.futures.wait` on one future."""
        (future,) = futures
        until_s = self.kernel.now_s + max(timeout, self.kernel.random.uniform(0, STRETCH_S))
        while not future.done() and self.kernel.now_s < until_s:
            self.kernel.wait(until_s - self.kernel.now_s, self.process().signal)


class SimulatedEvent:
    """A flag to wait for."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel, self._set, self._signal = kernel, False, Signal()

    def is_set(self) -> bool:
        """Whether it is set."""
        return self._set

    def set(self) -> None:
        """Sets it."""
        self._set = True
        self._signal.fire()

    def wait(self, timeout: float) -> bool:
        """Waits for it."""
        if not self._set:
            self._kernel.wait(timeout, self._signal)
        return self._set


class SimulatedQueue:
    """First in, first out."""

    def __init__(self, kernel: Kernel, process: Process) -> None:
        self._kernel, self._process = kernel, process
        self._items: deque[Any] = deque()
        self._signal = Signal()

    def put(self, item: Any) -> None:
        """Adds an item."""
        self._items.append(item)
        self._signal.fire()
        self._process.signal.fire()

    def get(self, timeout: float | None) -> Any:
        """Takes an item, waiting for one."""
        until_s = self._kernel.now_s + (FOREVER_S if timeout is None else timeout)
        while not self._items and self._kernel.now_s < until_s:
            self._kernel.wait(until_s - self._kernel.now_s, self._signal)
        return self.get_nowait()

    def get_nowait(self) -> Any:
        """Takes an item that is there."""
        if not self._items:
            raise Empty
        return self._items.popleft()


class SimulatedThread:
    """A task that begins with `start`."""

    def __init__(self, kernel: Kernel, process: Process, name: str, target: Callable[[], None]) -> None:
        self._kernel, self._process, self._name, self._target = kernel, process, name, target

    def start(self) -> None:
        """Begins it."""
        self._kernel.spawn(self._process, self._name, self._work)

    def _work(self) -> None:
        self._target()
        self._process.signal.fire()  # somebody may wait for what it did

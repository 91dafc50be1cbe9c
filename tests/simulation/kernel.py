"""Virtual time, and the tasks that take turns in it: what is a thread in the service is a greenlet here.

There is one queue of what is due. Whoever waits gives up its turn, time jumps to what is due next, and who that is
follows from the seed alone: the same seed gives the same run.
"""

from __future__ import annotations

import heapq
import math
import random
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

from greenlet import getcurrent, greenlet  # type: ignore[import-untyped]

_WAITING_MAX = 32
"""So many are kept before those that were woken by something else are swept out."""


class Killed(BaseException):
    """Unwinds the tasks of a process that was killed."""


class Signal:
    """What tasks may wait for."""

    __slots__ = ("_waiting",)

    def __init__(self) -> None:
        self._waiting: list[_Waiting] = []

    def fire(self) -> None:
        """Wakes all who wait."""
        if self._waiting:
            waiting, self._waiting = self._waiting, []
            for one in waiting:
                one.wake()

    def add(self, waiting: _Waiting) -> None:
        """Wakes this one too."""
        if len(self._waiting) > _WAITING_MAX:
            self._waiting = [one for one in self._waiting if not one.woken]
        self._waiting.append(waiting)


class Process:
    """What kill -9 ends and SIGSTOP stops as a whole: its tasks, and by them its clients."""

    def __init__(self, name: str, born_s: float) -> None:
        self.name = name
        self.born_s, self.died_s = born_s, math.inf
        self.dead = False
        self.stopped = False
        self.cut = False
        """Its network is gone."""
        self.writes_cut = False
        """Only its producer cannot reach the brokers."""
        self.silent_since_s: float | None = None
        """Since when the brokers have not heard of it."""
        self.clock_error_ms = 0
        self.signal = Signal()
        """Something happened that its loop may care for."""
        self.healed = Signal()
        self.tasks: list[Task] = []
        self.held: list[Callable[[], None]] = []
        """What fell due while it was stopped."""
        self.armed: dict[str, tuple[int, Callable[[], None]]] = {}
        """Faults that wait for their point: how often it is to be passed before, and what happens there."""


class Task:
    """One line of execution in a process."""

    __slots__ = ("green", "name", "process")

    def __init__(self, process: Process, name: str, green: greenlet) -> None:
        self.process, self.name, self.green = process, name, green


class _Waiting:
    """A task that waits for whatever comes first."""

    __slots__ = ("_kernel", "_task", "woken")

    def __init__(self, kernel: Kernel, task: Task) -> None:
        self._kernel, self._task, self.woken = kernel, task, False

    def wake(self) -> None:
        if not self.woken:
            self.woken = True
            self._kernel.resume_soon(self._task)

    def expire(self) -> None:
        if not self.woken:
            self.woken = True
            self._kernel.resume(self._task)


class Kernel:
    """Runs tasks, one at a time.

    Args:
        seed: Decides everything that is left to chance.
        tracing: Keeps what `note` is told.
    """

    def __init__(self, seed: int, *, tracing: bool = False) -> None:
        self.random = random.Random(seed)
        self.now_s = 0.0
        self.current: Task | None = None
        self.tracing = tracing
        self.notes: list[str] = []
        self.met: Counter[str] = Counter()
        """How often each thing was noted."""
        self._queue: list[tuple[float, int, Callable[[], None]]] = []
        self._sequence = 0
        self._horizon_s = 0.0
        self._hub = getcurrent()
        self._failure: BaseException | None = None

    # --- for the simulated world ---

    def at(self, delay_s: float, call: Callable[[], None]) -> None:
        """Calls something later."""
        self._sequence += 1
        heapq.heappush(self._queue, (self.now_s + delay_s, self._sequence, call))

    def spawn(self, process: Process, name: str, target: Callable[[], Any]) -> None:
        """Begins a task."""

        def body() -> None:
            try:
                target()
            except Killed:
                pass
            except BaseException as error:  # noqa: BLE001 - carried to the hub, which raises it
                self._failure = error

        task = Task(process, name, greenlet(body, self._hub))
        process.tasks.append(task)
        self.resume_soon(task)

    def run(self, done: Callable[[], bool], *, every_s: float, until_s: float) -> bool:
        """Lets time pass until something holds.

        Args:
            done: Asked at times.
            every_s: How often.
            until_s: When to give up.

        Returns:
            Whether it holds.
        """
        self._horizon_s = until_s
        answer = over = False

        def ask() -> None:
            nonlocal answer
            if not over:
                answer = done()
                self.at(every_s, ask)

        self.at(0.0, ask)
        try:
            while not answer and self._queue[0][0] <= until_s:
                self.now_s, _, call = heapq.heappop(self._queue)
                call()
                if self._failure is not None:
                    failure, self._failure = self._failure, None
                    raise failure
        finally:
            over = True
        return answer

    def kill(self, process: Process) -> None:
        """Ends a process where it stands; nothing of it runs again."""
        process.dead, process.died_s = True, self.now_s
        for task in process.tasks:
            if task is not self.current:
                self.at(0.0, partial(self._throw, task))
        if self.current is not None and self.current.process is process:
            raise Killed

    def stop(self, process: Process) -> None:
        """SIGSTOP."""
        process.stopped = True

    def go_on(self, process: Process) -> None:
        """SIGCONT."""
        process.stopped = False
        held, process.held = process.held, []
        for call in held:
            self.at(0.0, call)

    def end(self, processes: list[Process]) -> None:
        """Unwinds all that is left, outside of the run."""
        for process in processes:
            process.dead = True
            for task in process.tasks:
                self._throw(task)

    def note(self, what: str, /, **fields: Any) -> None:
        """Counts that something happened, and adds a line to the trace."""
        self.met[what] += 1
        if self.tracing:
            who = self.current.process.name if self.current is not None else "-"
            told = " ".join(f"{name}={value!r}" for name, value in fields.items())
            self.notes.append(f"{self.now_s:10.4f} {who:<8} {what} {told}")

    # --- for tasks ---

    def sleep(self, seconds: float) -> None:
        """The current task waits."""
        task = self._task()
        until_s = self.now_s + seconds
        if not task.process.stopped and until_s < self._horizon_s and (not self._queue or self._queue[0][0] > until_s):
            self.now_s = until_s  # nobody else is due before: the same as giving up the turn and getting it back
            return
        self.at(seconds, partial(self.resume, task))
        self._hub.switch()

    def wait(self, seconds: float, *signals: Signal) -> None:
        """The current task waits for a signal, and no longer than so many seconds."""
        task = self._task()
        waiting = _Waiting(self, task)
        for signal in signals:
            signal.add(waiting)
        self.at(seconds, waiting.expire)
        self._hub.switch()

    def resume_soon(self, task: Task) -> None:
        """It is the task's turn, after those that are due now."""
        self.at(0.0, partial(self.resume, task))

    def resume(self, task: Task) -> None:
        """It is the task's turn, unless its process is stopped or dead."""
        process = task.process
        if process.dead:
            return
        if process.stopped:
            process.held.append(partial(self.resume, task))
            return
        self.current = task
        task.green.switch()
        self.current = None

    def _task(self) -> Task:
        assert self.current is not None, "only a task can wait"
        return self.current

    def _throw(self, task: Task) -> None:
        if not task.green:  # not begun, or over
            return
        self.current = task
        task.green.throw(Killed)
        self.current = None

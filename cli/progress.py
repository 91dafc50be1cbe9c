"""Progress of long work: a bar where somebody looks on, nothing where the output goes to a file."""

import sys
from types import TracebackType
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


class ProgressBar:
    """A bar on standard error while the block lasts, if that is a terminal.

    Args:
        what: What is done, before the bar.
        total: How much there is to do; None if that is not known.
    """

    def __init__(self, what: str, total: int | None) -> None:
        self._what = what
        self._total = total
        self._bar: Progress | None = None
        self._task: TaskID | None = None

    def __enter__(self) -> Self:
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import Progress

            self._bar = Progress(console=Console(stderr=True), transient=True)
            self._task = self._bar.add_task(self._what, total=self._total)
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    @property
    def seen(self) -> bool:
        """Whether somebody looks on: standard error is a terminal."""
        return self._bar is not None

    def at(self, done: int) -> None:
        """Shows how much is done."""
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=done)

    def say(self, text: str) -> None:
        """Writes a line on standard error, above the bar."""
        if self._bar is not None:
            self._bar.console.print(text, markup=False, highlight=False)
        else:
            sys.stderr.write(text + "\n")

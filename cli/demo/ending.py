"""Requests to end the demo, SIGINT and SIGTERM: heard wherever they come."""

from __future__ import annotations

import signal
from types import FrameType
from typing import Final

SIGNALLED: Final = 128
"""The exit code is so much more than the signal's number, as shells have it."""


class Ending:
    """Ends the program with `SystemExit`, so that everything is stopped on the way out.

    The exception is raised where the signal comes. If that is in a callback that C code calls, as libraries have while
    they train, Python prints it and goes on; so it is raised again at the next `check()`.
    """

    def __init__(self) -> None:
        self._code: int | None = None

    def listen(self) -> None:
        """Hears SIGINT and SIGTERM from now on; only the main thread may call it."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._hear)

    def check(self) -> None:
        """Returns if no end was requested.

        Raises:
            SystemExit: One was.
        """
        if self._code is not None:
            raise SystemExit(self._code)

    def _hear(self, number: int, _frame: FrameType | None) -> None:
        self._code = SIGNALLED + number
        self.check()

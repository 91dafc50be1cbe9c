"""Where the demo is shown: live on a terminal, or as a line every few seconds where there is none."""

from __future__ import annotations

from types import TracebackType
from typing import Final, Protocol, Self

from rich.console import Console
from rich.live import Live

from cli.demo.state import State
from cli.demo.view import render
from cli.demo.wording import by_count, headline, milliseconds, share

_LIVE_EVERY_S: Final = 0.25
_LINE_EVERY_S: Final = 3.0


class Display(Protocol):
    """Shows the demo while the block lasts."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def show(self, state: State, *, last: bool = False) -> None:
        """Shows the state, if it is time again or for the last time."""


class LiveDisplay:
    """Redraws the view on a terminal."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, auto_refresh=False, vertical_overflow="crop")
        self._due_s = 0.0

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def show(self, state: State, *, last: bool = False) -> None:
        """Redraws, a few times a second."""
        if last or state.elapsed_s >= self._due_s:
            self._due_s = state.elapsed_s + _LIVE_EVERY_S
            self._live.update(render(state, self._console.width), refresh=True)


class LineDisplay:
    """Writes a line every few seconds, and one when the phase changes."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._due_s = 0.0
        self._headline = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing is left to do."""

    def show(self, state: State, *, last: bool = False) -> None:
        """Writes a line if it is time."""
        said = headline(state).partition(" It will")[0]
        if said != self._headline:
            self._headline = said
            self._write(f"{state.elapsed_s:6.1f} s  {said}")
        if last or state.elapsed_s >= self._due_s:
            self._due_s = state.elapsed_s + _LINE_EVERY_S
            self._write(progress_line(state))

    def _write(self, line: str) -> None:
        self._console.print(line, highlight=False, markup=False, soft_wrap=True)


def progress_line(state: State) -> str:
    """The state in one line."""
    sample = state.latest
    by_decision = {name: sum(n for (d, _), n in sample.decisions.items() if d == name) for name in state.decisions}
    parts = [
        f"sent {state.sent:,}",
        f"decided {sample.decided:,} ({by_count(by_decision) or 'none yet'})",
        f"{state.decided_per_s:,.0f}/s",
        "p50/p95/p99 " + "/".join(milliseconds(sample.last_minute_ms.get(p)) for p in ("p50", "p95", "p99")),
        f"fallback {share(sample.scored_by('RULES'), sample.decided)}",
        f"breaker {sample.breaker.replace('_', '-')}",
        f"lag {sample.lag_records:,}",
    ]
    return f"{state.elapsed_s:6.1f} s  {', '.join(parts)}"


def display(console: Console) -> Display:
    """The display that fits the output."""
    return LiveDisplay(console) if console.is_terminal and not console.is_dumb_terminal else LineDisplay(console)

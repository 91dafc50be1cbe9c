"""A request to end is heard, also where a library swallows it."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import suppress

import pytest

from cli.demo.ending import Ending


@pytest.fixture
def ending() -> Iterator[Ending]:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    made = Ending()
    made.listen()
    yield made
    for number, handler in before.items():
        signal.signal(number, handler)


def test_without_a_request_all_goes_on(ending: Ending) -> None:
    """Nothing is raised."""
    ending.check()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_request_that_is_swallowed_is_heard_at_the_next_step(
    ending: Ending, number: signal.Signals, code: int
) -> None:
    """With the exit code that shells give it, as it is where the signal comes."""
    heard = []
    with suppress(SystemExit):  # as a callback of C code does
        try:
            os.kill(os.getpid(), number)
            signal.sigtimedwait([], 1.0)  # for the interpreter to run the handler
        except SystemExit as error:
            heard.append(error.code)
            raise
    with pytest.raises(SystemExit) as again:
        ending.check()
    assert [*heard, again.value.code] == [code, code]

"""Calls on threads that nobody waits for."""

from __future__ import annotations

import subprocess
import sys
import threading

import pytest

from consumer.detached import detached


def test_a_call_gives_what_it_returns() -> None:
    """On a thread of that name."""
    assert detached("there", lambda: threading.current_thread().name).result(timeout=10) == "there"


def test_a_call_gives_what_it_raises() -> None:
    """To whoever asks for its result."""

    def fail() -> None:
        raise ValueError("why")

    with pytest.raises(ValueError, match="why"):
        detached("there", fail).result(timeout=10)


def test_a_call_that_never_comes_back_keeps_no_process_alive() -> None:
    """As of a client that has forgotten its coordinator (librdkafka#5511)."""
    program = "from threading import Event; from consumer.detached import detached; detached('stuck', Event().wait)"
    assert subprocess.run([sys.executable, "-c", program], timeout=10, check=False).returncode == 0

"""The life of a server process, with a shell as the server."""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from runtime.local_process import LocalProcess, free_ports
from runtime.unavailable import UnavailableError
from tests.kafka import PATIENCE_S, eventually

SERVER = "trap 'echo bye; exit 0' TERM; echo ready; while :; do sleep 0.01; done"
PARENT = """
import sys
from pathlib import Path
from runtime.local_process import LocalProcess
server = LocalProcess("server", ["sh", "-c", sys.argv[2]], Path(sys.argv[1]), "ready")
server.start()
print("ready", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[LocalProcess]:
    made = LocalProcess("server", ["sh", "-c", SERVER], tmp_path, "ready")
    made.start()
    yield made
    made.kill()


def test_a_started_server_is_ready_and_has_its_own_pid(server: LocalProcess) -> None:
    """`start` returns when the server has said its line, and `pid` is that of the server itself."""
    assert "ready" in server.said()
    assert server.pid is not None
    os.kill(server.pid, signal.SIGTERM)
    eventually(lambda: "bye" in server.said())


def test_stop_lets_the_server_say_goodbye(server: LocalProcess) -> None:
    """`stop` sends SIGTERM and waits for the end."""
    server.stop()
    assert server.said().splitlines() == ["ready", "bye"]
    assert server.pid is None


def test_kill_does_not(server: LocalProcess) -> None:
    """`kill` is a crash: the server does nothing more."""
    server.kill()
    assert server.said().splitlines() == ["ready"]
    assert server.pid is None


def test_a_server_starts_again_after_a_kill(server: LocalProcess) -> None:
    """After an end of any kind `start` works, and its log begins anew while the file keeps the old one."""
    server.kill()
    server.start()
    assert server.said().splitlines() == ["ready"]
    assert server.log.read_text().splitlines() == ["ready", "ready"]


def test_a_paused_server_stands_still(server: LocalProcess) -> None:
    """`pause` stops the process, `resume` lets it go on."""
    assert server.pid is not None
    server.pause()
    assert os.waitid(os.P_PID, server.pid, os.WSTOPPED)
    server.resume()
    assert os.waitid(os.P_PID, server.pid, os.WCONTINUED)


def test_a_paused_server_can_be_stopped(server: LocalProcess) -> None:
    """`stop` after `pause` is as clean as without."""
    server.pause()
    server.stop()
    assert server.said().splitlines() == ["ready", "bye"]


def test_ending_twice_is_harmless(server: LocalProcess) -> None:
    """`stop` and `kill` of a server that does not run do nothing."""
    server.stop()
    server.stop()
    server.kill()
    assert server.pid is None


def test_a_server_that_ends_at_once_says_why(tmp_path: Path) -> None:
    """A failed start is one line with the first error of the log, and nothing runs."""
    broken = LocalProcess(
        "server", ["sh", "-c", "echo hm; echo ERROR no disk; echo at line 7; exit 1"], tmp_path, "ready"
    )
    with pytest.raises(UnavailableError, match=r"^server did not start: ERROR no disk \(log: .*\)$"):
        broken.start()
    assert broken.pid is None


def test_a_killed_parent_takes_its_server_along(tmp_path: Path) -> None:
    """When the process that started a server dies by SIGKILL, the server is killed too."""
    os.mkfifo(tmp_path / "alive")  # the server holds one end: when it is gone, the other end is at its end
    alive = os.open(tmp_path / "alive", os.O_RDONLY | os.O_NONBLOCK)
    command = [sys.executable, "-c", PARENT, str(tmp_path), f"exec 5>alive; {SERVER}"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "ready\n"
        with pytest.raises(BlockingIOError):
            os.read(alive, 1)
        parent.kill()
    select.select([alive], [], [], PATIENCE_S)
    assert os.read(alive, 1) == b""
    os.close(alive)


def test_free_ports_are_free_and_different() -> None:
    """Each port can be listened on, below those that outgoing connections use."""
    ports = free_ports(10)
    assert len(set(ports)) == 10
    for port in ports:
        assert port < 32_768
        socket.create_server(("127.0.0.1", port)).close()

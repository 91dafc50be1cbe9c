"""A server process that does not outlive its parent, and the ports it listens on."""

from __future__ import annotations

import secrets
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from runtime.unavailable import UnavailableError

READY_S = 90  # a start takes 3 to 6 s; three brokers on two busy cores took 30
STOP_S = 30  # from the polite signal to the other one
POLL_S = 0.05

# The kernel closes our end of the pipe when we die, however we die; the read then fails and the server is killed. A
# line disarms it. The server itself is `exec`ed: its pid is that of the Popen. (PR_SET_PDEATHSIG is Linux only, and
# fires when the *thread* that started the server ends.)
GUARD = 'exec 3<&0 </dev/null; { read -r _ <&3 || kill -9 $$; } & exec "$@" 3<&-'
# Below the range from which kernels take the ports of outgoing connections (32768 on Linux): a server that is down must
# find its port free when it comes back.
PORTS = range(20_000, 32_000)


class LocalProcess:
    """A server that can be started again after any end; it is killed when this process ends without stopping it."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        directory: Path,
        ready_line: str,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self.name = name
        self._environ = environ  # None: that of this process
        self.log = directory / "server.log"
        self._command, self._directory, self._ready_line = list(command), directory, ready_line
        self._process: subprocess.Popen[bytes] | None = None
        self._log_start = 0

    @property
    def pid(self) -> int | None:
        """The server's process id while it runs."""
        return self._process.pid if self._process and self._process.poll() is None else None

    def start(self, *, wait: bool = True) -> None:
        """Starts the server; with `wait` returns when it is ready.

        Raises:
            UnavailableError: It did not become ready.
        """
        assert self.pid is None, f"{self.name} runs already"
        with self.log.open("ab") as log:
            self._log_start = log.tell()
            self._process = subprocess.Popen(  # noqa: S603 - the command is ours
                ["/bin/sh", "-c", GUARD, "sh", *self._command],
                cwd=self._directory,
                env=self._environ,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for us: we stop the server when we no longer need it
            )
        if wait:
            self.wait_ready()

    def wait_ready(self) -> None:
        """Returns once this very process says so in its log; a port that answers could be another's.

        Raises:
            UnavailableError: It ended, or 90 s have passed.
        """
        deadline = time.monotonic() + READY_S
        while self._ready_line not in (said := self.said()):
            if self.pid is None or time.monotonic() > deadline:
                self.kill()
                raise UnavailableError(f"{self.name} did not start: {_essence(said)} (log: {self.log})")
            time.sleep(POLL_S)

    def said(self) -> str:
        """The log since the last start."""
        with self.log.open("rb") as log:
            log.seek(self._log_start)
            return log.read().decode(errors="replace")

    def stop(self) -> None:
        """SIGTERM, and SIGKILL after 30 s; nothing if it does not run."""
        if self._process is None:
            return
        self.resume()  # a stopped process does not see the signal
        self._signal(signal.SIGTERM)
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:  # a broker that has lost its quorum does not stop by itself
            self._signal(signal.SIGKILL)
        self._reap()

    def kill(self) -> None:
        """SIGKILL, as a crash; nothing if it does not run."""
        self._signal(signal.SIGKILL)
        self._reap()

    def pause(self) -> None:
        """SIGSTOP: the process is there, its connections stay open, and it does not answer."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT: it goes on after `pause`."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)  # polls first: a pid that was reaped gets no signal

    def _reap(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.wait()
        assert process.stdin is not None
        with suppress(BrokenPipeError):  # the guard was killed too
            process.stdin.write(b"\n")  # it must not kill whoever gets this pid next
            process.stdin.close()


def free_ports(count: int) -> list[int]:
    """Ports of 127.0.0.1 on which nobody listens now, and which no outgoing connection takes while a server is down."""
    found: list[int] = []
    for port in secrets.SystemRandom().sample(PORTS, len(PORTS)):
        if len(found) == count:
            return found
        try:
            socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            continue
        found.append(port)
    raise OSError(f"no {count} free ports from {PORTS.start} to {PORTS.stop}")


def _essence(log: str) -> str:
    """The line of a log that tells most in one line: its first error, else its last line."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    errors = [line for line in lines if "ERROR" in line or "FATAL" in line or "Error" in line or "Exception" in line]
    return (errors or lines[-1:] or ["it said nothing"])[0][:300]

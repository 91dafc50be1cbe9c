"""The real `lead-scorer run` as a process of the demo's own."""

from __future__ import annotations

import http.client
import json
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from cli.demo.sample import Sample, read_sample
from runtime.clock import Clock
from runtime.errors import FatalError
from runtime.local_process import LocalProcess
from runtime.unavailable import UnavailableError

FAULT: Final = "hang@signal"
"""The worst outage: calls that never return; only the deadline and the breaker end them."""

_READY_S: Final = 60.0
_POLL_S: Final = 0.05
_HTTP_S: Final = 5.0


class Scorer:
    """A service; a context manager that starts it, returns when it is ready, and stops it.

    Args:
        directory: Where it works and logs.
        environ: Its environment, with its configuration in it.
        config: Its configuration file.
        clock: Times samples and waiting.
    """

    def __init__(self, directory: Path, environ: Mapping[str, str], config: Path | None, clock: Clock) -> None:
        directory.mkdir()
        file = [] if config is None else ["--config", str(config)]
        command = [sys.executable, "-P", "-m", "cli", *file, "run", "--inject", FAULT]
        self._process = LocalProcess("the scorer", command, directory, '"event": "starting"', environ)
        self._clock = clock
        self._port = 0

    def __enter__(self) -> Self:
        """Starts it.

        Raises:
            FatalError: It ended, or was not ready in time.
        """
        try:
            self._process.start()
        except UnavailableError as error:
            raise FatalError(str(error)) from error
        try:
            self._port = next(line["http_port"] for line in self._log() if line["event"] == "starting")
            self._wait_ready()
        except BaseException:  # also Ctrl-C
            self._process.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.stop()

    @property
    def address(self) -> str:
        """Where its metrics and status are."""
        return f"http://127.0.0.1:{self._port}"

    def toggle_outage(self) -> None:
        """Begins the model's outage, or ends it."""
        if (pid := self._process.pid) is not None:
            os.kill(pid, signal.SIGUSR1)

    def sample(self) -> Sample | None:
        """How it stands; None if it does not answer just now.

        Raises:
            FatalError: It has ended.
        """
        try:
            status, metrics = self._get("/status"), self._get("/metrics")
        except (OSError, http.client.HTTPException):
            self._check_alive()
            return None
        return read_sample(self._clock.monotonic(), metrics[1], json.loads(status[1]))

    def stop(self) -> int | None:
        """Stops it politely; its exit code by its own last word, or None if it did not get to say one."""
        self._process.stop()
        ends = [line["exit_code"] for line in self._log() if "exit_code" in line]
        return ends[-1] if ends else None

    def _wait_ready(self) -> None:
        deadline = self._clock.monotonic() + _READY_S
        while True:
            self._check_alive()
            try:
                code, body = self._get("/readyz")
            except (OSError, http.client.HTTPException) as error:
                code, body = 0, str(error)
            if code == http.client.OK:
                return
            if self._clock.monotonic() > deadline:
                raise FatalError(f"the scorer was not ready after {_READY_S:g} s: {body.strip()}")
            self._clock.sleep(_POLL_S)

    def _check_alive(self) -> None:
        if self._process.pid is None:
            reasons = [line["reason"] for line in self._log() if "reason" in line and "exit_code" in line]
            said = reasons or self._process.said().strip().splitlines() or ["it said nothing"]
            raise FatalError(f"the scorer ended: {said[-1]}")

    def _get(self, path: str) -> tuple[int, str]:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=_HTTP_S)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def _log(self) -> list[dict[str, Any]]:
        found = []
        for line in self._process.said().splitlines():
            try:
                entry = json.loads(line)
            except ValueError:
                continue  # of another program, or half written
            if isinstance(entry, dict) and "event" in entry:
                found.append(entry)
        return found

"""The real `lead-scorer run` as a process that tests start, ask, kill, pause and stop."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.kafka import eventually

READY_S = 40.0
ENDS_S = 120.0
"""For a service that first tries for as long as its transactions may take, beside brokers that are away."""


class Scorer:
    """One instance; `start` again after `kill` or `stop` keeps its id."""

    def __init__(self, environ: Mapping[str, str], instance_id: str, directory: Path, *arguments: str) -> None:
        self.instance_id = instance_id
        self.log_path = directory / f"{instance_id}.log"
        self._arguments = arguments
        self._environ = {
            **os.environ,
            "LEAD_SCORER__MODEL__DIRECTORY": str(directory / "models"),
            "LEAD_SCORER__HTTP__PORT": "0",
            "LEAD_SCORER__LOGGING__FORMAT": "json",
            **environ,
            "LEAD_SCORER__KAFKA__INSTANCE_ID": instance_id,
        }
        self._process: subprocess.Popen[bytes] | None = None
        self._log_from = 0

    def start(self, *, ready: bool = True) -> Scorer:
        """Starts the process, by default up to readiness."""
        self._log_from = self.log_path.stat().st_size if self.log_path.exists() else 0
        command = [str(Path(sys.executable).with_name("lead-scorer")), "run", *self._arguments]
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(command, env=self._environ, stdout=log, stderr=log)
        if ready:
            eventually(self.ready, within_s=READY_S)
        return self

    @property
    def pid(self) -> int:
        """Of the process that was started last."""
        assert self._process is not None, "start() comes first"
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self._process is not None and self._process.poll() is None

    def signal(self, number: signal.Signals) -> None:
        """Sends a signal."""
        assert self._process is not None, "start() comes first"
        self._process.send_signal(number)

    def kill(self) -> None:
        """SIGKILL: no chance to clean up."""
        self.signal(signal.SIGKILL)
        self.wait()

    def stop(self, within_s: float = 12.0) -> int:
        """SIGTERM; returns the exit code."""
        self.signal(signal.SIGTERM)
        return self.wait(within_s)

    def wait(self, within_s: float = 40.0) -> int:
        """Waits for the end; returns the exit code."""
        assert self._process is not None, "start() comes first"
        return self._process.wait(within_s)

    def ended(self) -> tuple[int, str]:
        """Waits for an end of its own accord; the exit code, and the reason on its last line."""
        code = self.wait(ENDS_S)
        last = self.log()[-1]
        assert (last["event"], last["exit_code"]) == ("ended", code)
        return code, last["reason"]

    def log(self) -> list[dict[str, Any]]:
        """The log lines since the last start, without one that is being written."""
        written, _, _ = self.log_path.read_bytes()[self._log_from :].rpartition(b"\n")
        return [json.loads(line) for line in written.splitlines() if line.startswith(b"{")]

    def events(self, name: str) -> list[dict[str, Any]]:
        """The log lines of an event name."""
        return [line for line in self.log() if line["event"] == name]

    def get(self, path: str) -> tuple[int, str]:
        """Status and body of an HTTP answer; status 0 while nobody listens."""
        ports = [line["http_port"] for line in self.events("starting")]
        if not ports:
            return 0, ""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{ports[-1]}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return 0, ""

    def ready(self) -> bool:
        """Whether /readyz says so; fails if the process has ended."""
        assert self.running, f"{self.instance_id} ended:\n{self.log_path.read_text()[-3000:]}"
        return self.get("/readyz")[0] == 200

    def metrics(self) -> dict[str, float]:
        """Samples of /metrics by name with labels, as exposed."""
        lines = self.get("/metrics")[1].splitlines()
        samples = (line.rsplit(" ", 1) for line in lines if line and not line.startswith("#"))
        return {name: float(value) for name, value in samples}

    def status(self) -> dict[str, Any]:
        """/status."""
        found: dict[str, Any] = json.loads(self.get("/status")[1])
        return found

    def close(self) -> None:
        """Ends whatever is left of it."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()


@contextmanager
def scorers(
    environ: Mapping[str, str], directory: Path, *instance_ids: str, arguments: Sequence[str] = ()
) -> Iterator[list[Scorer]]:
    """Instances with their ids, not started; what still runs at the end is killed."""
    found = [Scorer(environ, instance_id, directory, *arguments) for instance_id in instance_ids]
    try:
        yield found
    finally:
        for scorer in found:
            scorer.close()

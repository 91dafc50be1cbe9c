"""The processes that are compared: the service as it is installed, by rules or with a model, the echo, a plain loop."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

SERVICE = [str(Path(sys.executable).with_name("lead-scorer")), "run"]
COMMANDS = {
    "rules": SERVICE,
    "model": SERVICE,
    "echo": [sys.executable, "-m", "benchmarks.echo"],
    "naive": [sys.executable, "-m", "benchmarks.naive"],
}
STOP_S = 30.0


class Contestant:
    """One process, started with the configuration in its environment."""

    def __init__(self, name: str, environ: Mapping[str, str], directory: Path, *arguments: str) -> None:
        self.name = name
        self.log_path = directory / f"{environ['LEAD_SCORER__KAFKA__INSTANCE_ID']}.log"
        self._log = self.log_path.open("wb")
        own = {
            "LEAD_SCORER__MODEL__DIRECTORY": str(directory / ("no-models" if name == "rules" else "models")),
            "LEAD_SCORER__HTTP__PORT": "0",
            "LEAD_SCORER__LOGGING__FORMAT": "json",
        }
        self._process = subprocess.Popen(
            [*COMMANDS[name], *arguments], env={**os.environ, **own, **environ}, stdout=self._log, stderr=self._log
        )

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def signal(self, number: signal.Signals) -> None:
        """Sends a signal."""
        self._process.send_signal(number)

    def check(self) -> None:
        """Fails, with the end of its log, once it has ended."""
        assert self._process.poll() is None, f"{self.name} ended:\n{self.log_path.read_text()[-3000:]}"

    def stop(self) -> None:
        """Ends it, by force if it does not."""
        self._process.terminate()
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()


@contextmanager
def contestant(name: str, environ: Mapping[str, str], directory: Path, *arguments: str) -> Iterator[Contestant]:
    """Runs one, and stops it at the end."""
    started = Contestant(name, environ, directory, *arguments)
    try:
        yield started
    finally:
        started.stop()

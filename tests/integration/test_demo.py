"""`lead-scorer demo` as a user meets it: from nothing to a summary, and nothing left behind however it ends."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient

from cli.demo.environment import PREFIX
from runtime.broker import Broker
from tests.kafka import PATIENCE_S, eventually

ENDS_S = 150.0  # a loaded machine trains for half a minute
NAME = re.compile(rf"{PREFIX}[0-9a-f]{{8}}")


class Demo:
    """A demo in a process of its own."""

    def __init__(self, broker: Broker, folder: Path, *arguments: str) -> None:
        self._said, self._files = folder / "said", folder / "files"
        self._files.mkdir()
        command = [sys.executable, "-P", "-m", "cli", "demo", "--bootstrap-servers", broker.bootstrap_servers]
        environ = {**os.environ, "TMPDIR": str(self._files), "PYTHONUNBUFFERED": "1"}
        with self._said.open("w") as said:
            self._process = subprocess.Popen(
                [*command, *arguments], cwd=folder, env=environ, stdout=said, stderr=subprocess.STDOUT
            )
        self._admin = AdminClient({"bootstrap.servers": broker.bootstrap_servers})

    @property
    def output(self) -> str:
        """All that it has said."""
        return self._said.read_text()

    def wait_for(self, text: str) -> None:
        """Until it has said so."""

        def said() -> bool:
            ended = self._process.poll() is not None
            assert not ended or text in self.output, self.output
            return text in self.output

        eventually(said, within_s=ENDS_S)

    def wait(self) -> int:
        """Until it has ended: its exit code."""
        return self._process.wait(ENDS_S)

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    @property
    def services(self) -> list[int]:
        """The process ids of its scorers."""
        found = []
        for status in Path("/proc").glob("[0-9]*/stat"):
            try:
                parent = int(status.read_text().rpartition(")")[2].split()[1])
                command = (status.parent / "cmdline").read_text().split("\0")
            except OSError:
                continue  # it has ended meanwhile
            if parent == self._process.pid and command[3:5] == ["cli", "run"]:
                found.append(int(status.parent.name))
        return found

    def topics(self) -> list[str]:
        """What of it is on the broker."""
        (name,) = set(NAME.findall(self.output))
        return [topic for topic in self._admin.list_topics(timeout=PATIENCE_S).topics if topic.startswith(name)]

    def check_nothing_is_left(self, services: list[int]) -> None:
        """No topic, no process, no file."""
        eventually(lambda: not self.topics())
        assert not any(Path(f"/proc/{pid}").exists() for pid in services)
        assert list(self._files.iterdir()) == []

    def close(self) -> None:
        """Ends it, and deletes what it left on the broker."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        if NAME.search(self.output) and (topics := self.topics()):
            for deleted in self._admin.delete_topics(topics).values():
                deleted.result(PATIENCE_S)


@pytest.fixture
def demo(kafka: Broker, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Demo]:
    made = Demo(kafka, tmp_path, *request.param)
    yield made
    made.close()


@pytest.mark.parametrize("demo", [("--events", "1500", "--rate", "300", "--seed", "7")], indirect=True)
def test_the_demo_shows_outage_and_recovery_and_proves_one_outcome_each(demo: Demo) -> None:
    """Model, outage, fallback, recovery; every topic is read back; exit 0, and the broker is as it was."""
    assert demo.wait() == 0, demo.output
    output = " ".join(demo.output.split())
    for part in (
        "All is well.",
        "1,500 events",
        "OUTAGE",
        "the model again",
        "the model hung for",
        "of the decisions by rules: ",
        "ROC-AUC",
        "1,500 of 1,500 input offsets have exactly one outcome",
    ):
        assert part in output, part
    demo.check_nothing_is_left([])


@pytest.mark.parametrize("demo", [("--events", "20000")], indirect=True)
def test_ctrl_c_ends_everything(demo: Demo) -> None:
    """In the midst of the traffic: scorer, topics and files are gone."""
    demo.wait_for("sent ")
    services = demo.services
    assert len(services) == 1
    demo.signal(signal.SIGINT)
    assert demo.wait() == 130, demo.output
    demo.check_nothing_is_left(services)


@pytest.mark.parametrize("demo", [()], indirect=True)
def test_a_request_to_end_is_heard_before_the_traffic(demo: Demo) -> None:
    """While the model is trained: nothing is left of what there was."""
    demo.wait_for("training a model")
    demo.signal(signal.SIGTERM)
    assert demo.wait() == 143, demo.output
    demo.check_nothing_is_left([])


@pytest.mark.parametrize("demo", [("--events", "20000", "--keep-topics")], indirect=True)
def test_a_scorer_that_dies_ends_the_demo(demo: Demo) -> None:
    """With a word about it, and exit code 1; the topics stay, as asked, to look at."""
    demo.wait_for("sent ")
    (service,) = demo.services
    os.kill(service, signal.SIGKILL)
    assert demo.wait() == 1, demo.output
    assert "lead-scorer: the scorer ended" in demo.output
    assert f"{NAME.findall(demo.output)[0]}.decisions" in demo.topics()

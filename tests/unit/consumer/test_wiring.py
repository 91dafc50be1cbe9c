"""What an instance waits for before it reads, and how it says so."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from consumer.telemetry import MetricsTelemetry, Progress
from consumer.wiring import _codecs
from runtime.config import SchemaRegistry, Settings
from runtime.errors import ConfigurationError
from runtime.metrics import Metrics
from schemas.codec import Codec, RegistryUnavailableError
from schemas.errors import RegistryRefusedError
from scoring.policy import Policy
from tests.unit.consumer.bench import exposed
from tests.unit.consumer.fakes import FakeClock


class Bench:
    """The codecs of a service whose registry answers as the test says."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *answers: Exception | None) -> None:
        self.clock = FakeClock()
        self.metrics = Metrics(["nurture"], self.clock)
        self.progress = Progress(self.clock)
        self.longest_silence_s = 0.0
        self._answers = list(answers)
        monkeypatch.setattr(Codec, "register", lambda _: self._register())

    def _register(self) -> bytes:
        self.clock.sleep(20.0)
        stuck = self.progress.stuck()
        self.longest_silence_s = max(self.longest_silence_s, stuck[1] if stuck else 0.0)
        answer = self._answers.pop(0) if self._answers else None
        if answer is not None:
            raise answer
        return b""

    def codecs(self) -> None:
        settings = Settings(schema_registry=SchemaRegistry(url="http://registry:8081"))
        telemetry = MetricsTelemetry(self.metrics, self.progress, self.clock)
        _codecs(settings, Policy.load("default"), telemetry, self.clock)


def test_waiting_for_the_registry_is_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long it is away, and however slowly it answers: a restart would help nobody."""
    bench = Bench(monkeypatch, *[RegistryUnavailableError("no answer")] * 20)
    bench.codecs()
    assert bench.longest_silence_s == 0.0
    assert bench.progress.phase == "register"


def test_waiting_for_the_registry_is_counted_and_told_rarely(monkeypatch: pytest.MonkeyPatch) -> None:
    """The 1st, 2nd, 4th, 8th and 16th of twenty failures are logged."""
    bench = Bench(monkeypatch, *[RegistryUnavailableError("no answer")] * 20)
    with capture_logs() as logs:
        bench.codecs()
    assert [line["tries"] for line in logs if line["event"] == "registry_unavailable"] == [1, 2, 4, 8, 16]
    assert exposed(bench.metrics)['lead_scorer_errors_total{kind="registry"}'] == 20


def test_a_schema_that_the_registry_refuses_is_a_configuration_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    """No waiting makes it compatible: exit 2."""
    with pytest.raises(ConfigurationError, match="refuses a schema"):
        Bench(monkeypatch, RegistryRefusedError("incompatible")).codecs()

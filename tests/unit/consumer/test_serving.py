"""The model as the service has it: what operators see when one is loaded, refused, removed, or fails."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from consumer.serving import Serving
from runtime.config import Settings
from runtime.metrics import Metrics
from scoring.breaker import BreakerState, Transition
from scoring.listener import CallFailure, Load
from scoring.model import Model
from tests.unit.consumer.bench import exposed
from tests.unit.consumer.fakes import START_MS, FakeClock


class Bench:
    """A service's model side over an empty model directory, and the page of metrics."""

    def __init__(self, directory: Path) -> None:
        self.directory, self.clock = directory / "models", FakeClock()
        settings = Settings.model_validate({"model": {"directory": str(self.directory), "poll_s": 60}})
        self.metrics = Metrics(["nurture"], self.clock)
        self.serving = Serving(settings, self.clock)

    def started(self) -> Bench:
        self.serving.start(self.metrics)
        return self

    def load(self, version: str) -> None:
        """As the reload does: the model first, then the news of it."""
        self.serving.offer(model(version))
        self.serving.on_load(Load("loaded", version, "sha256"))

    def promote(self, text: str) -> None:
        self.directory.mkdir(exist_ok=True)
        (self.directory / "champion").write_text(text)

    def __getitem__(self, name: str) -> float:
        return exposed(self.metrics)[f"lead_scorer_{name}"]

    def models(self) -> list[str]:
        return [name for name in exposed(self.metrics) if "model_info" in name]

    def reason(self) -> str | None:
        """Why the rules answer; None if the model does."""
        return self.serving.scorer.score(np.zeros((1, 5)), np.array([0.3])).fallback_reasons[0]


def model(version: str, mean: float = 12.5) -> Model:
    """As much of a model as is asked for here."""
    manifest = SimpleNamespace(baseline={"engagement_score": SimpleNamespace(mean=mean)})

    def predict(rows: Any) -> Any:
        return np.full(len(rows), 0.9)

    made = SimpleNamespace(
        version=version, manifest=manifest, arrange=lambda rows: rows, predict=predict, fresh_predict=lambda: predict
    )
    return cast(Model, made)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.serving.close()


def test_it_starts_without_a_model(bench: Bench) -> None:
    """The rules answer, nothing is counted as a load, and the gauge of the model is absent."""
    bench.started()
    assert bench.reason() == "no_model"
    assert (bench['model_loads_total{result="loaded"}'], bench['model_loads_total{result="refused"}']) == (0, 0)
    assert bench.models() == []
    assert bench.serving.model_status() == {"version": None, "alias": "champion", "loaded_at": None}


def test_the_breaker_is_known_from_the_start(bench: Bench) -> None:
    """Closed, on the page and in the status."""
    bench.started()
    assert (bench["breaker_state"], bench.serving.breaker_status()) == (0, "closed")


def test_a_load_is_counted_and_shown(bench: Bench) -> None:
    """Version and alias on the page, and when it was loaded in the status; it answers the next batch."""
    bench.started().clock.sleep(5.0)
    bench.load("v1")
    assert bench['model_loads_total{result="loaded"}'] == 1
    assert bench['model_info{alias="champion",version="v1"}'] == 1
    assert bench.serving.model_status() == {"version": "v1", "alias": "champion", "loaded_at": START_MS + 5000}
    assert bench.reason() is None


def test_the_model_before_goes_from_the_page(bench: Bench) -> None:
    """One model is loaded: the number of series does not grow with promotions."""
    bench.started()
    bench.load("v1")
    bench.load("v2")
    assert bench.models() == ['lead_scorer_model_info{alias="champion",version="v2"}']
    assert bench['model_loads_total{result="loaded"}'] == 2


def test_a_refusal_leaves_the_model_in_service(bench: Bench) -> None:
    """It is counted; page, status and scores are the old one's."""
    bench.started()
    bench.load("v1")
    bench.serving.on_load(Load("refused", "v2", "broken"))
    assert bench['model_loads_total{result="refused"}'] == 1
    assert bench.models() == ['lead_scorer_model_info{alias="champion",version="v1"}']
    assert bench.serving.model_status()["version"] == "v1"
    assert bench.reason() is None


def test_a_first_model_that_is_refused(bench: Bench) -> None:
    """The champion is there and cannot be used: the rules answer with `bad_model`, from the very start."""
    bench.promote("v1")
    bench.started()
    assert bench['model_loads_total{result="refused"}'] == 1
    assert bench.reason() == "bad_model"


def test_a_model_that_was_taken_out_of_service(bench: Bench) -> None:
    """`models promote none` is neither a load nor a refusal; page and status know of no model any more."""
    bench.started()
    bench.load("v1")
    bench.serving.offer(None)
    bench.serving.on_load(Load("removed", None, ""))
    assert (bench['model_loads_total{result="loaded"}'], bench['model_loads_total{result="refused"}']) == (1, 0)
    assert bench.models() == []
    assert bench.serving.model_status()["loaded_at"] is None
    assert bench.reason() == "no_model"


def test_the_baseline_is_that_of_the_model_in_service(bench: Bench) -> None:
    """None without one: the gate of the mean engagement has nothing to compare with."""
    found = []
    for offered in (None, model("v1", mean=12.5), None):
        bench.serving.offer(offered)
        found.append(bench.serving.baseline_engagement)
    assert found == [None, 12.5, None]


@pytest.mark.parametrize(
    ("state", "shown"), [(BreakerState.OPEN, 2), (BreakerState.HALF_OPEN, 1), (BreakerState.CLOSED, 0)]
)
def test_the_breakers_changes_are_shown(bench: Bench, state: BreakerState, shown: int) -> None:
    """At once, not with the next batch."""
    bench.started()
    bench.serving.on_transition(Transition(BreakerState.CLOSED, state, "a reason", 5.0))
    assert bench["breaker_state"] == shown


def test_the_breaker_may_change_before_the_start(bench: Bench) -> None:
    """There is no page yet; nothing fails."""
    bench.serving.on_transition(Transition(BreakerState.CLOSED, BreakerState.OPEN, "a reason", 5.0))


def test_a_failed_call_is_told_by_the_log_alone(bench: Bench) -> None:
    """Its decisions are counted by their fallback reason once they are committed."""
    bench.started()
    before = exposed(bench.metrics)
    bench.serving.on_call_failure(CallFailure("deadline", "v1", 5, 50.0, "no answer"))
    assert exposed(bench.metrics) == before


def test_after_closing_the_rules_answer(bench: Bench) -> None:
    """The model's threads have ended."""
    bench.started()
    bench.load("v1")
    assert bench.reason() is None
    bench.serving.close()
    assert bench.reason() == "no_model"

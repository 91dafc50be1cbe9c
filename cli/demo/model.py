"""A model for the demo, trained in seconds on a simulated history of other leads than those of its traffic."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final

from producer.files import write_outcomes, written
from producer.simulation import Parameters, Simulation
from runtime.clock import Clock
from runtime.config import Settings
from schemas.ndjson import format_event

if TYPE_CHECKING:
    from training.dataset import Dataset
    from training.findings import Findings

LEADS: Final = 3000
EVENTS: Final = 30_000
HORIZON_DAYS: Final = 30.0
ROWS_MAX: Final = 10_000
TREES_MAX: Final = 60
FOLDS: Final = 3
_LIBRARIES: Final = ("sklearn", "skl2onnx", "onnx", "matplotlib")


@dataclass(frozen=True, slots=True)
class TrainedModel:
    """The champion of the demo, with its figures on leads that it had not seen."""

    version: str
    roc_auc: float
    rules_roc_auc: float
    rows: int
    leads: int


def missing_libraries() -> list[str]:
    """What of the extra `training` is not installed; without all of it there is no model."""
    return [name for name in _LIBRARIES if find_spec(name) is None]


def train_champion(
    settings: Settings, folder: Path, seed: int, clock: Clock, progress: Callable[[str], None]
) -> TrainedModel:
    """Simulates a history, trains on it and promotes the model, as `lead-scorer train --promote` does.

    Args:
        settings: Of the demo: where the model goes.
        folder: Where the history is written.
        seed: Of the demo's traffic; the history's is another.
        clock: Tells the present.
        progress: Told of each step.

    Raises:
        DataRefusedError: The history failed a gate.
        BundleRefusedError: The model is not fit to be served.
    """
    from training.champion import ModelDirectory
    from training.estimator import Hyperparameters
    from training.gates import Limits
    from training.pipeline import Request, train

    progress("history")
    events, outcomes = _write_history(folder, seed)
    now_ms = clock.now_ms()
    dataset, findings = _read_history(events, outcomes, now_ms, settings)
    request = Request(
        seed=seed % 2**32,
        settings=Hyperparameters(trees_max=TREES_MAX, folds=FOLDS),
        limits=Limits(),
        rows_max=ROWS_MAX,
        warnings=(),
        options={"max_rows": ROWS_MAX},
    )
    directory = settings.model.directory
    report, path = train(dataset, findings, request, directory=directory, now_ms=now_ms, progress=progress)
    ModelDirectory(directory, settings.model.alias).promote(path.name, now_ms=now_ms)
    data = report.data
    return TrainedModel(path.name, report.held_out.roc_auc.mean, report.rules.roc_auc.mean, data.rows, data.leads)


def _write_history(folder: Path, seed: int) -> tuple[Path, Path]:
    simulation = Simulation(Parameters(leads=LEADS, events=EVENTS, seed=(seed + 1) % 2**63))
    events, outcomes = folder / "history.ndjson", folder / "outcomes.csv"
    with written(events) as file:
        file.writelines(format_event(record.event) + "\n" for record in simulation.records())
    write_outcomes(outcomes, simulation.outcomes())
    return events, outcomes


def _read_history(events: Path, outcomes: Path, now_ms: int, settings: Settings) -> tuple[Dataset, Findings]:
    from scoring.features import DAY_MS
    from scoring.fold import Memory
    from training.findings import Findings
    from training.history import read_history
    from training.outcomes import read_outcomes
    from training.replay import read_events

    findings = Findings()
    dataset, _ = read_history(
        read_events(events),
        read_outcomes(outcomes, findings),
        findings,
        files=[events, outcomes],
        horizon_days=HORIZON_DAYS,
        as_of_ms=None,
        now_ms=now_ms,
        memory=Memory(settings.state.dedup_window, int(settings.state.retention_days * DAY_MS)),
    )
    return dataset, findings

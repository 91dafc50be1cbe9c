"""`lead-scorer train`: from history or snapshot to a model bundle and its report."""

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from cli.context import console, settings_of
from cli.progress import ProgressBar

if TYPE_CHECKING:
    from runtime.config import Settings
    from training.dataset import Dataset
    from training.findings import Findings
    from training.mapping import Mapping

HORIZON_DAYS: Final = 14.0
_EXTRA: Final = ("sklearn", "skl2onnx", "onnx", "matplotlib")

_DATA, _GATES, _MODEL = "What to learn from", "What the gates allow", "The model"


def _data(flag: str, metavar: str, text: str) -> Any:
    return typer.Option(flag, metavar=metavar, help=text, rich_help_panel=_DATA)


def _share(flag: str, text: str) -> Any:
    return typer.Option(flag, metavar="SHARE", min=0.0, max=1.0, help=text, rich_help_panel=_GATES)


def _at_least(flag: str, text: str) -> Any:
    return typer.Option(flag, metavar="N", min=1, help=text, rich_help_panel=_GATES)


def _model(flag: str, metavar: str, text: str, **limits: Any) -> Any:
    return typer.Option(flag, metavar=metavar, help=text, rich_help_panel=_MODEL, **limits)


def train(
    ctx: typer.Context,
    events: Annotated[
        Path | None, _data("--events", "FILE", "Lead events as lines of JSON, in their order in the topic.")
    ] = None,
    outcomes: Annotated[
        Path | None, _data("--outcomes", "FILE", "The conversions: CSV lead_id,converted_at. Goes with --events.")
    ] = None,
    horizon: Annotated[
        float | None,
        _data(
            "--horizon",
            "DAYS",
            "A conversion within so many days after an event counts, 14 if not given; 0.02 is fine.",
        ),
    ] = None,
    snapshot: Annotated[
        Path | None,
        _data(
            "--snapshot",
            "FILE",
            "CSV, one row a lead: email_opens, page_visits, demo_requests, company_headcount, last_activity_at, "
            "created_at, email, converted; lead_id if a lead has more rows.",
        ),
    ] = None,
    column: Annotated[
        list[str] | None, _data("--column", "OURS=THEIRS", "The snapshot's name of a column; for each that differs.")
    ] = None,
    mapping: Annotated[
        Path | None, _data("--mapping", "FILE", "TOML with such names ([columns]) and exempt columns (exempt = [...]).")
    ] = None,
    as_of: Annotated[
        str | None,
        _data(
            "--as-of",
            "TIME",
            "The moment that the snapshot shows, else that of the latest activity in it; until when events and "
            "outcomes are complete, else the last event.",
        ),
    ] = None,
    exempt: Annotated[
        list[str] | None,
        typer.Option("--exempt", metavar="COLUMN", help="No completeness gate for it.", rich_help_panel=_GATES),
    ] = None,
    min_email_completeness: Annotated[
        float, _share("--min-email-completeness", "Rows (leads of a history) with an e-mail address.")
    ] = 0.95,
    max_null_rate: Annotated[float, _share("--max-null-rate", "Rows (leads) without a value, for each column.")] = 0.05,
    max_negative_age: Annotated[
        float | None,
        _share(
            "--max-negative-age",
            "Rows with an account created after what it does: 0 if not given; in a history, which drops such events as "
            "the service does, as --max-rejected.",
        ),
    ] = None,
    max_rejected: Annotated[
        float, _share("--max-rejected", "Lines of a history that the service would not accept either.")
    ] = 0.05,
    max_mean_shift: Annotated[
        float, _share("--max-mean-shift", "How far a feature's mean may be from the champion's before a warning.")
    ] = 0.25,
    min_rows: Annotated[int, _at_least("--min-rows", "Training rows.")] = 200,
    min_positives: Annotated[int, _at_least("--min-positives", "Leads that convert.")] = 20,
    seed: Annotated[int, _model("--seed", "S", "Same data, options and seed: same model.", min=0, max=2**32 - 1)] = 1,
    trees: Annotated[int, _model("--trees", "N", "Trees at most; grouped validation chooses.", min=1, max=500)] = 200,
    depth: Annotated[int, _model("--depth", "N", "Levels of a tree.", min=1, max=6)] = 4,
    learning_rate: Annotated[float, _model("--learning-rate", "R", "Weight of a tree.", min=0.001, max=1.0)] = 0.05,
    subsample: Annotated[float, _model("--subsample", "SHARE", "Rows that a tree sees.", min=0.05, max=1.0)] = 0.8,
    min_leaf: Annotated[int, _model("--min-leaf", "N", "Training rows in a leaf.", min=1)] = 30,
    max_rows: Annotated[
        int, _model("--max-rows", "N", "Of more rows so many are taken, whole leads, at random.", min=200)
    ] = 30_000,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="The model directory, else that of the configuration.")
    ] = None,
    promote: Annotated[bool, typer.Option("--promote", help="Make the new version the champion.")] = False,
) -> None:
    """Train a model: gate the data, cross-validate by lead, report, write a bundle.

    The report is printed and lies beside the model as report.json and report.html. Data that fail a gate are refused
    with everything that is wrong (exit code 1), and nothing is written. Nothing is served before it is promoted.
    """
    _require_extra()
    from runtime.clock import SystemClock
    from training.estimator import Hyperparameters
    from training.gates import Limits
    from training.mapping import resolve
    from training.pipeline import Request
    from training.pipeline import train as run
    from training.report_text import render

    _check_usage(events, outcomes, snapshot, horizon, column, mapping)
    _check_size(trees, depth)
    settings = settings_of(ctx)
    chosen = resolve(mapping, column or [], exempt or [])
    limits = Limits(
        email_completeness_min=min_email_completeness,
        null_rate_max=max_null_rate,
        negative_age_max=max_negative_age,
        rejected_max=max_rejected,
        mean_shift_max=max_mean_shift,
        rows_min=min_rows,
        positive_leads_min=min_positives,
        exempt=chosen.exempt,
    )
    now_ms = SystemClock().now_ms()
    as_of_ms = _as_of(as_of)
    if snapshot is not None:
        dataset, findings = _read_snapshot(snapshot, chosen, as_of_ms)
    else:
        assert events is not None and outcomes is not None  # noqa: PT018 - one fact: usage was checked
        dataset, findings = _read_history(events, outcomes, horizon or HORIZON_DAYS, as_of_ms, now_ms, settings)
    model = Hyperparameters(
        trees_max=trees, depth=depth, learning_rate=learning_rate, subsample=subsample, leaf_rows_min=min_leaf
    )
    directory = out or settings.model.directory
    options = {"columns": chosen.columns, "exempt": sorted(chosen.exempt), "max_rows": max_rows}
    if snapshot is None:
        options |= {"dedup_window": settings.state.dedup_window, "retention_days": settings.state.retention_days}
    request = Request(seed, model, limits, max_rows, _shifts(dataset, directory, settings.model.alias, limits), options)
    with ProgressBar("training", model.folds + 2) as bar:
        done = iter(range(1, model.folds + 3))
        report, path = run(
            dataset, findings, request, directory=directory, now_ms=now_ms, progress=lambda _: bar.at(next(done))
        )
    console().print(render(report))
    _finish(path, directory, settings.model.alias, promote=promote, now_ms=now_ms)


def _require_extra() -> None:
    from runtime.errors import ConfigurationError

    if missing := [name for name in _EXTRA if find_spec(name) is None]:
        raise ConfigurationError(
            f"training needs {', '.join(missing)}, which the service does without: pip install '.[training]'"
        )


def _check_usage(
    events: Path | None,
    outcomes: Path | None,
    snapshot: Path | None,
    horizon: float | None,
    column: list[str] | None,
    mapping: Path | None,
) -> None:
    from runtime.errors import ConfigurationError

    faults = []
    if (snapshot is None) == (events is None):
        faults.append("give either --events with --outcomes, or --snapshot")
    elif events is not None and outcomes is None:
        faults.append("--events needs --outcomes: who converted, and when")
    elif snapshot is not None and (outcomes is not None or horizon is not None):
        faults.append("--outcomes and --horizon go with --events; a snapshot has its column converted")
    if events is not None and (column or mapping):
        faults.append("--column and --mapping are for --snapshot; `produce file --mapping ... --to` makes events")
    if horizon is not None and not 0 < horizon <= 3660:
        faults.append(f"--horizon is {horizon}, allowed: above 0, up to 3660 days")
    if faults:
        raise ConfigurationError("train:", faults)


def _check_size(trees: int, depth: int) -> None:
    from runtime.errors import ConfigurationError
    from scoring.trees import LEAVES_MAX

    if trees * 2**depth > LEAVES_MAX:
        raise ConfigurationError(
            f"--trees {trees} of --depth {depth} may have {trees * 2**depth} leaves; the service takes {LEAVES_MAX}"
        )


def _as_of(text: str | None) -> int | None:
    from runtime.errors import ConfigurationError
    from training.values import moment

    if text is None:
        return None
    try:
        return moment(text)
    except ValueError as error:
        raise ConfigurationError(f"--as-of {error}") from None


def _read_snapshot(path: Path, mapping: "Mapping", as_of_ms: int | None) -> "tuple[Dataset, Findings]":
    from training.snapshot import read_snapshot

    return read_snapshot(path, mapping.columns, as_of_ms, mapping.exempt)


def _read_history(
    events: Path, outcomes: Path, horizon_days: float, as_of_ms: int | None, now_ms: int, settings: "Settings"
) -> "tuple[Dataset, Findings]":
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
        horizon_days=horizon_days,
        as_of_ms=as_of_ms,
        now_ms=now_ms,
        memory=Memory(settings.state.dedup_window, int(settings.state.retention_days * DAY_MS)),
    )
    return dataset, findings


def _shifts(dataset: "Dataset", directory: Path, alias: str, limits: Any) -> list[str]:
    """How far the data are from those of the champion, if there is one that can be read."""
    from training.champion import NONE, ModelDirectory
    from training.errors import BundleRefusedError
    from training.gates import mean_shifts

    if not len(dataset):
        return []
    models = ModelDirectory(directory, alias)
    try:
        champion = models.champion()
        if champion == NONE:
            return []
        means = {name: found.mean for name, found in models.load(champion).baseline.items()}
    except BundleRefusedError as error:
        return [f"means were not compared with the champion's: {error}"]
    return mean_shifts(dataset, means, limits, champion)


def _finish(path: Path, directory: Path, alias: str, *, promote: bool, now_ms: int) -> None:
    from training.champion import ModelDirectory

    typer.echo(f"model and report: {path}")
    if promote:
        change = ModelDirectory(directory, alias).promote(path.name, now_ms=now_ms)
        typer.echo(f"{alias}: {change.before} -> {change.after}")
    else:
        typer.echo(f"to serve it: lead-scorer models promote {path.name}")

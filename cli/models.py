"""`lead-scorer models`: the versions in the model directory, and which of them is served."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.context import console, settings_of

if TYPE_CHECKING:
    from rich.table import Table

    from scoring.manifest import Manifest, Threshold
    from training.champion import Change, ModelDirectory, Version
    from training.comparison import Line

app = typer.Typer(help="Show, compare and promote models.", no_args_is_help=True)

Directory = Annotated[
    Path | None, typer.Option("--directory", metavar="DIR", help="The model directory, else the configuration's.")
]
VersionName = Annotated[str, typer.Argument(metavar="V", help="A version, as `models list` shows it.")]


@app.callback(epilog="Example: lead-scorer models promote 20250101T120000Z-3fa9c1d2")
def group() -> None:
    """Show, compare and promote models."""


@app.command("list", epilog="Example: lead-scorer models list")
def list_versions(ctx: typer.Context, directory: Directory = None) -> None:
    """List the versions, the newest first, and which one is served."""
    models = _models(ctx, directory)
    champion, versions = models.champion(), models.versions()
    console().print(_list_table(models, versions, champion))
    if champion not in ("none", *(version.name for version in versions)):
        typer.echo(
            f"{models.alias} names {champion}, which is not there: the service keeps what it has loaded", err=True
        )


@app.command(epilog="Example: lead-scorer models show 20250101T120000Z-3fa9c1d2")
def show(ctx: typer.Context, version: VersionName, directory: Directory = None) -> None:
    """Show where a version comes from and how it did on leads that it had not seen."""
    models = _models(ctx, directory)
    manifest = models.load(version)
    output = console()
    output.print(_origin_table(manifest, models.champion()))
    output.print(_figures_table(manifest))
    output.print(_thresholds_table(manifest))
    report = models.path / version / "report.html"
    if report.exists():
        typer.echo(f"the whole report: {report}")


@app.command(epilog="Example: lead-scorer models diff 20250101T120000Z-3fa9c1d2 20250201T120000Z-77aa01bc")
def diff(
    ctx: typer.Context,
    left: Annotated[str, typer.Argument(metavar="A", help="A version.")],
    right: Annotated[str, typer.Argument(metavar="B", help="Another one.")],
    directory: Directory = None,
) -> None:
    """Compare the figures of two versions.

    The figures of each are of its own training data; the data differ if the fingerprints do.
    """
    from training.comparison import compare

    models = _models(ctx, directory)
    before, after = models.load(left), models.load(right)
    console().print(_diff_table(left, right, compare(before, after)))
    same = before.training.fingerprint == after.training.fingerprint
    typer.echo("trained on the same data" if same else "trained on different data: figures compare with care")


@app.command(epilog="Example: lead-scorer models promote none")
def promote(
    ctx: typer.Context,
    version: Annotated[str, typer.Argument(metavar="V", help="A version, or `none` to let the rules answer.")],
    directory: Directory = None,
) -> None:
    """Make a version the champion; running services take it up within `model.poll_s`.

    It is loaded and tried first, exactly as a service will; one that would be refused is not promoted (exit code 1).
    """
    from runtime.clock import SystemClock

    models = _models(ctx, directory)
    _tell(models, models.promote(version, now_ms=SystemClock().now_ms()))


@app.command(epilog="Example: lead-scorer models rollback")
def rollback(ctx: typer.Context, directory: Directory = None) -> None:
    """Make the champion before this one champion again."""
    from runtime.clock import SystemClock

    models = _models(ctx, directory)
    _tell(models, models.rollback(now_ms=SystemClock().now_ms()))


@app.command(epilog="Example: lead-scorer models history")
def history(ctx: typer.Context, directory: Directory = None) -> None:
    """Show who changed the champion, and when."""
    from rich.table import Table

    table = Table("when", "who", "what", "from", "to")
    for change in _models(ctx, directory).history():
        table.add_row(change.at, change.by, change.action, change.before, change.after)
    console().print(table)


def _models(ctx: typer.Context, directory: Path | None) -> "ModelDirectory":
    from training.champion import ModelDirectory

    settings = settings_of(ctx)
    return ModelDirectory(directory or settings.model.directory, settings.model.alias)


def _tell(models: "ModelDirectory", change: "Change") -> None:
    typer.echo(f"{models.alias}: {change.before} -> {change.after}")


def _list_table(models: "ModelDirectory", versions: "list[Version]", champion: str) -> "Table":
    from rich.table import Table

    table = Table("version", "", "created", "rows", "ROC-AUC", "rules", "average precision", "Brier", "source")
    for version in versions:
        served = models.alias if version.name == champion else ""
        manifest = version.manifest
        if manifest is None:
            table.add_row(version.name, served, "refused", "", "", "", "", "", version.refused)
            continue
        found = manifest.evaluation
        table.add_row(
            version.name,
            served,
            f"{manifest.created_at:%Y-%m-%d %H:%M:%S}",
            f"{manifest.training.rows:,}",
            f"{found.roc_auc.mean:.3f}",
            f"{found.rules.roc_auc:.3f}",
            f"{found.average_precision.mean:.3f}",
            f"{found.brier_score:.4f}",
            manifest.training.source,
        )
    return table


def _origin_table(manifest: "Manifest", champion: str) -> "Table":
    from rich.table import Table

    training = manifest.training
    table = Table(title=f"Model {manifest.version}", title_justify="left", show_header=False)
    table.add_row("champion", "yes" if manifest.version == champion else "no")
    table.add_row("created", f"{manifest.created_at:%Y-%m-%d %H:%M:%S %Z}")
    table.add_row("sha256", manifest.sha256)
    table.add_row("features", ", ".join(manifest.features))
    table.add_row("source", training.source)
    table.add_row("fingerprint", training.fingerprint)
    table.add_row("rows", f"{training.rows:,} of {training.leads:,} leads, {training.positives:,} positive")
    if training.horizon is not None:
        table.add_row("horizon", f"{training.horizon:g} days")
    if training.period is not None:
        table.add_row("period", f"{training.period.start:%Y-%m-%d %H:%M} to {training.period.end:%Y-%m-%d %H:%M} UTC")
    table.add_row("libraries", ", ".join(f"{name} {version}" for name, version in manifest.libraries.items()))
    return table


def _figures_table(manifest: "Manifest") -> "Table":
    from rich.table import Table

    found = manifest.evaluation
    table = Table("on held-out leads", "model", "train - test", "rules")
    for name, figure, rules in (
        ("ROC-AUC", found.roc_auc, found.rules.roc_auc),
        ("average precision", found.average_precision, found.rules.average_precision),
    ):
        table.add_row(
            name, f"{figure.mean:.3f} ± {figure.deviation:.3f}", f"{figure.train_test_gap:+.3f}", f"{rules:.3f}"
        )
    table.add_row("Brier score", f"{found.brier_score:.4f}", "", f"{found.rules.brier_score:.4f}")
    return table


def _thresholds_table(manifest: "Manifest") -> "Table":
    from rich.table import Table

    def cells(row: "Threshold") -> tuple[str, str, str]:
        precision = "-" if row.precision is None else f"{row.precision:.3f}"
        return precision, f"{row.recall:.3f}", f"{row.volume:,}"

    table = Table("score from", "precision", "recall", "volume", "rules' precision", "recall", "volume")
    found = manifest.evaluation
    rules = {row.threshold: row for row in found.rules.thresholds}
    for row in found.thresholds:
        beside = cells(rules[row.threshold]) if row.threshold in rules else ("", "", "")
        table.add_row(f"{row.threshold:.2f}", *cells(row), *beside)
    return table


def _diff_table(left: str, right: str, lines: "list[Line]") -> "Table":
    from rich.table import Table

    table = Table("", left, right, "difference")
    for line in lines:
        difference = line.difference
        table.add_row(
            line.name,
            _number(line.left, line.digits),
            _number(line.right, line.digits),
            "" if difference is None else f"{difference:+,.{line.digits}f}",
        )
    return table


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:,.{digits}f}"

"""`lead-scorer policy`: validates a policy and shows what it decides."""

from typing import TYPE_CHECKING, Annotated

import typer

from cli.context import console

if TYPE_CHECKING:
    from rich.table import Table

    from scoring.policy import Policy

app = typer.Typer(help="Validate and show a policy.", no_args_is_help=True)


@app.callback(epilog="Example: lead-scorer policy check default")
def group() -> None:
    """Validate and show a policy."""


@app.command(epilog="Example: lead-scorer policy check my-policy.toml")
def check(
    policy: Annotated[str, typer.Argument(metavar="FILE|NAME", help="A TOML file, or default or three_way.")],
) -> None:
    """Validate a policy and print its bands as a table.

    Every fault is reported, with the key, its value and what is allowed; exit code 2.
    """
    from runtime.errors import ConfigurationError
    from scoring.policy import Policy, PolicyError

    try:
        checked = Policy.load(policy)
    except PolicyError as error:
        raise ConfigurationError(f"policy {error.source} is refused:", error.faults) from error
    out = console()
    out.print(_bands(checked))
    for line in _rest(checked):
        out.print(line, highlight=False, markup=False)


def _bands(policy: "Policy") -> "Table":
    from rich.table import Table

    table = Table(title=f"Policy {policy.version}", title_justify="left")
    for heading in ("decision", "score from", "score below", "of the rules"):
        table.add_column(heading, justify="right" if heading.startswith("score") else "left")
    cap = policy.file.fallback.cap
    start, over_cap = 0.0, False
    for band in policy.bands:
        table.add_row(
            band.decision,
            f"{start:.15g}",
            "1, inclusive" if band.below is None else f"{band.below:.15g}",
            f"becomes {cap}" if over_cap else "as it is",
        )
        start = band.below if band.below is not None else 1.0
        over_cap = over_cap or band.decision == cap
    return table


def _rest(policy: "Policy") -> list[str]:
    file = policy.file
    rule, review = file.confidence, file.review
    lines = [
        f"confidence: HIGH from {rule.high_from:.15g} and below {rule.high_below:.15g}, "
        f"LOW from {rule.low[0]:.15g} to below {rule.low[1]:.15g}, else MEDIUM; of the rules always LOW",
        f"published: the first, each that differs, again after {file.repeat_after_days:.15g} days, "
        f"always on {', '.join(sorted(file.always_publish)) or 'no event type'}",
    ]
    if review is not None:
        asked = " or ".join(review.confidence)
        lines.append(f"review: {review.decision} instead, where the model scored and the confidence is {asked}")
    return lines

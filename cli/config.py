"""`lead-scorer config`: validates the configuration and shows the effective one."""

import typer

from cli.context import policy_of, settings_of

app = typer.Typer(help="Validate and show the configuration.", no_args_is_help=True)


@app.callback(epilog="Example: lead-scorer --config production.toml config check")
def group() -> None:
    """Validate and show the configuration."""


@app.command(epilog="Example: lead-scorer --config production.toml config check")
def check(ctx: typer.Context) -> None:
    """Validate the configuration, the policy that it names and the properties for the Kafka client.

    Every fault is reported, with the key, its value and what is allowed; exit code 2. Nothing is connected to.
    """
    policy = policy_of(settings_of(ctx))
    typer.echo(f"The configuration is valid; the policy is {policy.version}.")


@app.command(epilog="Example: LEAD_SCORER__BUDGET__P95_MS=100 lead-scorer config show")
def show(ctx: typer.Context) -> None:
    """Print the effective configuration as TOML: defaults, file and environment together.

    Secrets are redacted. The schemas' fingerprints stand below it, as comments.
    """
    from runtime.config_toml import to_toml
    from schemas.codec import fingerprints

    typer.echo(to_toml(settings_of(ctx)), nl=False)
    typer.echo("\n# CRC-64-AVRO fingerprints of the schemas that are written:")
    for schema, fingerprint in fingerprints().items():
        typer.echo(f"# {schema} = {fingerprint}")

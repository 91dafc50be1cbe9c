"""The `lead-scorer` command."""


def main() -> None:
    """Runs the command line."""
    raise NotImplementedError

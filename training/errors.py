"""Why training or a change of champion was refused: exit code 1 and what to check, all reasons at once."""

from collections.abc import Sequence

from runtime.errors import FatalError


class _RefusedError(FatalError):
    """What was given is not fit for use.

    Attributes:
        faults: Every reason found, one line each.
    """

    def __init__(self, headline: str, faults: Sequence[str] = ()):
        self.faults = tuple(faults)
        super().__init__("\n  ".join((headline, *self.faults)))


class DataRefusedError(_RefusedError):
    """The training data failed a gate; nothing was trained. Correct the data, or allow what was found by an option."""


class BundleRefusedError(_RefusedError):
    """A model was not written, or not promoted; what was champion before still is."""

"""Faults that end a program: each has its exit code (contract 11) and says what happened and what to do."""

from collections.abc import Sequence


class FatalError(Exception):
    """Ends the program: the command line prints the message as its last line and exits with `exit_code`."""

    exit_code = 1


class ConfigurationError(FatalError):
    """What was asked for cannot be: usage, configuration, wrong or missing topics, a port in use.

    Attributes:
        faults: Every fault found, one line each; they are reported together.
    """

    exit_code = 2

    def __init__(self, headline: str, faults: Sequence[str] = ()):
        self.faults = tuple(faults)
        super().__init__("\n  ".join((headline, *self.faults)))


class KafkaUnavailableError(FatalError):
    """Kafka could not be reached at start, or does not let us in."""

    exit_code = 3


class DeadLetterLimitError(FatalError):
    """Too much of the input became dead letters: a bad deployment upstream rather than bad records."""

    exit_code = 4


class StateError(FatalError):
    """State cannot be restored, or disagrees with the input; going on would be a silent start from nothing."""

    exit_code = 5


class FencedError(FatalError):
    """Another instance runs with the same `kafka.instance_id`; of two exactly one stays."""

    exit_code = 6

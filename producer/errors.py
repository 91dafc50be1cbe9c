"""What can go wrong for whoever sends lead events."""

from collections.abc import Sequence
from typing import NamedTuple


class InvalidEventError(ValueError):
    """The arguments make no event that the scorer would accept. Nothing was sent; correct the caller.

    Attributes:
        code: What is wrong, of a closed set: those of `schemas.ndjson.EventError` and the scorer's gates.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class DeliveryFailure(NamedTuple):
    """One event that did not reach the topic, or may not have.

    Attributes:
        event_id: Its id, to send it again under: the scorer drops what did arrive after all.
        reason: Why, in the client's words.
    """

    event_id: str
    reason: str


class DeliveryError(Exception):
    """Events were not delivered. Send them again, with the same event ids, or tell whoever waits for them.

    Attributes:
        failures: Every one of them, in the order in which the client gave them up.
    """

    def __init__(self, failures: Sequence[DeliveryFailure]) -> None:
        self.failures = tuple(failures)
        first = self.failures[0]
        more = f" (and {len(self.failures) - 1} more events)" if len(self.failures) > 1 else ""
        super().__init__(f"event {first.event_id} was not delivered: {first.reason}{more}")

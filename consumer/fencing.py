"""What a producer that was fenced does: end, or begin anew. Pure."""

from __future__ import annotations


class Fencing:
    """Of two instances with one id exactly one stays; a lone one always does.

    A transaction that outlived its timeout is aborted by the coordinator, and its producer gets the same error as one
    that was replaced: the age of the transaction tells them apart.

    Args:
        transaction_timeout_s: The producer's `transaction.timeout.ms`.
        window_s: Two fencings by a twin within so many seconds end the process.

    Attributes:
        timeout_s: The producer's `transaction.timeout.ms`, in seconds.
    """

    def __init__(self, transaction_timeout_s: float, window_s: float = 60.0) -> None:
        self.timeout_s, self._window_s = transaction_timeout_s, window_s
        self._last_s: float | None = None

    def must_end(self, now_s: float, transaction_age_s: float) -> bool:
        """Whether this fencing is the one that ends the process.

        Args:
            now_s: Monotonic time in seconds.
            transaction_age_s: How long ago the fenced transaction began.
        """
        if transaction_age_s >= self.timeout_s:
            return False
        again = self._last_s is not None and now_s - self._last_s <= self._window_s
        self._last_s = now_s
        return again

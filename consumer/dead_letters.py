"""Dead letters: the original record with headers that say why, and the guard against a flood of them."""

from __future__ import annotations

from confluent_kafka import Message

from consumer.records import Headers, Output, Record
from runtime.errors import DeadLetterLimitError

HEADER_PREFIX = "__lead_scorer."
OFFSET = f"{HEADER_PREFIX}errors.offset"
REASON = f"{HEADER_PREFIX}errors.reason"
REPLAYED_FROM = f"{HEADER_PREFIX}replayed_from"
RATIO_WINDOW_RECORDS = 10_000
INTERNAL_ERROR = "internal_error"
"""The reason of a record on which the scorer itself failed; all others are the record's own fault."""
VALUE_DROPPED = "value dropped"
"""In the message of a dead letter that was too large to be forwarded whole."""
OVERHEAD_BYTES = 1_024
"""What a record batch, the seven headers and varints add to a dead letter, generously."""

GATE_MESSAGES = {
    "empty_lead_id": "lead_id is empty; it must name the lead",
    "empty_event_id": "event_id is empty; it must be unique for each event",
    "oversized": "event_id or lead_id is longer than 256 code points",
    "key_mismatch": "the record's key is not exactly the UTF-8 bytes of lead_id",
    "occurred_in_future": "occurred_at is more than 5 minutes after the append time",
    "negative_account_age": "created_at is after occurred_at",
    "negative_headcount": "company_headcount is below 0",
}
"""One sentence for each gate of the contract's section 5."""


def dead_letter(
    record: Record,
    *,
    source_topic: str,
    topic: str,
    stage: str,
    reason: str,
    exception: str,
    message: str,
    limit_bytes: int,
) -> Output:
    """The dead letter of a record: key, value, timestamp and headers as received, then seven headers.

    Args:
        record: What could not be processed.
        source_topic: The topic that the record came from.
        topic: The dead letter topic.
        stage: `decode`, `gate` or `process`.
        reason: A code of the contract's section 5, or `internal_error`.
        exception: A class name.
        message: A sentence without anything of the payload.
        limit_bytes: The largest record, in bytes, that the dead letter topic takes; a larger one loses its value, then
            its headers, then its key.
    """
    key, value, headers = record.key, record.value, list(record.headers() or [])
    room_bytes = limit_bytes - OVERHEAD_BYTES
    if _size_bytes(key, value, headers) > room_bytes:
        size = record.size_bytes
        message = (
            f"{message}; {VALUE_DROPPED}: key and value have {size} bytes, the topic takes records of {limit_bytes}"
        )
        value = None
        if _size_bytes(key, value, headers) > room_bytes:
            headers = []
        if _size_bytes(key, value, headers) > room_bytes:
            key = None
    fields = {
        "topic": source_topic,
        "partition": str(record.partition),
        "offset": str(record.offset),
        "stage": stage,
        "reason": reason,
        "exception": exception,
        "message": message,
    }
    headers += [(f"{HEADER_PREFIX}errors.{name}", text.encode()) for name, text in fields.items()]
    return Output(topic, record.partition, key, value, record.append_ms, headers)


def source_offset(message: Message) -> int:
    """The input offset that a dead letter came from; -1 if it does not say."""
    offset = _last_header(message.headers(), OFFSET)  # type: ignore[arg-type]
    return int(offset) if offset.isdigit() else -1


def reason_of(letter: Output) -> str:
    """The code in a dead letter that was made here."""
    return _last_header(letter.headers, REASON)


def _last_header(headers: Headers | None, wanted: str) -> str:
    return next((value.decode() for name, value in reversed(headers or []) if name == wanted and value), "")


def _size_bytes(key: bytes | None, value: bytes | None, headers: Headers) -> int:
    return len(key or b"") + len(value or b"") + sum(len(name) + len(data or b"") + 10 for name, data in headers)


class Guard:
    """Stops the service when dead letters come in a flood: a bad deploy, not bad data.

    At most `max_consecutive` dead letters in a row are taken, and at most a share of `max_ratio` in the last 10,000
    records once so many were seen. The record that would pass a limit is not processed.
    """

    def __init__(self, max_consecutive: int, max_ratio: float) -> None:
        self.max_consecutive = max_consecutive
        self.max_ratio = max_ratio
        self._consecutive = 0
        self._window = bytearray()
        self._at = 0
        self._in_window = 0

    def copy(self) -> Guard:
        """A guard that goes on from here without changing this one."""
        copy = Guard(self.max_consecutive, self.max_ratio)
        copy._consecutive, copy._at, copy._in_window = self._consecutive, self._at, self._in_window
        copy._window = self._window[:]
        return copy

    def admit(self, flags: bytearray) -> int:
        """Takes records up to the limit.

        Args:
            flags: One byte a record in input order, 1 for a dead letter.

        Returns:
            How many of them may be processed: the record after them passes the limit.
        """
        if not any(flags) and not self._in_window:
            self._consecutive = 0
            self._extend(flags)
            return len(flags)
        for index, flag in enumerate(flags):
            if flag and self._reaches_limit():
                return index
            self._consecutive = self._consecutive + 1 if flag else 0
            self._push(flag)
        return len(flags)

    def limit_error(self) -> DeadLetterLimitError:
        """What to tell the operator once `admit` took fewer records than it was given."""
        return DeadLetterLimitError(
            f"dead letter limit reached: {self._consecutive} in a row (limit {self.max_consecutive}), "
            f"{self._in_window} of the last {len(self._window)} records (limit {self.max_ratio:.0%} of "
            f"{RATIO_WINDOW_RECORDS}). Everything before the record that would pass it is committed. Look at "
            "`lead-scorer dead-letters list`, mend the producer or the schema, then start again; to go on regardless "
            "raise dead_letters.max_consecutive or dead_letters.max_ratio"
        )

    def _reaches_limit(self) -> bool:
        if self._consecutive >= self.max_consecutive:
            return True
        if len(self._window) < RATIO_WINDOW_RECORDS - 1:
            return False
        leaving = self._window[self._at] if len(self._window) == RATIO_WINDOW_RECORDS else 0
        return (self._in_window - leaving + 1) / RATIO_WINDOW_RECORDS > self.max_ratio

    def _push(self, flag: int) -> None:
        if len(self._window) < RATIO_WINDOW_RECORDS:
            self._window.append(flag)
        else:
            self._in_window -= self._window[self._at]
            self._window[self._at] = flag
            self._at = (self._at + 1) % RATIO_WINDOW_RECORDS
        self._in_window += flag

    def _extend(self, flags: bytearray) -> None:
        """Good records into a window of good records: only its length can change."""
        self._window.extend(bytes(min(len(flags), RATIO_WINDOW_RECORDS - len(self._window))))

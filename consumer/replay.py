"""Dead letters read back: listed by their reason, and sent again to the partition that they came from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from consumer.dead_letters import HEADER_PREFIX, REPLAYED_FROM, VALUE_DROPPED
from consumer.records import Headers
from runtime.errors import FatalError

ERRORS_PREFIX = f"{HEADER_PREFIX}errors."
FLUSH_S = 30.0


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A dead letter, as its headers describe it; the payload is for sending alone, never for showing.

    Attributes:
        place: `<topic>-<partition>-<offset>` of the dead letter itself.
        append_ms: When the original was appended.
        source_topic: Where the original came from; likewise `source_partition` and `source_offset`, -1 if unknown.
        stage: `decode`, `gate` or `process`.
        reason: The code.
        exception: A class name.
        message: A sentence without anything of the payload.
        replayed_from: The dead letter that the original was itself replayed from, if it was.
    """

    place: str
    append_ms: int
    source_topic: str
    source_partition: int
    source_offset: int
    stage: str
    reason: str
    exception: str
    message: str
    replayed_from: str | None
    key: bytes | None
    value: bytes | None
    headers: Headers

    @property
    def replayable(self) -> bool:
        """Whether it knows where it came from and is whole."""
        return bool(self.source_topic) and self.source_partition >= 0 and VALUE_DROPPED not in self.message

    def original_headers(self) -> Headers:
        """The headers to send: the original's, without those of the scorer, and where it comes from now."""
        kept = [(name, value) for name, value in self.headers if not name.startswith(HEADER_PREFIX)]
        return [*kept, (REPLAYED_FROM, self.place.encode())]


@dataclass(frozen=True, slots=True)
class Selection:
    """Which dead letters are meant; what is None selects all.

    Attributes:
        reasons: Codes.
        partitions: Of the source.
        offsets: Of the source.
        since_ms: Appended at or after.
        until_ms: Appended before.
    """

    reasons: frozenset[str] | None = None
    partitions: frozenset[int] | None = None
    offsets: frozenset[int] | None = None
    since_ms: int | None = None
    until_ms: int | None = None

    def takes(self, letter: DeadLetter) -> bool:
        """Whether a dead letter is one of them."""
        return (
            (self.reasons is None or letter.reason in self.reasons)
            and (self.partitions is None or letter.source_partition in self.partitions)
            and (self.offsets is None or letter.source_offset in self.offsets)
            and (self.since_ms is None or letter.append_ms >= self.since_ms)
            and (self.until_ms is None or letter.append_ms < self.until_ms)
        )


def parse(message: Message) -> DeadLetter:
    """What a record of the dead letter topic says; a header that is missing is empty or -1."""
    headers: Headers = message.headers() or []  # type: ignore[assignment]
    last = {name: (value or b"").decode(errors="replace") for name, value in headers}  # the last of a name counts

    def text(name: str) -> str:
        return last.get(ERRORS_PREFIX + name, "")

    def number(name: str) -> int:
        return int(text(name)) if text(name).isdecimal() else -1

    return DeadLetter(
        place=f"{message.topic()}-{message.partition()}-{message.offset()}",
        append_ms=message.timestamp()[1],
        source_topic=text("topic"),
        source_partition=number("partition"),
        source_offset=number("offset"),
        stage=text("stage"),
        reason=text("reason"),
        exception=text("exception"),
        message=text("message"),
        replayed_from=last.get(REPLAYED_FROM),
        key=message.key(),
        value=message.value(),
        headers=headers,
    )


@dataclass(frozen=True, slots=True)
class Sent:
    """A replayed record: the dead letter and where the record is now, or why it is not."""

    letter: DeadLetter
    place: str = ""
    error: str = ""


def replay(letters: Iterable[DeadLetter], producer: Producer) -> Iterator[Sent]:
    """Sends dead letters back to the topic and partition that they came from, in their order.

    Doing it twice is harmless: the scorer drops the second as a duplicate event id, within its window.

    Args:
        letters: Replayable ones.
        producer: Idempotent; it is flushed here.

    Yields:
        Each letter once its delivery is certain, or has failed.

    Raises:
        FatalError: The brokers did not take the rest in time.
        Exception: What ended `letters` early, after the delivery of those before.
    """
    done: list[Sent] = []
    failure: Exception | None = None
    try:
        for letter in letters:
            assert letter.replayable, letter.place
            _produce(producer, letter, done)
            yield from _drain(done)
    except Exception as error:  # noqa: BLE001 - raised once what was sent before is accounted for
        failure = error
    left = producer.flush(FLUSH_S)
    yield from _drain(done)
    if failure is not None:
        raise failure
    if left:
        raise FatalError(
            f"{left} records were not delivered in {FLUSH_S:.0f} s: are the brokers there? Replay again: "
            "what was sent after all is dropped as a duplicate"
        )


def _produce(producer: Producer, letter: DeadLetter, done: list[Sent]) -> None:
    while True:
        try:
            producer.produce(
                letter.source_topic,
                letter.value,
                letter.key,
                letter.source_partition,
                on_delivery=_delivered(letter, done),
                headers=letter.original_headers(),  # type: ignore[arg-type]
            )
        except BufferError:
            producer.poll(0.1)
        except KafkaException as exception:  # too large, or its partition is gone: the others are sent all the same
            done.append(Sent(letter, error=exception.args[0].str()))
            return
        else:
            producer.poll(0)
            return


def _delivered(letter: DeadLetter, done: list[Sent]) -> Callable[[KafkaError | None, Message], None]:
    def delivered(error: KafkaError | None, message: Message) -> None:
        if error is not None:
            done.append(Sent(letter, error=error.str()))
        else:
            done.append(Sent(letter, place=f"{message.topic()}-{message.partition()}-{message.offset()}"))

    return delivered


def _drain(done: list[Sent]) -> Iterator[Sent]:
    while done:
        yield done.pop(0)

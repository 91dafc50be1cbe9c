"""Logs: an event name and fields, on standard error; a line for what happened, nothing per record, never lead data."""

import logging
import re
import sys
import time
from collections.abc import Callable
from typing import IO, Any, Literal

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

Level = Literal["debug", "info", "warning", "error"]
Format = Literal["auto", "console", "json"]

#: librdkafka's own log lines arrive on this standard logger: "FACILITY [client name] message".
KAFKA_LOGGER = "librdkafka"
_KAFKA_LINE = re.compile(
    r"(?P<facility>\S+) \[(?P<client>[^\]]*)\] (?:\[thrd:(?P<thread>[^\]]*)\]: )?(?P<message>.*)", re.DOTALL
)

_NUMBER = re.compile(r"\d+")
REPEAT_EVERY_S = 30.0
REPEAT_KEYS_MAX = 256


def configure(level: Level = "info", format: Format = "auto", stream: IO[str] | None = None) -> None:  # noqa: A002
    """Sets up structlog and the standard library's logging to write the same lines to one stream.

    Args:
        level: The least severe level that is written.
        format: `auto` is `console` on a terminal and `json` otherwise.
        stream: Where to; standard error by default.
    """
    out = stream if stream is not None else sys.stderr
    console = format == "console" or (format == "auto" and out.isatty())
    shared = _shared_processors()
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(stream) if stream is not None else _StandardError()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, _kafka_line], processors=_rendering(console, out)
        )
    )
    logging.getLogger(KAFKA_LOGGER).filters[:] = [RepeatFilter()]
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())


class _StandardError(logging.StreamHandler[IO[str]]):
    """Writes to what is standard error when a line is written, not to what was when logging was set up."""

    @property
    def stream(self) -> IO[str]:
        return sys.stderr

    @stream.setter
    def stream(self, _value: IO[str]) -> None:
        """The base class sets one at its construction."""


class RepeatFilter(logging.Filter):
    """Lets a line through once in a while: librdkafka says at every attempt that a broker is not there.

    Lines that differ in numbers only are the same; what was held back is told with the next one (`repeated`).
    """

    def __init__(self, every_s: float = REPEAT_EVERY_S, monotonic: Callable[[], float] = time.monotonic):
        super().__init__()
        self._every_s = every_s
        self._monotonic = monotonic
        self._last: dict[str, tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether to write the line."""
        key, now = _NUMBER.sub("#", record.getMessage()), self._monotonic()
        written_at, held_back = self._last.get(key, (-self._every_s, 0))
        if now - written_at < self._every_s:
            self._last[key] = (written_at, held_back + 1)
            return False
        if len(self._last) >= REPEAT_KEYS_MAX:
            self._last.clear()
        self._last[key] = (now, 0)
        record.repeated = held_back
        return True


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """The logger of a module: `log.info("restored", partition=3, leads=1200)`.

    In a program that uses the producer as a library and calls no `configure`, its lines go the standard library's way:
    to that program's handlers, never to its standard output.
    """
    logger: structlog.stdlib.BoundLogger = structlog.wrap_logger(
        logging.getLogger(name), wrapper_class=structlog.stdlib.BoundLogger
    )
    return logger


def _shared_processors() -> list[Processor]:
    return [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        # Tracebacks as text, without the values of local variables: those are lead data.
        structlog.processors.format_exc_info,
    ]


def _rendering(console: bool, out: IO[str]) -> list[Processor]:
    renderer: Processor = (
        structlog.dev.ConsoleRenderer(colors=out.isatty(), exception_formatter=structlog.dev.plain_traceback)
        if console
        else structlog.processors.JSONRenderer(ensure_ascii=False, default=str)
    )
    return [structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer]


def _kafka_line(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Makes an event with fields of a line of librdkafka."""
    if event.get("logger") != KAFKA_LOGGER or not (line := _KAFKA_LINE.fullmatch(str(event["event"]))):
        return event
    fields: dict[str, Any] = {key: value for key, value in line.groupdict().items() if value}
    if repeated := getattr(event.get("_record"), "repeated", 0):
        fields["repeated"] = repeated
    return {**event, **fields, "event": "kafka_client_log"}

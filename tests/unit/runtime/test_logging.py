"""Logs are events with fields, and carry no lead data."""

import contextlib
import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from runtime.logging import KAFKA_LOGGER, RepeatFilter, configure, get_logger


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    """Leaves the process's logging as it was."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level
    logging.getLogger(KAFKA_LOGGER).filters.clear()
    structlog.reset_defaults()


@pytest.fixture
def stream() -> io.StringIO:
    return io.StringIO()


def line(stream: io.StringIO) -> dict[str, Any]:
    parsed: dict[str, Any] = json.loads(stream.getvalue())
    return parsed


def test_a_line_is_an_event_with_fields(stream: io.StringIO) -> None:
    """Off a terminal a line is JSON with event, level and an ISO time stamp in UTC."""
    configure(stream=stream)
    get_logger("consumer.restore").info("restored", partition=3, leads=1200)
    written = line(stream)
    assert written.pop("timestamp").endswith("Z")
    assert written == {
        "event": "restored",
        "level": "info",
        "logger": "consumer.restore",
        "partition": 3,
        "leads": 1200,
    }


def test_a_program_that_configures_nothing_keeps_its_output(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """Lines of a library go to the handlers of the standard library, those for debugging nowhere by default."""
    log = get_logger("runtime.kafka")
    log.debug("kafka_client_error", code="_TRANSPORT")
    log.error("kafka_client_error", code="_FATAL")
    assert capsys.readouterr().out == ""
    [record] = caplog.records
    assert "_FATAL" in record.getMessage()


def test_less_severe_lines_are_left_out(stream: io.StringIO) -> None:
    """The level is the least severe that is written."""
    configure(level="warning", stream=stream)
    get_logger("x").info("idle")
    assert stream.getvalue() == ""


def test_the_console_format_is_for_people(stream: io.StringIO) -> None:
    """`console` writes no JSON, also where there is no terminal."""
    configure(format="console", stream=stream)
    get_logger("x").info("restored", leads=7)
    assert "restored" in stream.getvalue()
    assert "leads=7" in stream.getvalue()
    assert "{" not in stream.getvalue()


@pytest.mark.parametrize("format", ["json", "console"])
def test_a_traceback_has_no_values_of_variables(stream: io.StringIO, format: str) -> None:  # noqa: A002
    """An exception is logged with its traceback, without the local variables: those are lead data."""
    configure(format=format, stream=stream)  # type: ignore[arg-type]
    email = "ada" + "@example.org"
    try:
        int(email[3:4])
    except ValueError:
        get_logger("x").exception("batch_failed")
    assert "ValueError" in stream.getvalue()
    assert email not in stream.getvalue()


def test_a_line_of_librdkafka_becomes_an_event(stream: io.StringIO) -> None:
    """Its logs have the same form as ours: an event, with facility and client as fields."""
    configure(stream=stream)
    logging.getLogger(KAFKA_LOGGER).error("FAIL [me#consumer-1] [thrd:b:9092/1]: b:9092/1: refused (after 3ms)")
    written = line(stream)
    assert (written["event"], written["facility"], written["client"]) == ("kafka_client_log", "FAIL", "me#consumer-1")
    assert written["message"] == "b:9092/1: refused (after 3ms)"


def test_lines_go_to_what_is_standard_error_then(capsys: pytest.CaptureFixture[str]) -> None:
    """A stream that took the place of standard error after the set-up gets the lines."""
    configure()
    with contextlib.redirect_stderr(io.StringIO()) as later:
        get_logger("x").warning("late")
    assert '"late"' in later.getvalue()
    assert capsys.readouterr().err == ""


def test_other_libraries_log_in_the_same_form(stream: io.StringIO) -> None:
    """The standard library's logging ends in the same lines."""
    configure(stream=stream)
    logging.getLogger("somewhere").warning("careful: %s", 1)
    assert line(stream)["event"] == "careful: 1"


def record(message: str) -> logging.LogRecord:
    return logging.LogRecord(KAFKA_LOGGER, logging.ERROR, "", 0, message, (), None)


def test_a_repeated_line_is_held_back() -> None:
    """The same line again, but for its numbers, waits until its time is up."""
    now = [0.0]
    lines = RepeatFilter(every_s=30, monotonic=lambda: now[0])
    assert lines.filter(record("refused (after 1ms)"))
    now[0] = 29.9
    assert not lines.filter(record("refused (after 2ms)"))
    assert lines.filter(record("timed out"))
    now[0] = 30.0
    assert lines.filter(record("refused (after 3ms)"))


def test_what_was_held_back_is_counted(stream: io.StringIO) -> None:
    """The next line says how many were held back before it."""
    now = [0.0]
    configure(stream=stream)
    logging.getLogger(KAFKA_LOGGER).filters[:] = [RepeatFilter(every_s=1, monotonic=lambda: now[0])]
    for now[0] in (0.0, 0.1, 0.2, 1.0):
        logging.getLogger(KAFKA_LOGGER).error("FAIL [me] refused")
    assert [json.loads(text).get("repeated") for text in stream.getvalue().splitlines()] == [None, 2]

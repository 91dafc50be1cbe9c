"""The endpoint of contract 10: /metrics, /healthz, /readyz, /status; nothing else, read only, no log per request."""

import errno
import json
import socket
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from runtime.errors import ConfigurationError
from runtime.logging import get_logger

log = get_logger(__name__)
# A client that neither speaks nor listens does not hold a thread for longer.
REQUEST_TIMEOUT_S = 5.0


@dataclass(frozen=True)
class Endpoints:
    """What the server asks, from its own threads, while a request waits.

    Attributes:
        metrics: The page of /metrics.
        metrics_type: Its content type.
        stuck_stage: The stage without a turn for too long, or None while the loop makes progress.
        not_ready: Why the instance is not ready; empty: it is.
        status: The object of /status.
    """

    metrics: Callable[[], bytes]
    metrics_type: str
    stuck_stage: Callable[[], str | None]
    not_ready: Callable[[], Sequence[str]]
    status: Callable[[], Mapping[str, Any]]


@dataclass(frozen=True)
class Answer:
    """What a path gives."""

    status: HTTPStatus
    body: bytes
    content_type: str = "application/json"


def answer(endpoints: Endpoints, path: str) -> Answer:
    """Answers a GET.

    Args:
        endpoints: Whom to ask.
        path: Without the query.
    """
    match path:
        case "/metrics":
            return Answer(HTTPStatus.OK, endpoints.metrics(), endpoints.metrics_type)
        case "/healthz":
            stage = endpoints.stuck_stage()
            return _json({"healthy": True}) if stage is None else _unavailable({"healthy": False, "stuck": stage})
        case "/readyz":
            reasons = list(endpoints.not_ready())
            body = {"ready": not reasons, "reasons": reasons}
            return _unavailable(body) if reasons else _json(body)
        case "/status":
            return _json(endpoints.status())
        case _:
            known = ["/metrics", "/healthz", "/readyz", "/status"]
            return _json({"error": "not found", "paths": known}, HTTPStatus.NOT_FOUND)


def _json(body: Mapping[str, Any], status: HTTPStatus = HTTPStatus.OK) -> Answer:
    return Answer(status, json.dumps(body, allow_nan=False).encode() + b"\n")


def _unavailable(body: Mapping[str, Any]) -> Answer:
    return _json(body, HTTPStatus.SERVICE_UNAVAILABLE)


class Server:
    """Serves from its construction until `close`, or as a context manager.

    Attributes:
        port: The port, also where 0 asked for a free one.

    Raises:
        ConfigurationError: The address cannot be listened on.
    """

    def __init__(self, host: str, port: int, endpoints: Endpoints):
        try:
            self._server = _HttpServer(host, port, endpoints)
        except OSError as error:
            raise ConfigurationError(_cannot_listen(host, port, error)) from error
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), name="http", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stops listening; a request under way is not waited for."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _cannot_listen(host: str, port: int, error: OSError) -> str:
    where = f"{host}:{port} (http.host, http.port)"
    if error.errno == errno.EADDRINUSE:
        return f"the port is in use: {where}. Stop the other process or choose another port."
    return f"cannot listen on {where}: {error.strerror}."


class _HttpServer(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    # The base class's 5 are full at once when many ask together; the kernel then lets the others wait for a second.
    request_queue_size = 128

    def __init__(self, host: str, port: int, endpoints: Endpoints):
        self.endpoints = endpoints
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        super().__init__((host, port), _Handler)

    def server_bind(self) -> None:
        """Binds without the look-up of the host's full name, which may wait for a name server."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is no event."""


class _Handler(BaseHTTPRequestHandler):
    server: _HttpServer
    timeout = REQUEST_TIMEOUT_S
    protocol_version = "HTTP/1.1"
    server_version = "lead-scorer"
    sys_version = ""

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        try:
            given = answer(self.server.endpoints, path)
        except Exception:  # a fault in a page must not end its thread without an answer
            log.exception("http_request_failed", path=path)
            given = _json({"error": "internal error; the log has it"}, HTTPStatus.INTERNAL_SERVER_ERROR)
        self._send(given)

    def do_HEAD(self) -> None:
        self.do_GET()

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:  # noqa: ARG002
        """Answers what is no GET and no HTTP; the base class knows no other methods and calls them 501."""
        self.close_connection = True  # a body that was sent along is not read
        if code == HTTPStatus.NOT_IMPLEMENTED:
            read_only = _json({"error": "read only"}, HTTPStatus.METHOD_NOT_ALLOWED)
            self._send(read_only, {"Allow": "GET, HEAD"})
        else:
            self._send(_json({"error": message or HTTPStatus(code).phrase}, HTTPStatus(code)))

    def _send(self, given: Answer, headers: Mapping[str, str] | None = None) -> None:
        self.send_response(given.status)
        self.send_header("Content-Type", given.content_type)
        self.send_header("Content-Length", str(len(given.body)))
        self.send_header("Cache-Control", "no-store")
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(given.body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """No line per request."""

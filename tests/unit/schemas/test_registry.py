"""What a registry's answer, or its silence, means."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from schemas.errors import RegistryRefusedError, RegistryUnavailableError, UnknownSchemaError, UnresolvableError
from schemas.registry import Registry

UNKNOWN_ID = (404, {"error_code": 40403, "message": "Schema not found"})


class Answers(ThreadingHTTPServer):
    """A server that gives one answer to all, and keeps what it was asked."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.status: int = 200
        self.body: Any = {"schema": '"string"'}
        self.asked: list[tuple[str, str | None]] = []
        self.answering = threading.Event()
        self.answering.set()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.server_port}"

    def answer(self, status: int, body: Any) -> None:
        """Changes the answer; text is sent as it is, all else as JSON."""
        self.status, self.body = status, body


class _Handler(BaseHTTPRequestHandler):
    server: Answers

    def do_GET(self) -> None:
        """Answers."""
        self.server.asked.append((self.path, self.headers.get("Authorization")))
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if not self.server.answering.is_set():
            self.close_connection = self.server.answering.wait(10)
            return
        body = self.server.body
        data = (body if isinstance(body, str) else json.dumps(body)).encode()
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_POST = do_GET  # noqa: N815

    def log_message(self, *_: object) -> None:
        """Keeps quiet."""


class Clock:
    """Stands until it is moved."""

    now = 1000.0

    def __call__(self) -> float:
        """Seconds."""
        return self.now


@pytest.fixture
def server() -> Iterator[Answers]:
    """A server of one's own."""
    with Answers() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.answering.set()
        server.shutdown()
        thread.join()


@pytest.fixture
def clock() -> Clock:
    """The registry's clock."""
    return Clock()


@pytest.fixture
def registry(server: Answers, clock: Clock) -> Iterator[Registry]:
    """A client of the server."""
    with Registry(server.url, monotonic=clock) as registry:
        yield registry


def test_a_schema_is_asked_for_once(registry: Registry, server: Answers) -> None:
    """An id never changes its meaning, so its schema is kept."""
    assert [registry.schema_by_id(7) for _ in range(3)] == ['"string"'] * 3
    assert [path for path, _ in server.asked] == ["/schemas/ids/7"]


def test_an_id_is_unknown_when_the_registry_says_so(registry: Registry, server: Answers) -> None:
    """404 with the code 40403, and nothing else."""
    server.answer(*UNKNOWN_ID)
    with pytest.raises(UnknownSchemaError):
        registry.schema_by_id(7)


def test_an_unknown_id_is_not_asked_for_with_every_record(registry: Registry, server: Answers, clock: Clock) -> None:
    """A topic full of them costs one question in ten seconds."""
    server.answer(*UNKNOWN_ID)
    for _ in range(3):
        with pytest.raises(UnknownSchemaError):
            registry.schema_by_id(7)
        clock.now += 3
    assert len(server.asked) == 1


def test_an_unknown_id_is_asked_for_again_after_ten_seconds(registry: Registry, server: Answers, clock: Clock) -> None:
    """A producer may register its schema a moment later."""
    server.answer(*UNKNOWN_ID)
    with pytest.raises(UnknownSchemaError):
        registry.schema_by_id(7)
    server.answer(200, {"schema": '"int"'})
    clock.now += 10
    assert registry.schema_by_id(7) == '"int"'


def test_the_memory_of_unknown_ids_has_a_limit(
    registry: Registry, server: Answers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Garbage that looks like frames makes it forget the oldest id; it does not fill the memory."""
    monkeypatch.setattr("schemas.registry._UNKNOWN_MAX", 3)
    server.answer(*UNKNOWN_ID)
    for schema_id in (0, 1, 2, 3, 3, 0):
        with pytest.raises(UnknownSchemaError):
            registry.schema_by_id(schema_id)
    assert [path[-1] for path, _ in server.asked] == ["0", "1", "2", "3", "0"]


NO_ANSWERS = {
    "another 404": (404, {"error_code": 40401, "message": "Subject not found"}),
    "a proxy's 404": (404, "<html>not here</html>"),
    "an unknown code with another status": (500, {"error_code": 40403, "message": "?"}),
    "an error inside": (500, {"error_code": 50001, "message": "backend"}),
    "unavailable": (503, ""),
    "too many requests": (429, ""),
    "not authorised": (401, {"error_code": 401, "message": "Unauthorized"}),
    "no JSON": (200, "<html>a proxy's page</html>"),
    "no object": (200, []),
    "an object of something else": (200, {"status": "ok"}),
    "a schema that is no text": (200, {"schema": 5}),
    "a type without a schema": (200, {"schemaType": "AVRO"}),
}


@pytest.mark.parametrize(("status", "body"), NO_ANSWERS.values(), ids=NO_ANSWERS)
def test_any_other_answer_is_none(registry: Registry, server: Answers, status: int, body: Any) -> None:
    """The record is kept, and decodes when the registry is well again."""
    server.answer(status, body)
    with pytest.raises(RegistryUnavailableError, match=server.url):
        registry.schema_by_id(7)
    server.answer(200, {"schema": '"int"'})
    assert registry.schema_by_id(7) == '"int"'


def test_a_registry_that_is_not_there_is_unavailable(server: Answers) -> None:
    """Nobody listens on the port."""
    url = server.url
    server.server_close()
    with Registry(url) as registry, pytest.raises(RegistryUnavailableError):
        registry.schema_by_id(7)


def test_a_registry_that_says_nothing_is_unavailable(server: Answers) -> None:
    """Silence ends with the timeout: the loop has its own turns to keep."""
    server.answering.clear()
    with Registry(server.url, {"timeout": 0.05}) as registry, pytest.raises(RegistryUnavailableError, match="Timeout"):
        registry.schema_by_id(7)


@pytest.mark.parametrize("body", [{"schema": "message M {}", "schemaType": "PROTOBUF"}, {"schemaType": "JSON"}])
def test_a_schema_that_is_not_avro_does_not_resolve(registry: Registry, server: Answers, body: Any) -> None:
    """The id is known: waiting for another answer would be in vain."""
    server.answer(200, body)
    with pytest.raises(UnresolvableError):
        registry.schema_by_id(7)


def test_registering_gives_the_id(registry: Registry, server: Answers) -> None:
    """The subject may hold any character that a topic may."""
    server.answer(200, {"id": 12})
    assert registry.register("lead.events-value", '"string"') == 12
    assert server.asked[0][0].startswith("/subjects/lead.events-value/versions")


@pytest.mark.parametrize("status", [401, 403, 409, 422])
def test_a_refusal_to_register_is_final(registry: Registry, server: Answers, status: int) -> None:
    """Incompatible, not Avro, not authorised: a start that goes on would fail at its first record."""
    server.answer(status, {"error_code": status, "message": "no"})
    with pytest.raises(RegistryRefusedError, match="t-value"):
        registry.register("t-value", '"string"')


@pytest.mark.parametrize("status", [408, 429, 500, 503])
def test_a_registry_that_cannot_register_now_is_unavailable(registry: Registry, server: Answers, status: int) -> None:
    """Trying again may help."""
    server.answer(status, {"error_code": status, "message": "later"})
    with pytest.raises(RegistryUnavailableError):
        registry.register("t-value", '"string"')


def test_client_properties_are_passed_through(server: Answers) -> None:
    """Authentication, TLS and the rest are the client library's, by its names."""
    with Registry(server.url, {"basic.auth.user.info": "user:word"}) as registry:
        registry.schema_by_id(7)
    assert server.asked[0][1] == "Basic " + base64.b64encode(b"user:word").decode()


@pytest.mark.parametrize("body", [{}, {"id": "5"}])
def test_an_answer_without_an_id_is_none(registry: Registry, server: Answers, body: Any) -> None:
    """A gateway says that all is well where it has nobody to ask; the registry may be back a moment later."""
    server.answer(200, body)
    with pytest.raises(RegistryUnavailableError, match=server.url):
        registry.register("t-value", '"string"')
    server.answer(200, {"id": 12})
    assert registry.register("t-value", '"string"') == 12


@pytest.mark.parametrize("password", ["word", "wo@rd"])
def test_no_message_shows_a_password(server: Answers, password: str) -> None:
    """The messages go to the log, and an address may hold credentials."""
    server.answer(503, "")
    address = server.url.replace("//", f"//user:{password}@")
    with Registry(address) as registry, pytest.raises(RegistryUnavailableError, match=server.url) as caught:
        registry.schema_by_id(7)
    assert password not in str(caught.value)


@pytest.mark.parametrize(
    ("client", "told"),
    [
        ({"basic.auth.info": "user:word"}, r"basic\.auth\.info"),
        ({"basic.auth.user.info": 5}, "int"),
        ({"ssl.ca.location": "nowhere.pem"}, "No such file"),
        ({"cache.capacity": "many"}, r"cache\.capacity"),
        ({"max.retries": "3"}, r"max\.retries"),
        ({"max.retries": -1}, r"max\.retries = -1; must be a number of at least 0"),
        ({"timeout": "5"}, "timeout = '5'"),
        ({"timeout": 0}, "timeout = 0"),
    ],
)
def test_a_wrong_client_property_is_refused_at_once(client: dict[str, Any], told: str) -> None:
    """It must not be found out at the first record."""
    with pytest.raises(ValueError, match=told):
        Registry("http://127.0.0.1:1", client)

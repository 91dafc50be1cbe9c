"""The endpoint answers what contract 10 says, and nothing but GET and HEAD."""

import http.client
import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from http.client import HTTPResponse

import pytest

from runtime.errors import ConfigurationError
from runtime.http import Endpoints, Server, _HttpServer, answer

WELL = Endpoints(
    metrics=lambda: b"lead_scorer_events_total 1\n",
    metrics_type="text/plain; version=0.0.4; charset=utf-8",
    stuck_stage=lambda: None,
    not_ready=list,
    status=lambda: {"version": "1"},
)


@pytest.fixture
def server() -> Iterator[Server]:
    with Server("127.0.0.1", 0, WELL) as running:
        yield running


def request(server: Server, method: str, path: str) -> tuple[HTTPResponse, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
    try:
        connection.request(method, path)
        response = connection.getresponse()
        return response, response.read()
    finally:
        connection.close()


def test_metrics_are_served_with_their_type(server: Server) -> None:
    """/metrics gives the page as it is, with the content type of the Prometheus text format."""
    response, body = request(server, "GET", "/metrics")
    assert (response.status, body) == (200, WELL.metrics())
    assert response.headers["Content-Type"] == WELL.metrics_type


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/status", "/status?verbose=1"])
def test_a_well_instance_answers_200(server: Server, path: str) -> None:
    """A healthy, ready instance answers 200 with JSON; a query changes nothing."""
    response, body = request(server, "GET", path)
    assert response.status == 200
    assert isinstance(json.loads(body), dict)


def test_head_has_the_headers_and_no_body(server: Server) -> None:
    """HEAD gives what GET gives, without the body."""
    response, body = request(server, "HEAD", "/metrics")
    assert (response.status, body) == (200, b"")
    assert response.headers["Content-Length"] == str(len(WELL.metrics()))


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE"])
def test_other_methods_are_refused(server: Server, method: str) -> None:
    """Nothing can be changed over HTTP: 405 names what is allowed."""
    response, body = request(server, method, "/status")
    assert (response.status, response.headers["Allow"]) == (405, "GET, HEAD")
    assert json.loads(body) == {"error": "read only"}


def test_an_unknown_path_is_404_in_json(server: Server) -> None:
    """An unknown path gives 404 and the paths there are."""
    response, body = request(server, "GET", "/")
    assert response.status == 404
    assert "/metrics" in json.loads(body)["paths"]


def test_a_failing_page_is_500_and_the_server_lives(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault in a page is an answer, without what failed; the next request is served."""

    def fails() -> bytes:
        raise KeyError("lead-4711")

    monkeypatch.setattr(server._server, "endpoints", replace(WELL, metrics=fails))
    response, body = request(server, "GET", "/metrics")
    assert response.status == 500
    assert b"4711" not in body
    assert request(server, "GET", "/healthz")[0].status == 200


def test_nonsense_is_answered_in_json(server: Server) -> None:
    """What is no HTTP gets an error in JSON, and the connection is closed."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as client:
        client.sendall(b"HELLO THERE OLD FRIEND\r\n\r\n")
        received = b"".join(iter(lambda: client.recv(4096), b""))
    assert b'{"error"' in received


def test_a_stuck_loop_is_503_with_its_stage() -> None:
    """/healthz names the stage that made no turn."""
    given = answer(replace(WELL, stuck_stage=lambda: "commit"), "/healthz")
    assert (given.status, json.loads(given.body)) == (503, {"healthy": False, "stuck": "commit"})


def test_an_unready_instance_is_503_with_the_reasons() -> None:
    """/readyz says why it is not ready, in the form of contract 10."""
    given = answer(replace(WELL, not_ready=lambda: ["no assignment yet"]), "/readyz")
    assert (given.status, json.loads(given.body)) == (503, {"ready": False, "reasons": ["no assignment yet"]})


def test_a_ready_instance_says_so() -> None:
    """/readyz without reasons is 200."""
    given = answer(WELL, "/readyz")
    assert (given.status, json.loads(given.body)) == (200, {"ready": True, "reasons": []})


def test_a_port_in_use_is_a_configuration_fault(server: Server) -> None:
    """Exit code 2, with the address that is taken."""
    with pytest.raises(ConfigurationError, match=f"in use: 127.0.0.1:{server.port}"):
        Server("127.0.0.1", server.port, WELL)


def test_an_address_of_another_machine_is_a_configuration_fault() -> None:
    """What cannot be bound is named, with the keys to change."""
    with pytest.raises(ConfigurationError, match=r"cannot listen on 192\.0\.2\.1:0 \(http\.host"):
        Server("192.0.2.1", 0, WELL)


def test_a_closed_server_listens_no_longer() -> None:
    """After close the port is free."""
    server = Server("127.0.0.1", 0, WELL)
    server.close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", server.port), timeout=5)


def test_many_can_ask_at_once() -> None:
    """They are connected before the server comes to them: none is told to try again a second later."""
    with ExitStack() as open_ones, _HttpServer("127.0.0.1", 0, WELL) as listening:
        for _ in range(100):
            open_ones.enter_context(socket.create_connection(("127.0.0.1", listening.server_port), timeout=0.9))

"""Which names and which web pages may speak to the server, and on which addresses it listens."""

import http.client
import socket

import pytest

import wire
from server import run


def ask(server, host=None, origin=None, method="GET", path="/readyz", body=None, address="127.0.0.1", **headers):
    connection = http.client.HTTPConnection(address, server.port, timeout=20)
    given = {"Host": host or f"127.0.0.1:{server.port}", **{k.replace("_", "-"): v for k, v in headers.items()}}
    if origin is not None:
        given["Origin"] = origin
    try:
        return wire.send(connection, method, path, body, given)
    finally:
        connection.close()


@pytest.mark.parametrize(
    "host", ["localhost", "127.0.0.1", "[::1]", "LocalHost", "localhost:8000", "127.0.0.1:1", "[::1]:65535"]
)
def test_own_hosts(server, host):
    assert ask(server, host).status == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8000",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "127.0.0.2",
        "0.0.0.0",
        "[::2]",
        "notlocalhost",
        "localhost@evil.example",
    ],
)
def test_foreign_hosts(server, host):
    for method, path, body in (("GET", "/readyz", None), ("POST", "/register_function", {"name": "f", "payload": "x"})):
        reply = ask(server, host, method=method, path=path, body=body)
        assert reply.status == 421 and "--allow-host" in reply.detail, reply


def test_allow_host(serve):
    server = serve("-w", 1, "--allow-host", "faas.example", "--allow-host", "Other.Example")
    for host in ("faas.example", "FAAS.example:1234", "other.example", "localhost"):
        assert ask(server, host).status == 200
    assert ask(server, "third.example").status == 421


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "http://localhost:1", "null", "http://evil.example:8000", "file://"]
)
def test_foreign_origins(server, origin):
    for method, path, body in (("GET", "/readyz", None), ("POST", "/execute_function", {})):
        reply = ask(server, origin=origin, method=method, path=path, body=body)
        assert reply.status == 403 and "--allow-origin" in reply.detail, reply
        assert "Access-Control-Allow-Origin" not in reply.headers
    preflight = ask(
        server, origin=origin, method="OPTIONS", path="/execute_function", Access_Control_Request_Method="POST"
    )
    assert "Access-Control-Allow-Origin" not in preflight.headers


def test_own_origin_passes(server):
    assert ask(server, origin=server.url).status == 200  # the docs page calls the API


def test_allow_origin(serve):
    origin = "https://app.example"
    server = serve("-w", 1, "--allow-origin", origin)

    def double(x):
        return x * 2

    reply = ask(
        server,
        origin=origin,
        method="OPTIONS",
        path="/execute_function",
        Access_Control_Request_Method="POST",
        Access_Control_Request_Headers="content-type",
    )
    assert reply.status in (200, 204), reply
    assert reply.headers["Access-Control-Allow-Origin"] == origin
    assert "POST" in reply.headers["Access-Control-Allow-Methods"]
    assert "content-type" in reply.headers["Access-Control-Allow-Headers"].lower()
    reply = ask(
        server,
        origin=origin,
        method="POST",
        path="/execute_function",
        body={"function_id": server.register(double), "payload": wire.args(4)},
    )
    assert reply.status == 200 and reply.headers["Access-Control-Allow-Origin"] == origin
    assert "Origin" in reply.headers["Vary"]
    assert server.value(reply.json["task_id"]) == 8
    assert ask(server, origin="https://other.example").status == 403
    error = ask(server, origin=origin, path="/status/nonsense")
    assert error.status == 400 and error.headers["Access-Control-Allow-Origin"] == origin, "pages must see errors, too"


def test_another_address_needs_a_flag(tmp_path):
    code, out, err = run(
        "serve", "--host", "0.0.0.0", "--port", 0, "--data-dir", tmp_path / "data", "--python", "/usr/bin/python3"
    )
    assert code == 2 and "--insecure-public" in err, (code, out, err)
    assert not (tmp_path / "data" / "treadle.db").exists(), "refused before anything was made"


def test_insecure_public(serve):
    server = serve("-w", 1, "--host", "0.0.0.0", "--insecure-public")
    assert ask(server).status == 200
    assert ask(server, socket.gethostname()).status == 200, "this machine's own name"
    assert ask(server, "evil.example").status == 421
    assert ask(server, address="127.0.0.2", host="localhost").status == 200


def test_loopback_only_by_default(server):
    with pytest.raises(OSError):
        ask(server, address="127.0.0.2", host="localhost")

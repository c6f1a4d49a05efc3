"""HTTP/1.1 itself: connections that stay, requests in a row, chunked bodies, HEAD and OPTIONS, `?wait=`."""

import http.client
import json
import threading
import time

import pytest

import wire
from server import PATIENCE, eventually


def double(x):
    return x * 2


def sleep(seconds):
    import time

    time.sleep(seconds)
    return seconds


@pytest.fixture(scope="module")
def double_id(server):
    return server.register(double)


def test_keep_alive(server, double_id):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    connection.connect()
    socket = connection.sock
    ids = []
    for n in range(100):
        reply = wire.send(connection, "POST", "/execute_function", {"function_id": double_id, "payload": wire.args(n)})
        assert reply.status == 200 and connection.sock is socket, "the server has closed the connection"
        ids.append(reply.json["task_id"])
        if n % 10 == 0:  # errors do not end it either
            assert wire.send(connection, "GET", "/status/nonsense").status == 400
            assert wire.send(connection, "POST", "/register_function", "{").status == 400
            assert connection.sock is socket
    connection.close()
    assert [server.value(i) for i in ids[::20]] == [0, 40, 80, 120, 160]


def test_pipelining(server, double_id):
    """20 requests in one write; answers in the order of the requests, also of slow and wrong ones among them."""
    ids = [server.execute(double_id, n) for n in range(20)]
    for task_id in ids:
        server.value(task_id)
    with server.raw() as raw:
        raw.write(b"".join(wire.request("GET", f"/status/{i}") for i in ids))
        assert [raw.read_reply().json["task_id"] for _ in ids] == ids
    slow = server.execute(server.register(sleep), 0.5)
    with server.raw() as raw:
        body = {"function_id": double_id, "payload": wire.args(5)}
        raw.write(
            wire.request("GET", f"/result/{slow}?wait=10")
            + wire.request("GET", f"/status/{ids[3]}")
            + wire.request("GET", "/nowhere")
            + wire.request("POST", "/execute_function", body)
            + wire.request("GET", f"/result/{ids[7]}")
        )
        first, second, third, fourth, fifth = (raw.read_reply() for _ in range(5))
    assert first.json["task_id"] == slow and first.json["status"] == "COMPLETED"
    assert second.json["task_id"] == ids[3] and third.status == 404
    assert server.value(fourth.json["task_id"]) == 10 and wire.untext(fifth.json["result"]) == 14


def test_requests_cut_at_every_kind_of_place(server, double_id):
    """The parser does not depend on how bytes arrive: one by one, and with a pause in the middle of a body."""
    body = {"function_id": double_id, "payload": wire.args(8)}
    data = wire.request("POST", "/execute_function", body)
    with server.raw() as raw:
        for i in range(len(data)):
            raw.write(data[i : i + 1])
        first = raw.read_reply()
        raw.write(data[:-30])
        time.sleep(0.2)
        raw.write(data[-30:] + data[:40])
        second = raw.read_reply()
        raw.write(data[40:])
        third = raw.read_reply()
    assert [server.value(r.json["task_id"]) for r in (first, second, third)] == [16] * 3


def chunked(path, pieces, trailers=b""):
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    return head + b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n" + trailers + b"\r\n"


def test_chunked_bodies(server):
    register = json.dumps({"name": "double", "payload": wire.text(wire.as_main(double))}).encode()
    with server.raw() as raw:
        raw.write(chunked("/register_function", [register[i : i + 7] for i in range(0, len(register), 7)]))
        function_id = raw.read_reply().json["function_id"]
        execute = json.dumps({"function_id": function_id, "payload": wire.args("é" * 50)}).encode()
        raw.write(chunked("/execute_function", [execute], trailers=b"X-Checksum: none\r\n"))
        reply = raw.read_reply()
        raw.write(wire.request("GET", f"/status/{reply.json['task_id']}"))
        assert raw.read_reply().status == 200
    assert server.value(reply.json["task_id"]) == "é" * 100
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    connection.request(
        "POST",
        "/execute_function",
        iter([execute[:50], execute[50:]]),
        encode_chunked=True,
        headers={"Transfer-Encoding": "chunked"},
    )
    assert server.value(json.loads(connection.getresponse().read())["task_id"]) == "é" * 100
    connection.close()


def test_expect_100_continue(server, double_id):
    """curl asks before it sends a large body."""
    body = json.dumps({"function_id": double_id, "payload": wire.args(b"z" * 2_000_000)}).encode()
    with server.raw() as raw:
        raw.write(
            "POST /execute_function HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        assert raw.read_reply(bodiless=True).status == 100
        raw.write(body)
        assert server.value(raw.read_reply().json["task_id"]) == b"z" * 4_000_000


@pytest.mark.parametrize("how", ["HTTP/1.0", "Connection: close"])
def test_connections_that_end(server, how):
    with server.raw() as raw:
        if how == "HTTP/1.0":
            raw.write("GET /livez HTTP/1.0\r\nHost: localhost\r\n\r\n")
        else:
            raw.write("GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        assert raw.read_end().split(b"\r\n")[0].split()[1] == b"200"


def test_head_is_get_without_the_body(server, double_id):
    task_id = server.execute(double_id, 1)
    server.value(task_id)
    for path in ("/livez", "/", "/openapi.json", f"/status/{task_id}", f"/result/{task_id}"):
        get = server.get(path)
        with server.raw() as raw:
            raw.write(wire.request("HEAD", path) + wire.request("GET", "/livez"))
            head, after = raw.read_reply(bodiless=True), raw.read_reply()
        assert (head.status, head.headers["Content-Type"], head.headers["Content-Length"]) == (
            get.status,
            get.headers["Content-Type"],
            str(len(get.body)),
        )
        assert after.status == 200 and after.json, "a body was sent with HEAD"


def test_options(server, double_id):
    for path, method in (("/execute_function", "POST"), ("/livez", "GET")):
        reply = server.call("OPTIONS", path)
        assert reply.status in (200, 204, 405) and method in reply.headers["Allow"], reply
        assert "Access-Control-Allow-Origin" not in reply.headers
    assert server.value(server.execute(double_id, 1)) == 2


def test_headers_in_any_case_and_unknown_content_types(server, double_id):
    body = json.dumps({"function_id": double_id, "payload": wire.args(1)}).encode()
    for content_type in (
        None,
        "application/json",
        "application/json; charset=utf-8",
        "text/plain",
        "application/x-www-form-urlencoded",
    ):
        lines = [f"content-LENGTH: {len(body)}", "hOST: LOCALHOST"] + (
            [f"content-type: {content_type}"] if content_type else []
        )
        with server.raw() as raw:
            raw.write("\r\n".join(["POST /execute_function?x=1&y HTTP/1.1", *lines, "", ""]).encode() + body)
            assert server.value(raw.read_reply().json["task_id"]) == 2


@pytest.mark.sleepy
def test_wait_returns_as_soon_as_the_task_is_done(serve):
    server = serve("-w", 2)
    function_id = server.register(sleep)
    server.value(server.execute(function_id, 0.0))
    task_id = server.execute(function_id, 0.6)
    begun = time.monotonic()
    reply = server.get(f"/result/{task_id}?wait=20")
    took = time.monotonic() - begun
    assert reply.status == 200 and reply.json["status"] == "COMPLETED" and wire.untext(reply.json["result"]) == 0.6
    assert 0.4 < took < 0.6 + 0.5 * PATIENCE, took
    begun = time.monotonic()
    assert server.get(f"/result/{task_id}?wait=20").json == reply.json
    assert time.monotonic() - begun < 0.5 * PATIENCE, "a finished task is answered at once"


@pytest.mark.sleepy
def test_wait_ends_with_the_present_state(serve):
    server = serve("-w", 1)
    function_id = server.register(sleep)
    running = server.execute(function_id, 30)
    queued = server.execute(function_id, 30)
    assert eventually(lambda: server.status(running) == "RUNNING", 30)
    for task_id, seconds in ((running, 1), (queued, 0.3)):
        begun = time.monotonic()
        reply = server.get(f"/result/{task_id}?wait={seconds}")
        took = time.monotonic() - begun
        assert reply.status == 200 and seconds - 0.05 <= took < seconds + 0.7 * PATIENCE, took
        assert reply.json == {"task_id": task_id, "status": "RUNNING" if task_id == running else "QUEUED", "result": ""}
    begun = time.monotonic()
    assert (
        server.get(f"/result/{running}?wait=0").json["status"] == "RUNNING"
        and time.monotonic() - begun < 0.3 * PATIENCE
    )


@pytest.mark.parametrize("wrong", ["x", "-1", "nan", "inf", "61", "1e9", ""])
def test_wait_that_is_no_number_of_seconds(server, double_id, wrong):
    task_id = server.execute(double_id, 1)
    server.value(task_id)
    reply = server.get(f"/result/{task_id}?wait={wrong}")
    assert reply.status == 400 and "wait" in reply.detail and "60" in reply.detail, reply


def test_many_wait_and_others_are_served(serve):
    """100 requests wait for one task; meanwhile the server answers others, and all wake together."""
    server = serve("-w", 2)
    function_id = server.register(sleep)
    task_id = server.execute(function_id, 1.5)
    answers, ends = [], []

    def wait():
        answers.append(server.get(f"/result/{task_id}?wait=30").json)
        ends.append(time.monotonic())

    threads = [threading.Thread(target=wait) for _ in range(100)]
    for thread in threads:
        thread.start()
    assert eventually(lambda: server.metrics()["treadle_waiters"] == 100, 1.2), server.metrics()["treadle_waiters"]
    assert server.value(server.execute(function_id, 0.0)) == 0.0 and not answers
    for thread in threads:
        thread.join()
    assert len(answers) == 100 and all(a["status"] == "COMPLETED" and wire.untext(a["result"]) == 1.5 for a in answers)
    assert max(ends) - min(ends) < 0.5 * PATIENCE
    assert server.metrics()["treadle_waiters"] == 0


def test_a_client_that_leaves_while_it_waits(serve):
    server = serve("-w", 1)
    task_id = server.execute(server.register(sleep), 0.5)
    for _ in range(20):
        with server.raw() as raw:
            raw.write(wire.request("GET", f"/result/{task_id}?wait=30"))
    assert server.value(task_id) == 0.5
    assert eventually(lambda: server.metrics()["treadle_waiters"] == 0, 3)

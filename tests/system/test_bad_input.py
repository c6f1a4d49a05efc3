"""Hostile bytes on the port: an answer or a closed connection, never a crash; memory stays flat."""

import json
import os
import random
import time

import pytest

import wire
from server import PATIENCE, eventually

MIB = 1 << 20


def double(x):
    return x * 2


@pytest.fixture
def target(serve):
    """A server of its own; at the end it must be the same process, still work, have no more files open (those of one
    more executor apart), and not have grown by 64 MiB.
    """
    server = serve("-w", 1)
    assert server.run(double, 1) == 2
    pid, rss, files = server.pid, server.rss(), server.open_files()
    yield server
    assert server.alive and server.pid == pid, server.log()
    assert server.run(double, 21) == 42
    grown = eventually(lambda: (g := server.rss() - rss) < 64 * MIB and (g or 1), 3)
    assert eventually(
        lambda: server.open_files() <= files + 8, 5
    ), f"{files} open files at first, now {server.open_files()}"
    assert grown, f"grew by {(server.rss() - rss) / MIB:.0f} MiB"


def post_head(path, *headers):
    return "\r\n".join([f"POST {path} HTTP/1.1", "Host: localhost", "Content-Type: application/json", *headers, "", ""])


def push(raw, data, most):
    """Sends `data` again and again until the server answers or closes, at most `most` bytes; returns the bytes."""
    raw.socket.settimeout(10 * PATIENCE)
    sent = 0
    while sent < most:
        try:
            raw.socket.sendall(data)
        except OSError:
            break
        sent += len(data)
        if answered(raw):
            break
    return sent


def answered(raw):
    import select

    return bool(select.select([raw.socket], [], [], 0)[0])


def reply_or_end(raw):
    try:
        return raw.read_reply()
    except (OSError, ValueError):
        return None


@pytest.mark.parametrize("path", ["/register_function", "/execute_function"])
def test_one_gib_declared(target, path):
    with target.raw() as raw:
        raw.write(post_head(path, f"Content-Length: {1 << 30}"))
        begun = time.monotonic()
        reply = raw.read_reply()
        assert reply.status == 413 and "--max-payload" in reply.detail and time.monotonic() - begun < 2 * PATIENCE
        push(raw, b"x" * MIB, 64 * MIB)  # a client that goes on sending


def test_one_gib_chunked(target):
    peak = target.rss()
    with target.raw() as raw:
        raw.write(post_head("/execute_function", "Transfer-Encoding: chunked"))
        raw.write(b'%x\r\n{"function_id": "x", "payload": "\r\n' % 33)
        sent = push(raw, b"100000\r\n" + b"A" * MIB + b"\r\n", 1 << 30)
        peak = max(peak, target.rss())
        reply = reply_or_end(raw)
    assert sent < 300 * MIB, "it took more than its limit"
    assert reply is None or reply.status in (400, 413), reply


def test_a_large_valid_body_leaves_no_memory_behind(target):
    function_id = target.register(double)
    for _ in range(3):
        assert len(target.value(target.execute(function_id, b"x" * (24 * MIB)), 60)) == 48 * MIB


@pytest.mark.parametrize("opening, closing", [("[", "]"), ('{"a":', "}"), ("[", ""), ('{"name":{"a":', "")])
def test_json_a_million_deep(target, opening, closing):
    deep = opening * 1_000_000 + "1" + closing * 1_000_000
    for body in (
        deep,
        '{"name": "f", "payload": ' + deep + "}",
        '{"name": "f", "extra": ' + deep + ', "payload": "x"}',
    ):
        reply = target.post("/register_function", body, headers={"Content-Type": "application/json"})
        assert reply.status == 400 and reply.detail, reply


def test_json_with_a_million_fields(target):
    body = json.dumps({f"k{i}": i for i in range(500_000)})
    assert target.post("/register_function", body).status == 400
    body = '{"name": "f", "name": "g", "payload": "x", "payload": "y"}'
    assert target.post("/register_function", body).status == 400


def test_payload_that_is_deep(target):
    """Pickles that would crash or hang an interpreter: refused, or the task alone fails."""
    function_id = target.register(double)
    bombs = [
        b"\x80\x04" + b"(" * 1_000_000 + b"t" * 1_000_000 + b".",
        b"\x80\x04" + b"]" * 1_000_000 + b"a" * 999_999 + b".",
        b"\x80\x04r\xff\xff\xff\x07.",
        b"\x80\x04\x8e" + (1 << 60).to_bytes(8, "little") + b".",
        b"\x80\x04" + b"K\x01" * 3_000_000 + b".",
    ]
    for bomb in bombs:
        reply = target.post("/execute_function", {"function_id": function_id, "payload": wire.armor(bomb)})
        if reply.status == 200:
            assert target.finished(reply.json["task_id"])[0] == "FAILED"
        else:
            assert reply.status == 400 and "payload" in reply.detail, reply


POST = b"POST /register_function HTTP/1.1\r\nHost: localhost\r\n"
GARBAGE = {
    "TLS hello": bytes.fromhex("16030100f4010000f00303") + os.urandom(200),
    "zeros": b"\0" * 4096,
    "newlines": b"\r\n" * 2000 + b"x\r\n\r\n",
    "HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0" * 100,
    "no version": b"GET /\r\n\r\n",
    "HTTP/9.9": b"GET / HTTP/9.9\r\nHost: localhost\r\n\r\n",
    "space in header name": b"GET / HTTP/1.1\r\nHost : localhost\r\n\r\n",
    "two lengths": POST + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}x",
    "length and chunks": POST + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "negative length": POST + b"Content-Length: -1\r\n\r\n",
    "huge length": POST + b"Content-Length: 99999999999999999999999\r\n\r\n",
    "bad chunk size": POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
    "huge chunk size": POST + b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n",
    "unknown encoding": POST + b"Transfer-Encoding: gzip\r\n\r\n",
    "null in path": b"GET /status/\0 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "two hosts": b"GET /livez HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n",
    "no host": b"GET /livez HTTP/1.1\r\n\r\n",
    "one endless line": b"A" * 200_000,
    "long path": b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "many headers": b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"A: b\r\n" * 50_000 + b"\r\n",
    "one large header": b"GET / HTTP/1.1\r\nHost: localhost\r\nA: " + b"b" * 100_000 + b"\r\n\r\n",
}


@pytest.mark.parametrize("name", GARBAGE)
def test_garbage(server, name):
    """An error answer or a closed connection, soon; and no request of it is carried out."""
    with server.raw(timeout=15) as raw:
        try:
            raw.write(GARBAGE[name])
            raw.socket.shutdown(1)
        except OSError:
            pass  # closed while we were sending: an answer, too
        data = raw.read_end()
    assert not data or data.startswith(b"HTTP/1.1 4") or data.startswith(b"HTTP/1.1 5"), data[:200]
    assert b"200 OK" not in data
    assert server.run(double, 2) == 4


def test_random_bytes(target):
    chance = random.Random(3)
    head = post_head("/register_function", "Content-Length: 40").encode()
    for n in range(150):
        noise = chance.randbytes(chance.randrange(1, 3000))
        if n % 3 == 1:
            cut = chance.randrange(len(head))
            noise = head[:cut] + noise
        elif n % 3 == 2:
            at = chance.randrange(len(head))
            noise = head[:at] + bytes([head[at] ^ (1 << chance.randrange(8))]) + head[at + 1 :] + noise
        with target.raw(timeout=15) as raw:
            try:
                raw.write(noise)
                raw.socket.shutdown(1)
            except OSError:
                pass
            data = raw.read_end()
        assert not data or data.startswith(b"HTTP/1.1 "), (n, data[:100])


def test_connections_that_say_nothing(target):
    """200 idle connections, and 200 that went away in the middle of a request, do not keep others from being served."""
    idle = [target.raw() for _ in range(200)]
    for n in range(200):
        with target.raw() as raw:
            raw.write(post_head("/execute_function", "Content-Length: 1000")[: 20 + n % 60])
    begun = time.monotonic()
    assert target.run(double, 5) == 10 and time.monotonic() - begun < 2 * PATIENCE
    for raw in idle:
        raw.close()
    assert eventually(lambda: target.metrics()["treadle_http_connections"] <= 2, 5)


@pytest.mark.sleepy
def test_slow_header(target):
    """A byte each 200 ms, for ever: 408 or closed within the deadline of 10 s, however much came."""
    with target.raw(timeout=20) as raw:
        begun = time.monotonic()
        data = b"GET /livez HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 1000
        for byte in data:
            if answered(raw) or time.monotonic() - begun > 18:
                break
            raw.write(bytes([byte]))
            time.sleep(0.2)
        took = time.monotonic() - begun
        reply = reply_or_end(raw)
    assert 5 < took < 15 and (reply is None or reply.status == 408), (took, reply)


@pytest.mark.sleepy
def test_a_body_that_never_comes(target):
    with target.raw(timeout=60) as raw:
        raw.write(post_head("/execute_function", "Content-Length: 1000") + "{")
        begun = time.monotonic()
        reply = reply_or_end(raw)
        took = time.monotonic() - begun
    assert 5 < took < 45 and (reply is None or reply.status == 408), (took, reply)


def test_a_client_that_reads_nothing(target):
    """It asks for 64 MiB of results and takes none: the server holds back, and answers others."""

    def big():
        return b"x" * (4 << 20)

    task_id = target.execute(target.register(big))
    target.value(task_id)
    before = target.rss()
    with target.raw() as raw:
        raw.write(wire.request("GET", f"/result/{task_id}") * 16)
        time.sleep(0.5)
        assert target.run(double, 3) == 6
        assert target.rss() - before < 48 * MIB, f"{(target.rss() - before) / MIB:.0f} MiB held for one client"


def test_memory_is_flat_over_many_tasks(target):
    """20,000 requests with errors among them: the process does not grow with what it has served."""
    function_id = target.register(double)
    ok = wire.request("POST", "/execute_function", {"function_id": function_id, "payload": wire.args(b"y" * 500)})
    bad = wire.request("POST", "/execute_function", {"function_id": function_id, "payload": "nonsense"})

    def burst(count):
        last = None
        with target.raw() as raw:
            for _ in range(count // 100):
                raw.write((ok * 9 + bad) * 10)
                for n in range(100):
                    reply = raw.read_reply()
                    assert reply.status == (400 if n % 10 == 9 else 200)
                    last = reply.json.get("task_id", last)
        return target.value(last, 60)

    assert burst(2000) == b"y" * 1000
    before = target.rss()
    assert burst(10_000) == b"y" * 1000
    grown = target.rss() - before
    print(f"grew by {grown / MIB:.1f} MiB over 9,000 tasks")
    assert grown < 40 * MIB

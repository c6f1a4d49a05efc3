"""What may be wrong between the programs: bytes on the workers' port, versions, a missing or wrong Redis."""

import json
import os
import signal
import socket
import struct
import sys
import threading
import time

import pytest
import zmq

from program import Program, folder
from server import BIN, PATIENCE, eventually, run
from test_seed_steps import free_port

MIB = 1 << 20
GREETING = b"\xff" + bytes(8) + b"\x7f" + b"\x03\x00" + b"NULL".ljust(20, b"\0") + bytes(32)


def double(x):
    return x * 2


@pytest.fixture(params=["push", "pull"])
def service(fleet, request):
    """Gateway, dispatcher and one worker; at the end they are the same processes and still work."""
    gateway = fleet.gateway()
    gateway.dispatcher = fleet.dispatcher(request.param)
    worker = fleet.worker(gateway.dispatcher, 1)
    assert gateway.run(double, 1) == 2
    pids = [program.pid for program in fleet.programs]
    yield gateway
    assert gateway.run(double, 21) == 42
    assert [program.pid for program in fleet.programs if program.alive] == pids, fleet.log()
    assert "held=0" in worker.log()


def rss(pid):
    with open(f"/proc/{pid}/statm") as f:
        return int(f.read().split()[1]) * os.sysconf("SC_PAGESIZE")


class Stranger:
    """A socket as the workers of a dispatcher have: a REQ puts an empty frame first, a DEALER has to do it itself."""

    def __init__(self, dispatcher):
        self._first = [b""] if dispatcher.mode == "push" else []
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.DEALER if dispatcher.mode == "push" else zmq.REQ)
        self._socket.connect(dispatcher.endpoint)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._context.destroy(linger=0)

    def say(self, frames):
        self._socket.send_multipart(self._first + frames)

    def hear(self, seconds=5):
        """(type, header, payloads) of the next answer; None if there is none."""
        if not self._socket.poll(seconds * 1000 * PATIENCE):
            return None
        kind, header, *payloads = self._socket.recv_multipart()[len(self._first) :]
        return kind, header, payloads

    def refused(self, frames):
        """The sentence that a message is answered with, which must be an ERROR."""
        self.say(frames)
        answer = self.hear()
        assert answer, "no answer"
        kind, header, payloads = answer
        assert kind == b"ERROR" and payloads == [] and len(header) <= 4096, answer
        header = json.loads(header)
        assert set(header) == {"protocol", "error"} and header["protocol"] == 1 and len(header["error"]) > 20, header
        return header["error"]


FRAMES = {
    "one empty frame": [b""],
    "garbage": [b"\xff\xfe\x00garbage", b"\x80\x04."],
    "no header": [b"WORKER_REGISTRATION"],
    "header that is no JSON": [b"WORKER_REGISTRATION", b"{worker"],
    "header that is no object": [b"WORKER_REGISTRATION", b"[1]"],
    "no worker": [b"WORKER_REGISTRATION", b"{}"],
    "slots below zero": [b"WORKER_REGISTRATION", b'{"worker": "w", "boot": "0000000000000001", "seq": 1, "slots": -1}'],
    "unknown type": [b"SELL", b'{"worker": "w"}'],
    "a task for the dispatcher": [b"NEW_REDIS_TASK", b'{"worker": "w"}'],
    "1,025 frames": [b"HEARTBEAT", b'{"worker": "w"}'] + [b"x"] * 1023,
    "deep JSON": [b"HEARTBEAT", b'{"worker":' + b"[" * 100_000 + b"]" * 100_000 + b"}"],
}


def test_messages_that_are_none(service):
    """Each is answered with ERROR and a sentence, to its sender alone, and counted (SIGUSR1 shows it)."""
    for name, frames in FRAMES.items():
        with Stranger(service.dispatcher) as stranger:
            print(name, "->", stranger.refused(frames))
    os.kill(service.dispatcher.pid, signal.SIGUSR1)
    assert f"malformed={len(FRAMES)} " in service.dispatcher.says(r"state\.wire .*")[0]


def test_bytes_that_are_no_zmq(service):
    """HTTP, zeros, a greeting and then a frame that claims 2^62 bytes: none is kept, none is answered with a crash."""
    host, port = service.dispatcher.endpoint.removeprefix("tcp://").split(":")
    before = rss(service.dispatcher.pid)
    ready = b"\x04\x19\x05READY\x0bSocket-Type\x00\x00\x00\x06DEALER"
    for data in (
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        bytes(4096),
        os.urandom(5000),
        GREETING + b"\x02" + struct.pack(">Q", 1 << 62) + b"x" * 1000,
        GREETING + ready + b"\x02" + struct.pack(">Q", 1 << 40) + b"x" * 1000,
    ):
        for _ in range(20):
            with socket.create_connection((host, int(port)), timeout=5) as one:
                try:
                    one.sendall(data)
                except OSError:
                    pass  # closed while we were sending: an answer, too
    assert service.run(double, 4) == 8
    assert rss(service.dispatcher.pid) - before < 64 * MIB


def test_a_frame_above_4_mib_closes_its_connection(service):
    """And the peer connects again by itself, and is heard."""
    before = rss(service.dispatcher.pid)
    header = b'{"worker": "w"}'
    if service.dispatcher.mode == "push":
        header = b'{"worker": "w", "boot": "0000000000000001", "seq": 1}'
    with Stranger(service.dispatcher) as stranger:
        stranger.say([b"HEARTBEAT", header, b"x" * (8 * MIB)])
        assert stranger.hear(0.5) is None
        assert rss(service.dispatcher.pid) - before < 64 * MIB
    with Stranger(service.dispatcher) as stranger:
        stranger.say([b"HEARTBEAT", header])
        assert stranger.hear()[0] == b"REREGISTER"


def test_another_version_of_the_protocol_is_named(service):
    """A worker that speaks version 2 gets a sentence with both numbers."""
    with Stranger(service.dispatcher) as stranger:
        header = b'{"protocol": 2, "worker": "w", "boot": "0000000000000001", "seq": 1, "slots": 1}'
        sentence = stranger.refused([b"WORKER_REGISTRATION", header])
    assert "'protocol' is 2" in sentence and "speaks protocol 1" in sentence, sentence


REFUSALS = {
    "another version": (b'{"protocol":2,"error":"this dispatcher speaks protocol 2"}', "protocol 1"),
    "another reason": (b'{"protocol":1,"error":"no more workers today"}', "no more workers today"),
}


@pytest.mark.parametrize("refusal", REFUSALS)
@pytest.mark.parametrize("mode, kind", [("push", zmq.ROUTER), ("pull", zmq.REP)])
def test_a_worker_that_is_refused_ends_with_a_sentence(tmp_path, mode, kind, refusal):
    """A dispatcher played by the test: exit 2, and a sentence that says where and why."""
    header, words = REFUSALS[refusal]
    context = zmq.Context()
    one = context.socket(kind)
    port = one.bind_to_random_port("tcp://127.0.0.1")
    stop = threading.Event()

    def answer():
        while not stop.is_set():
            if one.poll(50):
                frames = one.recv_multipart()
                envelope = frames[:2] if kind == zmq.ROUTER else []
                one.send_multipart([*envelope, b"ERROR", header])

    thread = threading.Thread(target=answer)
    thread.start()
    try:
        code, _, err = run("worker", mode, 1, f"tcp://127.0.0.1:{port}", "--python", sys.executable, cwd=tmp_path)
    finally:
        stop.set()
        thread.join()
        context.destroy(linger=0)
    assert code == 2 and words in err and f"127.0.0.1:{port}" in err, (code, err)


ROLES = {"gateway": ("gateway", "--port", 0), "dispatcher": ("dispatcher", "-m", "push", "-p", 0)}
NO_REDIS = (
    "No Redis at {url}. Start one (redis-server), name another (--store redis://host:6379/0), or run everything in one "
    "process without Redis: treadle serve -m push -p 7001."
)


def sentence_of(url, verb):
    return f"treadle {verb}: " + NO_REDIS.format(url=url)


@pytest.mark.sleepy
@pytest.mark.parametrize("verb", ROLES)
def test_no_redis(tmp_path, verb):
    """The sentence of the contract, word for word; exit 2, after it was tried for 5 s."""
    url = f"redis://127.0.0.1:{free_port()}/0"
    begun = time.monotonic()
    code, out, err = run(*ROLES[verb], "--store", url, cwd=tmp_path)
    took = time.monotonic() - begun
    assert code == 2 and err.splitlines()[-1].startswith(sentence_of(url, verb)), err
    assert "listening" not in out and 4 < took < 8 * PATIENCE, took


@pytest.mark.sleepy
def test_a_redis_that_comes_within_5_seconds_is_waited_for(tmp_path, redis):
    redis.program.kill()
    gateway = Program(folder(tmp_path, "gateway"), "gateway", "gateway", "--port", 0, "--store", redis.url).start()
    try:
        time.sleep(2)
        assert gateway.alive and "listening" not in gateway.log()
        redis.start()
        gateway.says("listening on", 5)
    finally:
        gateway.kill()


class FakeRedis:
    """Says PONG and +OK to everything, and to INFO what the test wants."""

    def __init__(self, info):
        self._info = info.encode()
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._socket.settimeout(0.1)
        self.port = self._socket.getsockname()[1]
        self.asked = 0
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def _accept(self):
        while not self._stop.is_set():
            try:
                one, _ = self._socket.accept()
            except TimeoutError:
                continue
            self._threads.append(threading.Thread(target=self._serve, args=(one,)))
            self._threads[-1].start()

    def _serve(self, one):
        one.settimeout(0.1)
        data = b""
        with one:
            while not self._stop.is_set():
                try:
                    more = one.recv(65536)
                except TimeoutError:
                    continue
                except OSError:
                    return
                if not more:
                    return
                data += more
                while (command := self._cut(data)) is not None:
                    words, data = command
                    one.sendall(self._reply(words))

    @staticmethod
    def _cut(data):
        """(words, rest) of the first whole command; None if there is none."""
        lines = data.split(b"\r\n")
        if not data.startswith(b"*") or len(lines) < 2 + 2 * int(lines[0][1:] or 0):
            return None
        count = int(lines[0][1:])
        rest = b"\r\n".join(lines[1 + 2 * count :])
        return [lines[2 + 2 * n] for n in range(count)], rest

    def _reply(self, words):
        if words[0].upper() == b"INFO":
            self.asked += 1
            return b"$%d\r\n%s\r\n" % (len(self._info), self._info)
        if words[0].upper() == b"HELLO":
            return b"-ERR unknown command 'HELLO'\r\n"
        return b"+PONG\r\n" if words[0].upper() == b"PING" else b"+OK\r\n"

    def close(self):
        self._stop.set()
        for thread in self._threads:
            thread.join()
        self._socket.close()


@pytest.mark.parametrize("verb", ROLES)
def test_a_redis_that_is_too_old(tmp_path, verb):
    fake = FakeRedis("# Server\r\nredis_version:6.2.0\r\nredis_mode:standalone\r\n")
    try:
        code, out, err = run(*ROLES[verb], "--store", f"redis://127.0.0.1:{fake.port}/0", cwd=tmp_path)
    finally:
        fake.close()
    assert fake.asked > 0
    assert code == 2 and "6.2.0" in err and "7.0" in err and "listening" not in out, err


@pytest.mark.sleepy
def test_what_answers_but_is_no_redis(tmp_path, server):
    """An HTTP server in its place."""
    code, _, err = run("gateway", "--port", 0, "--store", f"redis://127.0.0.1:{server.port}/0", cwd=tmp_path)
    assert code == 2 and str(server.port) in err and len(err.strip().splitlines()) <= 4, err


def test_the_links_need_what_their_verbs_need(tmp_path):
    """A sentence, exit 2: the port of a push dispatcher, and where a worker's dispatcher is."""
    beside = os.path.dirname(BIN)
    for program, argv, words in (
        ("task_dispatcher", ["-m", "push"], "-p 7001"),
        ("push_worker", ["4"], "tcp://host:7001"),
        ("pull_worker", ["4", "localhost:7001"], "localhost:7001"),
        ("pull_worker", ["0", "tcp://localhost:7001"], "'0'"),
    ):
        one = Program(tmp_path, program, f"{beside}/{program}", *argv).start()
        assert one.wait(10) == 2 and words in one.log(), one.log()


@pytest.mark.sleepy
@pytest.mark.parametrize("mode", ["push", "pull"])
def test_a_worker_waits_quietly_for_its_dispatcher(fleet, mode):
    """Nobody there for 4 s, then one, which is stopped and followed by another on the same port."""
    gateway, port = fleet.gateway(), free_port()
    worker = fleet.begin("worker", "worker", mode, 1, f"tcp://127.0.0.1:{port}", "--python", sys.executable)
    worker.says("serving the dispatcher at")
    time.sleep(4)
    assert worker.alive and len(worker.log().splitlines()) <= 5, worker.log()
    for n in range(2):
        argv = ("dispatcher", "-m", mode, "-p", port, "--store", fleet.redis.url)
        dispatcher = fleet.begin("dispatcher", *argv)
        assert gateway.run(double, n) == 2 * n
        assert dispatcher.stop() == 0
    assert worker.alive and worker.log().count("worker.registered") == 2, worker.log()


@pytest.mark.sleepy
def test_a_dispatcher_beside_a_running_serve_is_told(tmp_path, fleet):
    """`treadle serve` runs on its usual port, and its user starts the seed's dispatcher without a Redis: that one says
    what runs already, and how to add workers.
    """
    with socket.socket() as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            one.bind(("127.0.0.1", 8000))
        except OSError:
            pytest.skip("port 8000, where the hint is looked for, is in use on this machine")
    argv = ("serve", "-m", "push", "-p", 0, "--port", 8000, "--data-dir", tmp_path / "data")
    serve = fleet.begin("serve", *argv)
    endpoint = serve.says(r"workers: treadle worker push SLOTS (tcp://\S+)")[1]
    serve.says("listening on")
    url = f"redis://127.0.0.1:{free_port()}/0"
    argv = (f"{os.path.dirname(BIN)}/task_dispatcher", "-m", "push", "-p", free_port())
    dispatcher = Program(folder(tmp_path, "seed"), "dispatcher", *argv, env={"TREADLE_STORE": url})
    assert dispatcher.start().wait(10) == 2
    said = dispatcher.log().splitlines()[-1]
    assert said.startswith(sentence_of(url, "dispatcher")), said
    assert "in push mode" in said and f"treadle worker push 4 {endpoint}" in said, said
    assert eventually(lambda: serve.alive, 1)

"""When something goes away: answers, the server, the parent process, half of the standard library."""

import concurrent.futures
import os
import socket
import subprocess
import sys
import textwrap
import threading
import time

import pytest

import treadle
from server import ROOT, clean_env
from treadle import Client


def add(a, b):
    return a + b


UNAVAILABLE = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 0\r\nContent-Length: 22\r\n\r\n" + b'{"detail": "too busy"}'


class Proxy:
    """Between client and server. Of answers to submits only every `drop`-th arrives; the others go with their connection.
    `refuse`: submits do not reach the server; they are answered 503.
    """

    def __init__(self, port, drop=1, refuse=False):
        self.port, self.drop, self.refuse = port, drop, refuse
        self.submits = self.dropped = 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        self.listener.close()

    def _accept(self):
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(near,), daemon=True).start()

    def _serve(self, near):
        with near, socket.create_connection(("127.0.0.1", self.port)) as far:
            while True:
                try:
                    request = self._message(near)
                    if request is None:
                        return
                    if self.refuse and request.startswith(b"POST /v1/tasks"):
                        answer = UNAVAILABLE
                    else:
                        far.sendall(request)
                        answer = self._message(far)
                except OSError:
                    return
                if answer is None:
                    return
                if request.startswith((b"POST /v1/tasks HTTP", b"POST /v1/tasks:batch")):
                    self.submits += 1
                    if self.submits % self.drop:
                        self.dropped += 1
                        return
                try:
                    near.sendall(answer)
                except OSError:
                    return  # it did not wait for it

    @staticmethod
    def _message(sock):
        data = b""
        while b"\r\n\r\n" not in data:
            part = sock.recv(65536)
            if not part:
                return None
            data += part
        head, _, body = data.partition(b"\r\n\r\n")
        length = 0
        for line in head.split(b"\r\n"):
            if line.lower().startswith(b"content-length:"):
                length = int(line.split(b":")[1])
        while len(body) < length:
            part = sock.recv(65536)
            if not part:
                return None
            body += part
        return head + b"\r\n\r\n" + body


def test_dropped_answers_double_nothing(new_server, tmp_path):
    """Two of three answers to submits are lost. Every call runs once, and nothing is lost."""
    runs = tmp_path / "runs"

    def noted(n, m, path=str(runs)):
        with open(path, "a") as file:
            file.write(f"{n} {m}\n")
        return n + m

    proxy = Proxy(new_server.port, 3)
    with Client(proxy.url) as client:
        alone = [client.submit(noted, n, 1).result(60) for n in range(5)]
        futures = client.submit_many(noted, [(n, 100) for n in range(300)])
        assert [future.result(60) for future in futures] == [n + 100 for n in range(300)]
        assert alone == [1, 2, 3, 4, 5]
    proxy.close()
    assert proxy.dropped >= 10, "the faults struck"
    with Client(new_server.url) as client:
        tasks = list(client.tasks())
    assert len(tasks) == 305 == len({row["task_id"] for row in tasks})
    lines = runs.read_text().splitlines()
    assert len(lines) == 305 == len(set(lines))


def test_a_proxy_that_sends_one_request_after_the_other(new_server):
    """The held wait cannot be overtaken there; a new call is not made to wait for it."""
    proxy = Proxy(new_server.port, 1)
    with Client(proxy.url) as client, Client(new_server.url) as direct:
        blocked = direct.submit(time.sleep, 1)
        held = client.submit(add, 0, 0)
        time.sleep(0.3)
        more = [client.submit(add, n, n) for n in range(3)]
        begun = time.monotonic()
        assert [future.result(20) for future in (held, *more)] == [0, 0, 2, 4] and blocked.result(20) is None
        assert time.monotonic() - begun < 10
    proxy.close()


def test_a_server_that_takes_nothing(new_server):
    """It is asked again for `retry_for` seconds in all, not for each call."""
    proxy = Proxy(new_server.port, refuse=True)
    with Client(proxy.url, retry_for=1) as client:
        futures = client.submit_many(add, [(n, n) for n in range(100)])
        concurrent.futures.wait(futures, 60)
        errors = [future.exception() for future in futures]
        assert {(type(error), error.status, error.detail) for error in errors} == {(treadle.RequestRefused, 503, "too busy")}
        assert 3 <= proxy.submits < 60, "again, but slower each time"
        proxy.refuse = False
        assert client.submit(add, 1, 1).result(30) == 2
    proxy.close()


def test_server_restarts_while_calls_are_under_way(new_server):
    with Client(new_server.url) as client:
        function = client.register(add)
        assert client.submit(function, 1, 1).result(30) == 2
        slow = client.submit(time.sleep, 0.5)
        futures = client.submit_many(function, [(n, n) for n in range(50)])
        assert client.wait_accepted(20)
        new_server.wanted_port = new_server.port
        new_server.kill()
        late = [client.submit(function, n, 1) for n in range(5)]
        time.sleep(0.3)
        new_server.start()
        assert [future.result(60) for future in futures] == [2 * n for n in range(50)]
        assert [future.result(60) for future in late] == [n + 1 for n in range(5)]
        assert slow.result(60) is None


def test_server_that_stays_away(new_server):
    with Client(new_server.url, retry_for=0.5) as client:
        future = client.submit(time.sleep, 60)
        task_id = future.task_id
        new_server.wanted_port = new_server.port
        new_server.kill()
        begun = time.monotonic()
        with pytest.raises(treadle.ServerUnreachable, match="client.future"):
            future.result(20)
        with pytest.raises(treadle.ServerUnreachable):
            client.submit(add, 1, 2).result(20)
        assert time.monotonic() - begun < 15
        new_server.start()
        again = client.future(task_id)
        assert not again.done() and again.terminate()


def test_unknown_function_of_a_batch_fails_alone(client):
    gone = treadle.Function("00000000-0000-0000-0000-000000000000", "gone")
    blocker = client.submit(time.sleep, 0.2)  # while it is sent, the others gather in one request
    mixed = [client.submit(gone if n % 5 == 0 else add, n, 1) for n in range(20)]
    for n, future in enumerate(mixed):
        if n % 5 == 0:
            with pytest.raises(treadle.NotFound):
                future.result(20)
            with pytest.raises(treadle.NotFound):
                future.task_id
        else:
            assert future.result(20) == n + 1
    assert blocker.result(20) is None


def test_calls_that_cannot_run_yet_hide_none_of_those_that_can(client):
    """More delayed calls than one wait names, and quick ones behind them."""
    function = client.register(add)
    delayed = client.submit_many(function, [(n, 1) for n in range(1500)], delay=600)
    quick = client.submit_many(function, [(n, 2) for n in range(300)])
    assert [future.result(30) for future in quick] == [n + 2 for n in range(300)]
    assert not any(future.done() for future in delayed)
    treadle.futures.take_back(client, delayed)
    concurrent.futures.wait(delayed, 60)
    assert all(future.cancelled() for future in delayed)


def run(source, *args, env=None, timeout=200):
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(source), *args],
        env=clean_env(PYTHONPATH=ROOT / "python", **(env or {})),
        capture_output=True,
        text=True,
        timeout=timeout,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_import_starts_nothing(url):
    out = run(
        """
        import sys, threading
        import treadle
        assert threading.active_count() == 1
        client = treadle.Client(sys.argv[1])
        assert threading.active_count() == 1
        assert client.submit(pow, 2, 3).result() == 8
        assert [t.name for t in threading.enumerate()][1:] == ["treadle-io"]
        client.close()
        assert threading.active_count() == 1
        print("ok")
        """,
        url,
    )
    assert out == "ok\n"


def test_a_thread_without_work_ends(url, monkeypatch):
    monkeypatch.setattr(treadle._engine, "_REST", 0.1)
    client = Client(url)
    for n in range(3):
        assert client.submit(add, n, n).result(30) == 2 * n
        thread = client._engine._thread
        if thread is not None:
            thread.join(30)
        assert client._engine._thread is None
    client.close()


def test_a_client_is_closed_at_any_moment(url):
    """Right after a submit its thread begins to wait, and is told to end in the midst of that."""
    ends = threading.Semaphore(0)

    def submit_and_close():
        for _ in range(60):
            with Client(url) as client:
                client.submit(add, 1, 2)
            ends.release()

    threading.Thread(target=submit_and_close, daemon=True).start()
    for _ in range(60):
        assert ends.acquire(timeout=30), "close() does not return"


def test_what_was_submitted_last_is_sent_before_the_process_ends(url):
    """Nobody waits for the futures; the calls are there all the same."""
    run(
        """
        import sys, treadle
        client = treadle.Client(sys.argv[1])
        function = client.register(pow, group="at-exit")
        for n in range(500):
            function.submit(n, 2)
        """,
        url,
    )
    with Client(url) as client:
        assert sum(1 for _ in client.tasks(group="at-exit")) == 500


def test_results_of_a_client_that_was_killed(url):
    """kill -9 in the midst of a map; another process finds every result by the name of the group."""
    source = """
        import sys, treadle
        client = treadle.Client(sys.argv[1])
        results = client.map(lambda n: n * n, range(3000), group="night-shift")
        client.wait_accepted()
        next(results)
        print("accepted", flush=True)
        list(results)
        sys.stdin.read()
        """
    env = clean_env(PYTHONPATH=ROOT / "python")
    command = [sys.executable, "-c", textwrap.dedent(source), url]
    with subprocess.Popen(command, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as first:
        assert first.stdout.readline() == b"accepted\n"
        first.kill()
    with Client(url) as client:
        futures = client.futures(group="night-shift")
        assert [future.result(60) for future in futures] == [n * n for n in range(3000)]
        assert len({future.task_id for future in futures}) == 3000
        assert len(client.futures(group="night-shift", limit=10)) == 10
        assert client.futures(group="no-such-group") == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork() here")
def test_fork(url):
    """Futures of the parent work in a child, and calls of the child; the parent's go on untouched."""
    out = run(
        """
        import os, sys, time, treadle
        client = treadle.Client(sys.argv[1])
        before = client.submit(pow, 2, 5)
        before.task_id
        slow = client.submit(time.sleep, 1)
        slow.task_id
        children = []
        for k in range(3):
            pid = os.fork()
            if pid == 0:
                code = 1
                try:
                    assert before.result(30) == 32
                    assert client.submit(pow, 3, k).result(30) == 3 ** k
                    assert slow.result(30) is None
                    client.close()
                    code = 0
                finally:
                    os._exit(code)
            children.append(pid)
        assert list(client.map(abs, range(-50, 0))) == list(range(50, 0, -1))
        assert [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children] == [0, 0, 0]
        assert slow.result(30) is None and client.submit(pow, 2, 6).result(30) == 64
        print("ok")
        """,
        url,
    )
    assert out == "ok\n"


def test_local_server(tmp_path):
    from server import BIN

    out = run(
        """
        import os, treadle
        with treadle.Client("local:1") as client:
            print(list(client.map(lambda x: x * x, range(5))), client._transport.call("GET", "/readyz")["slots"])
            home = client._server.home
            assert os.path.isdir(home)
        assert not os.path.exists(home)
        """,
        env={"TREADLE": BIN},
    )
    assert out == "[0, 1, 4, 9, 16] 1\n"


def test_local_server_without_a_program(tmp_path, monkeypatch):
    monkeypatch.setenv("TREADLE", str(tmp_path / "treadle"))
    with pytest.raises(treadle.TreadleError, match="not a program"):
        Client("local:")


def test_pytest_fixtures(tmp_path):
    from server import BIN

    (tmp_path / "test_theirs.py").write_text(
        "def test_one(treadle_client, treadle_server):\n"
        "    assert treadle_client.submit(pow, 2, 4).result(30) == 16 and treadle_server.url == treadle_client.url\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "treadle.pytest_plugin", "-p", "no:cacheprovider", str(tmp_path)],
        env=clean_env(PYTHONPATH=ROOT / "python", TREADLE=BIN),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0 and "1 passed" in done.stdout, done.stdout + done.stderr

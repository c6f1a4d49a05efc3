"""What a running task shows of itself: its progress, and its output to who follows it; over every store and mode."""

import http.client
import threading
import time

import pytest

from server import PATIENCE, eventually, run
from v1 import UNKNOWN, V1

pytestmark = pytest.mark.cells("sqlite-local", "redis-push", "redis-pull")


def shows(gate, steps):
    """A step for each name that is made in the folder `gate`."""
    import os
    import time

    import treadle

    for name in steps:
        print("begin", name)
        treadle.progress(steps.index(name) / len(steps), "before " + name)
        while not os.path.exists(os.path.join(gate, name)):
            time.sleep(0.005)
        os.system("echo from a process " + name)
    print("é" * 10, end="")


@pytest.fixture(scope="module")
def v1(server):
    return V1(server)


class Follower(threading.Thread):
    """Reads ?follow=1 to its end, noting when each text came."""

    def __init__(self, v1, task_id):
        super().__init__(daemon=True)
        self.connection = http.client.HTTPConnection("127.0.0.1", v1.server.port, timeout=30 * PATIENCE)
        self.connection.request("GET", f"/v1/tasks/{task_id}/logs?follow=1")
        self.response = self.connection.getresponse()
        assert self.response.status == 200, self.response.read()
        assert self.response.getheader("Content-Type") == "text/plain; charset=utf-8"
        assert self.response.getheader("Transfer-Encoding") == "chunked"
        self.text, self.ended = "", False
        self.start()

    def run(self):
        data = b""
        while piece := self.response.read1(1 << 16):
            data += piece
            self.text = data.decode("utf-8", "replace")
        self.ended = True
        self.connection.close()

    def sees(self, words, seconds=5):
        assert eventually(lambda: words in self.text, seconds), (words, self.text)


def test_a_task_is_watched_while_it_runs(v1, tmp_path):
    task_id = v1.submit(v1.register(shows), str(tmp_path), ["a", "b", "c"])
    v1.when(task_id, "RUNNING")
    follower = Follower(v1, task_id)
    follower.sees("begin a\n")
    assert eventually(lambda: v1.task(task_id)["progress"], 5), v1.task(task_id)
    progress = v1.task(task_id)["progress"]
    assert (progress["fraction"], progress["note"]) == (0, "before a") and progress["at"].endswith("Z")
    code, out, err = run("why", task_id, "--url", v1.server.url)
    assert code == 0 and "It says of its progress: 0 %: before a (at " in out, out + err
    (tmp_path / "a").touch()
    follower.sees("from a process a\nbegin b\n")
    assert not follower.ended
    assert eventually(lambda: v1.task(task_id)["progress"]["note"] == "before b", 5)
    assert v1.task(task_id)["progress"]["fraction"] == pytest.approx(1 / 3, abs=1e-6)
    second = Follower(v1, task_id)
    second.sees("begin a\nfrom a process a\nbegin b\n")
    for name in "bc":
        (tmp_path / name).touch()
    whole = "begin a\nfrom a process a\nbegin b\nfrom a process b\nbegin c\nfrom a process c\n" + "é" * 10
    for one in (follower, second):
        one.join(10 * PATIENCE)
        assert one.ended and one.text == whole
    task = v1.ended(task_id)
    assert task["output"] == whole and task["progress"] is None
    late = Follower(v1, task_id)
    late.join(10 * PATIENCE)
    assert late.text == whole, "of a task that has ended it is what is kept"


def test_much_output_is_cut_and_its_end_is_there(v1):
    def floods():
        import time

        for i in range(300):
            print(i, "x" * 10_000)
            time.sleep(0.002)
        print("the end")

    task_id = v1.submit(v1.register(floods))
    follower = Follower(v1, task_id)
    follower.join(30 * PATIENCE)
    assert follower.ended and follower.text.endswith("xxx\nthe end\n")
    task = v1.ended(task_id)
    assert follower.text.endswith(task["output"][-1000:])
    lines = [line for line in follower.text.splitlines() if line.endswith("x" * 10_000)]
    numbers = [int(line.split()[0]) for line in lines if line.split()[0].isdigit()]
    assert numbers == sorted(set(numbers)), "nothing twice, all in order"


def test_what_dies_is_followed_to_its_end(v1):
    def dies():
        import os
        import time

        print("last words", flush=True)
        time.sleep(0.5)
        os._exit(3)

    task_id = v1.submit(v1.register(dies, max_attempts=1))
    follower = Follower(v1, task_id)
    follower.join(20 * PATIENCE)
    # What an attempt before the last one wrote may be lost with its worker's next report; the last one's is kept.
    assert follower.ended and 1 <= follower.text.count("last words\n") <= v1.ended(task_id)["attempts"], follower.text
    assert follower.text.endswith("last words\n")


def test_who_leaves_frees_the_way(v1, tmp_path):
    task_id = v1.submit(v1.register(shows), str(tmp_path), ["a"])
    v1.when(task_id, "RUNNING")
    follower = Follower(v1, task_id)
    follower.sees("begin a\n")
    follower.connection.sock.close() if follower.connection.sock else follower.response.close()
    (tmp_path / "a").touch()
    assert v1.ended(task_id)["status"] == "COMPLETED"


def test_what_cannot_be_followed_is_told(v1):
    v1.problem(404, "not-found", "There is no task", "GET", f"/v1/tasks/{UNKNOWN}/logs?follow=1")
    v1.problem(400, "invalid-request", "follow", "GET", f"/v1/tasks/{UNKNOWN}/logs?follow=yes")

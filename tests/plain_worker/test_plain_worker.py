"""The worker of docs/protocol.md, as it stands there, against a dispatcher that says what the frames of the document say."""
import json
import pathlib
import pickle
import re
import subprocess
import sys

import dill
import pytest
import zmq

DOCUMENT = (pathlib.Path(__file__).resolve().parents[2] / "docs/protocol.md").read_text()
WORKER = re.search(r"```python\n(.*?)```", DOCUMENT, re.S)[1]
PATIENCE_MS = 20_000


def block(name):
    """The frames of a `wire` block."""
    text = re.search(rf"```wire {name}\n(.*?)\n```", DOCUMENT, re.S)[1]
    return [line.encode() for line in text.split("\n")]


class Dispatcher:
    """One REP socket: takes a request, gives an answer."""

    def __init__(self):
        self.context = zmq.Context()
        self.socket = self.context.socket(zmq.REP)
        self.socket.linger = 0
        self.address = f"tcp://127.0.0.1:{self.socket.bind_to_random_port('tcp://127.0.0.1')}"

    def take(self, answer):
        assert self.socket.poll(PATIENCE_MS), "the worker says nothing"
        kind, header, *payloads = self.socket.recv_multipart()
        self.socket.send_multipart(answer)
        return kind.decode(), json.loads(header), payloads

    def close(self):
        self.socket.close()
        self.context.term()


@pytest.fixture
def dispatcher():
    d = Dispatcher()
    yield d
    d.close()


@pytest.fixture
def worker(dispatcher):
    process = subprocess.Popen([sys.executable, "-c", WORKER, dispatcher.address, "my-worker"], stderr=subprocess.PIPE, text=True)
    yield process
    process.kill()
    process.communicate()


def task_of(function, *args, **kwargs):
    kind, header, *_ = block("plain-task")
    return [kind, header, dill.dumps(function, recurse=True), pickle.dumps((args, kwargs))]


def test_document_s_worker_runs_tasks_and_tells_how_they_ended(dispatcher, worker):
    me = {"worker": "my-worker"}
    attempt = {**me, **{k: json.loads(block("plain-task")[1])[k] for k in ("task_id", "token")}}
    divide = lambda a, b: a / b  # noqa: E731  (dill sends a lambda by value, and a function of this module by name)
    no_task, ack = block("no-task"), block("registered")

    assert dispatcher.take(ack) == ("WORKER_REGISTRATION", me, [])
    assert dispatcher.take(no_task) == ("WORKER_TASK_REQUEST", me, [])
    assert dispatcher.take(task_of(divide, 6, b=4)) == ("WORKER_TASK_REQUEST", me, [])
    kind, header, (result,) = dispatcher.take(ack)
    assert (kind, header, pickle.loads(result)) == ("TASK_COMPLETED", attempt, 1.5)

    assert dispatcher.take(task_of(divide, 1, b=0))[0] == "WORKER_TASK_REQUEST"
    failed = {**attempt, "error_type": "ZeroDivisionError", "error_message": "division by zero"}
    assert dispatcher.take(ack) == ("TASK_FAILED", failed, [])

    assert dispatcher.take([b"REREGISTER", b"{}"])[0] == "WORKER_TASK_REQUEST"
    assert dispatcher.take(ack)[0] == "WORKER_REGISTRATION"
    assert dispatcher.take(block("error"))[0] == "WORKER_TASK_REQUEST"
    _, stderr = worker.communicate(timeout=20)
    assert worker.returncode == 1
    assert stderr.strip() == json.loads(block("error")[1])["error"]

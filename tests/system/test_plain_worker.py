"""Workers of other people's making: a REQ socket, and nothing but what docs/protocol.md says of plain clients."""

import json
import time

import dill
import pytest
import zmq

from server import PATIENCE, eventually

NAME = "someone-else-s"


class Peer:
    """One REQ socket: each message gets one answer."""

    def __init__(self, endpoint, name=NAME):
        self.name = name
        self._context = zmq.Context()
        self.socket = self._context.socket(zmq.REQ)
        self.socket.linger = 0
        self.socket.connect(endpoint)

    def call(self, kind, header=(), *payloads, seconds=5):
        header = {"worker": self.name, **dict(header)}
        self.socket.send_multipart([kind.encode(), json.dumps(header).encode(), *payloads])
        assert self.socket.poll(seconds * 1000 * PATIENCE), f"no answer to {kind}"
        kind, header, *payloads = self.socket.recv_multipart()
        return kind.decode(), json.loads(header), payloads

    def close(self):
        self._context.destroy(linger=0)


@pytest.fixture
def gateway(fleet):
    return fleet.gateway()


@pytest.fixture
def pull(fleet, gateway):
    return fleet.dispatcher("pull")


@pytest.fixture
def peer(pull):
    one = Peer(pull.endpoint)
    yield one
    one.close()


def triple(x):
    return x * 3


def next_task(peer, seconds=5):
    """The next task; NO_TASK until then."""
    deadline = time.monotonic() + seconds * PATIENCE
    while time.monotonic() < deadline:
        kind, task, payloads = peer.call("WORKER_TASK_REQUEST")
        if kind == "NEW_REDIS_TASK":
            return task, payloads
        assert kind == "NO_TASK", (kind, task)
    raise AssertionError("it got no task")


def test_an_empty_queue_is_answered_with_no_task(peer):
    assert peer.call("WORKER_REGISTRATION", {"slots": 1})[0] == "ACK"
    begun = time.monotonic()
    assert peer.call("WORKER_TASK_REQUEST")[0] == "NO_TASK"
    assert time.monotonic() - begun < 1.5 * PATIENCE


def test_it_completes_and_fails_tasks(gateway, peer):
    assert peer.call("WORKER_REGISTRATION", {})[0] == "ACK"
    function_id = gateway.register(triple, "triple")
    good, bad = gateway.execute(function_id, 14), gateway.execute(function_id, 15)
    for task_id in (good, bad):
        task, (function, args) = next_task(peer)
        assert (task["task_id"], task["function_id"], task["attempt"]) == (task_id, function_id, 1)
        assert (task["function_serializer"], task["args_serializer"]) == ("pickle", "pickle")
        assert gateway.status(task_id) == "RUNNING"
        positional, named = dill.loads(args)
        attempt = {"task_id": task_id, "token": task["token"]}
        if task_id == good:
            reply = peer.call("TASK_COMPLETED", attempt, dill.dumps(dill.loads(function)(*positional, **named)))
        else:
            reply = peer.call("TASK_FAILED", {**attempt, "error_type": "ValueError", "error_message": "no fifteen"})
        assert reply[0] in ("ACK", "NO_TASK"), reply
    assert gateway.value(good) == 42
    error = gateway.failure(bad)
    assert isinstance(error, Exception) and "ValueError" in error and "no fifteen" in error
    assert error.task_id == bad and error.error_code == 500


def test_its_failures_say_function_failure(gateway, peer):
    peer.call("WORKER_REGISTRATION", {})
    task_id = gateway.execute(gateway.register(triple), 1)
    attempt = {"task_id": task_id, "token": next_task(peer)[0]["token"]}
    peer.call("TASK_FAILED", {**attempt, "error_type": "ValueError", "error_message": "no fifteen"})
    assert "Function Failure" in str(gateway.failure(task_id))


def test_an_outcome_counts_once_and_a_wrong_token_never(gateway, peer):
    peer.call("WORKER_REGISTRATION", {})
    task_id = gateway.execute(gateway.register(triple), 1)
    task, _ = next_task(peer)
    peer.call("TASK_COMPLETED", {"task_id": task_id, "token": "00000000000000ff"}, dill.dumps("forged"))
    assert gateway.answer(task_id) == {"task_id": task_id, "status": "RUNNING", "result": ""}
    for said in ("first", "second"):
        peer.call("TASK_COMPLETED", {"task_id": task_id, "token": task["token"]}, dill.dumps(said))
        assert gateway.value(task_id) == "first"


def test_what_it_must_do_is_said_in_a_sentence(peer):
    kind, header, _ = peer.call("WORKER_TASK_REQUEST")
    assert kind == "REREGISTER", header
    kind, header, _ = peer.call("MAKE_COFFEE")
    assert kind == "ERROR" and "MAKE_COFFEE" in header["error"]
    kind, header, _ = peer.call("TASK_COMPLETED", {"task_id": "x"}, b"r")
    assert kind == "ERROR" and "task_id" in header["error"]
    assert peer.call("WORKER_REGISTRATION", {})[0] == "ACK", "it may go on after an ERROR"


@pytest.mark.sleepy
def test_a_plain_worker_that_goes_silent(gateway, peer, fleet, pull, runs):
    """It sent a heartbeat once, holds a task, and says no more: after the lease another worker gets the task."""
    peer.call("WORKER_REGISTRATION", {})
    peer.call("HEARTBEAT")
    task_id = gateway.execute(gateway.register(triple), 5)
    assert next_task(peer)[0]["task_id"] == task_id
    fleet.worker(pull, 1)
    assert gateway.status(task_id) == "RUNNING"
    assert gateway.value(task_id, 25) == 15


@pytest.mark.serial
def test_a_pull_worker_with_busy_slots_delivers_at_once(fleet, gateway, pull):
    """Three of four slots are busy for 10 s: what the fourth does in 10 ms is known within 100 ms."""

    def sleep(seconds):
        import time

        time.sleep(seconds)
        return seconds

    fleet.worker(pull, 4)
    function_id = gateway.register(sleep)
    assert [gateway.value(i) for i in [gateway.execute(function_id, 0.0) for _ in range(8)]] == [0.0] * 8
    long = [gateway.execute(function_id, 10) for _ in range(3)]
    assert eventually(lambda: [gateway.status(i) for i in long] == ["RUNNING"] * 3, 5)
    took = []
    for _ in range(20):
        begun = time.monotonic()
        task_id = gateway.execute(function_id, 0.01)
        assert eventually(lambda: gateway.status(task_id) == "COMPLETED", 5, every=0.002)
        took.append(time.monotonic() - begun)
    assert [gateway.status(i) for i in long] == ["RUNNING"] * 3
    print("10 ms tasks took, in ms:", sorted(round(t * 1e3) for t in took))
    assert sorted(took)[len(took) // 2] < 0.1 * PATIENCE and max(took) < 0.25 * PATIENCE, took

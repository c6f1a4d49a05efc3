"""Peers that lie on the workers' port: forged outcomes, replayed ones, and another's name."""

import json
import time
import uuid

import dill
import zmq

from client import eventually
from rows import APART, row

PULL = ("sqlite-pull", "redis-pull")
FORGED = dill.dumps([0, "forged"])


class Peer:
    """A worker of our own making (docs/protocol.md), on a REQ socket or, in push mode, a DEALER."""

    def __init__(self, port, name, mode):
        self.name = name
        self._first = [b""] if mode == "push" else []
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.DEALER if mode == "push" else zmq.REQ)
        if mode == "pull":
            self._socket.setsockopt(zmq.REQ_RELAXED, 1)
            self._socket.setsockopt(zmq.REQ_CORRELATE, 1)
        self._socket.connect(f"tcp://127.0.0.1:{port}")

    def say(self, kind, header=(), *payloads, seconds=10):
        """(kind, header, payloads) of the answer; a kind of "" if there is none."""
        words = {"worker": self.name, **dict(header)}
        self._socket.send_multipart([*self._first, kind.encode(), json.dumps(words).encode(), *payloads])
        if not self._socket.poll(seconds * 1000):
            return "", {}, []
        kind, header, *payloads = self._socket.recv_multipart()[len(self._first) :]
        return kind.decode(), json.loads(header), payloads

    def register_numbered(self, mode, slots):
        """As the real workers do. Returns the kind of the answer."""
        self._boot, self._seq = uuid.uuid4().hex[:16], 1
        header = {"protocol": 1, "boot": self._boot, "seq": 1, "slots": slots, "free": 0, "held": []}
        if mode == "pull":
            header["wait_ms"] = 100
        kind, answer, _ = self.say("WORKER_REGISTRATION", header)
        self._session = answer.get("session")
        return kind

    def say_outcome(self, mode, task, token, result):
        """An outcome, as a plain client (pull) or a numbered worker (push) says it. Returns the kind of the answer."""
        if mode == "pull":
            return self.say("TASK_COMPLETED", outcome(task, token), result)[0]
        self._seq += 1
        header = {"boot": self._boot, "seq": self._seq, "session": self._session, "ack": 1}
        return self.say("TASK_COMPLETED", {**header, "outcomes": [[task, token, 0, len(result)]]}, result)[0]

    def close(self):
        self._context.destroy(linger=0)


def outcome(task, token):
    return {"task_id": task, "token": token}


@row("forged outcomes", "a peer that registered sends results for tasks of others, with tokens that it made up", APART,
     hits=("forged", "stale"), short=("redis-push", "sqlite-pull"), rounds=1)
def forge(scene):
    peer = Peer(scene.rig.worker_ports[0], "forger", scene.mode)
    try:
        # A registration without slots: it asks for nothing, and only tells lies.
        if scene.mode == "push":
            assert peer.register_numbered("push", 0) == "ACK"
        else:
            peer.say("WORKER_REGISTRATION", {"slots": 0})
        with scene.blow(since="end"):
            until = time.monotonic() + 5
            while time.monotonic() < until:
                for task in scene.load.unfinished()[:20]:
                    kind = peer.say_outcome(scene.mode, task, uuid.uuid4().hex[:16], FORGED)
                    scene.hit("forged", kind not in ("", "ERROR"))
    finally:
        peer.close()
    scene.settle()
    assert eventually(lambda: scene.totals.total["stale"] > 0, 20), scene.rig.log()


@row("replayed outcomes", "a worker of another's making says each outcome again, and then with another value", PULL,
     hits=("ran", "replayed", "duplicate"), rounds=1, short=PULL)
def replay(scene):
    peer = Peer(scene.rig.worker_ports[0], "repeater", "pull")
    try:
        peer.say("WORKER_REGISTRATION", {"slots": 1})
        with scene.blow(since="end"):
            until = time.monotonic() + 6
            while time.monotonic() < until:
                run_and_replay(scene, peer)
            peer.say("GOODBYE")
    finally:
        peer.close()
    scene.settle()
    assert eventually(lambda: scene.totals.total["duplicate"] > 0, 20), scene.rig.log()


def run_and_replay(scene, peer):
    """One task, truly run; its outcome three times, the last two with a value that is not the first one's."""
    kind, task, payloads = peer.say("WORKER_TASK_REQUEST")
    if kind == "REREGISTER":
        peer.say("WORKER_REGISTRATION", {"slots": 1})
    if kind != "NEW_REDIS_TASK":
        return
    named = outcome(task["task_id"], task["token"])
    function, (args, kwargs) = map(dill.loads, payloads)
    try:
        value = dill.dumps(function(*args, **kwargs))
        peer.say("TASK_COMPLETED", named, value)
    except ValueError as error:
        peer.say("TASK_FAILED", {**named, "error_type": "ValueError", "error_message": str(error)})
    scene.hit("ran")
    for _ in range(2):
        peer.say("TASK_COMPLETED", named, FORGED)
        scene.hit("replayed")


@row("duplicate worker ids", "another worker with the id of a live one fences it; it registers again", APART, hits=("in_flight", "impersonated", "requeued"), short=("redis-push", "sqlite-pull"), rounds=1)
def impersonate(scene):
    worker = scene.rig.roles["worker"][0]
    with scene.blow():
        for _ in range(3):
            scene.hit("in_flight", scene.busy(worker))
            peer = Peer(scene.rig.worker_ports[0], id_of(scene, worker), scene.mode)
            try:
                scene.hit("impersonated", peer.register_numbered(scene.mode, 1) == "ACK")
                time.sleep(1)
            finally:
                peer.close()
    scene.settle()


def id_of(scene, worker):
    """What the dispatcher calls it."""

    def look():
        listed = scene.rig.get("/v1/workers").json["workers"]
        return next((one["worker_id"] for one in listed if one["pid"] == worker.pid and one["state"] == "ready"), None)

    found = eventually(look, 30)
    assert found, scene.rig.get("/v1/workers").json
    return found

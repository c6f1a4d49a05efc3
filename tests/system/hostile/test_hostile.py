"""Each hostile function, mixed with 100 good ones on 2 slots: it ends in the right kind, harms nobody, and leaves nothing."""

import os
import pathlib
import time
import types
import uuid

import pytest
from cases import CASES

import cluster
import wire
from server import Server, eventually, parent
from v1 import V1

GOOD_BEFORE, GOOD_AFTER = 50, 50


def mixed(body, runs, n, mark, notes):
    """A good call appends a line; a hostile one does what its body says."""
    import os

    if not body:
        fd = os.open(runs, os.O_WRONLY | os.O_APPEND)
        os.write(fd, f"{n} {os.getpid()}\n".encode())
        os.close(fd)
        return n * 3
    import signal
    import sys
    import time

    def note(pid):
        fd = os.open(notes, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        os.write(fd, f"{pid}\n".encode())
        os.close(fd)

    os.environ["HOSTILE_MARK"] = mark
    names = {"os": os, "signal": signal, "sys": sys, "time": time, "note": note, "result": "done"}
    exec(body, names)
    return names["result"]


def of_its_own(function, name):
    """As another function than that of the other cases: what one leaves behind may reach up to 63 calls of the same."""
    return types.FunctionType(function.__code__.replace(co_consts=(*function.__code__.co_consts, name)), function.__globals__, function.__name__)


def good(runs, n):
    import os

    fd = os.open(runs, os.O_WRONLY | os.O_APPEND)
    os.write(fd, f"{n} {os.getpid()}\n".encode())
    os.close(fd)
    return n * 3


class House:
    """A service with 2 slots that all cases share, and who lives in it."""

    def __init__(self, service):
        self.service = service
        self.v1 = V1(service)
        self.good = service.register(good)
        self.main_pids = self.mains()

    def mains(self):
        return [self.service.pid] if hasattr(self.service, "pid") else self.service.pids()

    def strangers(self):
        """Processes of the tree that are neither ours, nor a guard, nor a guard's child."""
        all_pids = dict(self.service.survivors())
        parents = {pid: parent(pid) for pid in all_pids}
        guards = {pid for pid in all_pids if parents[pid] in self.main_pids}
        ours = {*self.main_pids, *guards, *(pid for pid in all_pids if parents[pid] in guards)}
        return {pid: all_pids[pid] for pid in set(all_pids) - ours if parents[pid] is not None}


def alive(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def with_mark(mark):
    found = []
    for entry in os.listdir("/proc"):
        try:
            if entry.isdigit() and mark.encode() in pathlib.Path(f"/proc/{entry}/environ").read_bytes():
                found.append(int(entry))
        except OSError:
            continue
    return found


@pytest.fixture(scope="module")
def house(tmp_path_factory, binary, cell):
    home = tmp_path_factory.mktemp("hostile")
    service = Server(home, "-w", 2) if cell == cluster.DEFAULT else cluster.Cluster(home, cell, "-w", 2).start()
    try:
        yield House(service)
    finally:
        service.close()


def run_mixed(house, case, runs, mark, notes, options):
    """Submits all in one write, so that they reach the executors in batches; (hostile's id, [(n, good id)])."""
    own = house.v1.register(of_its_own(mixed, case.name), **options, **case.options)
    for n in range(60):  # the service learns that the function is short
        assert house.service.value(house.service.execute(own, "", os.devnull, n, mark, notes)) == n * 3
    calls = []
    for n in range(GOOD_BEFORE + GOOD_AFTER):
        if n == GOOD_BEFORE:
            calls.append((own, wire.args(case.body, runs, -1, mark, notes)))
        if case.apart:
            calls.append((house.good, wire.args(runs, n)))
        else:
            calls.append((own, wire.args("", runs, n, mark, notes)))
    with house.service.raw() as raw:
        raw.write(b"".join(wire.request("POST", "/execute_function", {"function_id": f, "payload": p}) for f, p in calls))
        ids = [raw.read_reply().json["task_id"] for _ in calls]
    hostile = ids.pop(GOOD_BEFORE)
    return hostile, list(enumerate(ids))


@pytest.mark.cells("sqlite-local", "sqlite-push", slow=True)
@pytest.mark.parametrize("isolation", ["reuse", pytest.param("fresh", marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", CASES)
def test_hostile_function(house, runs, tmp_path, name, isolation):
    case = CASES[name]
    mark, notes = uuid.uuid4().hex, tmp_path / "notes"
    hostile, goods = run_mixed(house, case, runs.name, mark, str(notes), {"isolation": isolation})
    task = house.v1.ended(hostile, 60)
    ended = task["error"]["kind"] if task["error"] else task["status"]
    assert ended in case.ends, task["error"] or task["status"]
    if case.words:
        assert case.words in task["error"]["message"] + (task["error"]["traceback"] or ""), task["error"]
    assert [house.service.value(i) for _, i in goods] == [n * 3 for n, _ in goods]
    counts = {n: runs.count(n) for n, _ in goods}
    assert set(counts.values()) <= ({1, 2} if case.again else {1}), {n: count for n, count in counts.items() if count != 1}
    noted = [int(line) for line in notes.read_text().split()] if notes.exists() else []
    assert len(noted) > 0 or "note(" not in case.body
    left = eventually(lambda: not [p for p in noted if alive(p)] and not with_mark(mark) and not house.strangers(), 3)
    assert left, ([p for p in noted if alive(p)], with_mark(mark), house.strangers())
    assert house.mains() == house.main_pids, "the supervisor was started again"
    assert house.service.alive

"""The process tree below serve: its guard, its zygote and its executors, killed one by one while tasks run."""

import os
import pathlib
import re
import signal
import time

import pytest

from load import Load
from server import PATIENCE, eventually


def work(runs, n, seconds):
    import os
    import time

    fd = os.open(runs, os.O_WRONLY | os.O_APPEND)
    os.write(fd, f"{n} {os.getpid()}\n".encode())
    os.close(fd)
    time.sleep(seconds)
    return n


def parts(server, runs):
    """(guard, zygote) of a server whose executors have noted their pids."""
    guards = server.children()
    assert len(guards) == 1, server.survivors()
    executors = {int(pid) for _, pid in runs.words()}
    zygotes = [pid for pid in server.children(guards[0]) if pid not in executors]
    assert len(zygotes) == 1, (server.survivors(), executors)
    return guards[0], zygotes[0]


def whole_tree(server):
    """(guard, what is below it) when there is a guard with something below it; the parts are being replaced all the
    time.
    """
    for guard in server.children():
        below = server.children(guard)
        if len(below) > 1:
            return guard, below
    return None


def started(server, runs, seconds):
    """Two tasks that run side by side; returns the function and the tasks."""
    function_id = server.register(work)
    ids = [server.execute(function_id, runs.name, n, seconds) for n in range(2)]
    assert eventually(lambda: len(runs.lines()) == 2 and all(server.status(i) == "RUNNING" for i in ids), 10)
    return function_id, ids


@pytest.mark.sleepy
def test_guard_killed(serve, runs):
    """Its executors go with it; what they ran was not to blame, and runs again under a new guard."""
    server = serve("-w", 2)
    pid = server.pid
    function_id, ids = started(server, runs, 1.0)
    guard, zygote = parts(server, runs)
    old = {guard, zygote, *(int(p) for _, p in runs.words())}
    os.kill(guard, signal.SIGKILL)
    assert eventually(lambda: not old & {p for p, _ in server.survivors()}, 2), server.survivors()
    assert [server.value(i) for i in ids] == [0, 1]
    assert runs.count(0) == runs.count(1) == 2
    assert server.value(server.execute(function_id, runs.name, 5, 0)) == 5
    assert server.alive and server.pid == pid
    server.kill()
    server.assert_gone()


@pytest.mark.sleepy
def test_zygote_killed(serve, runs):
    """Nobody's task notices; the next executor comes from a new zygote."""
    server = serve("-w", 2)
    function_id, ids = started(server, runs, 1.0)
    _, zygote = parts(server, runs)
    os.kill(zygote, signal.SIGKILL)
    assert [server.value(i) for i in ids] == [0, 1] and runs.count(0) == runs.count(1) == 1
    for _, child in runs.words():
        os.kill(int(child), signal.SIGKILL)
    more = [server.execute(function_id, runs.name, n, 0.05) for n in range(10, 20)]
    assert [server.value(i) for i in more] == list(range(10, 20))
    server.kill()
    server.assert_gone()


def test_everything_below_killed_at_once(serve, runs):
    server = serve("-w", 2)
    function_id, ids = started(server, runs, 1)
    for pid, _ in server.survivors():
        if pid != server.pid:
            os.kill(pid, signal.SIGKILL)
    assert [server.value(i) for i in ids] == [0, 1]
    assert server.value(server.execute(function_id, runs.name, 5, 0)) == 5


@pytest.mark.serial
def test_parts_killed_under_load(serve, runs):
    """Guard, zygote and executors, by turns, while clients go on: nothing is lost, and nothing that was answered runs
    again.
    """
    server = serve("-w", 3)
    struck = 0
    with Load(server, runs) as load:
        for turn in range(6):
            accepted = len(load.accepted)
            assert eventually(lambda: len(load.accepted) > accepted + 30, 10), server.log()
            struck += load.in_flight() > 0
            guard, below = eventually(lambda: whole_tree(server), 5) or (None, server.survivors())
            assert guard, below
            os.kill(guard if turn % 3 == 0 else below[turn % len(below)], signal.SIGKILL)
            assert eventually(lambda: len(load.accepted) > accepted + 60, 10), server.log()
    ran = load.judge(60 * PATIENCE)
    assert struck >= 3, "hardly ever was anything in flight"
    print(f"{len(load.accepted)} accepted, run more than once: {sum(len(t) > 1 for t in ran.values())}")


@pytest.mark.sleepy
def test_an_executor_that_is_stopped_and_goes_on(serve, runs):
    """SIGSTOP and SIGCONT from outside: slow, not dead."""
    server = serve("-w", 1)
    function_id = server.register(work)
    task_id = server.execute(function_id, runs.name, 0, 0.5)
    assert eventually(lambda: len(runs.lines()) == 1, 10)
    child = int(runs.words()[0][1])
    os.kill(child, signal.SIGSTOP)
    time.sleep(1.0)
    assert server.status(task_id) == "RUNNING"
    os.kill(child, signal.SIGCONT)
    assert server.value(task_id) == 0 and runs.count(0) == 1


def test_who_sleeps_wakes_in_time(serve, runs):
    """docs/decisions/0012: no slack of timers, and, where Linux can do it, a short time slice."""
    server = serve("-w", 2)
    function_id, ids = started(server, runs, 1)
    assert [server.value(i) for i in ids] == [0, 1]
    guard, zygote = parts(server, runs)
    for pid in (zygote, *(int(pid) for _, pid in runs.words())):
        assert pathlib.Path(f"/proc/{pid}/timerslack_ns").read_text().strip() == "1"
        shown = re.search(r"^se.slice +: +(\d+)$", pathlib.Path(f"/proc/{pid}/sched").read_text(), re.M)
        if tuple(map(int, re.findall(r"\d+", os.uname().release)[:2])) >= (6, 12) and shown:
            assert shown[1] == "300000"

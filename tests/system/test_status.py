"""Statuses and time: what RUNNING means, how soon a small task is done, and how well the slots are used."""

import collections
import time

import pytest

import cluster
import wire
from server import PATIENCE, eventually

pytestmark = pytest.mark.cells


def sleep(seconds):
    import time

    time.sleep(seconds)
    return seconds


def statuses(server, ids):
    return collections.Counter(server.status(i) for i in ids)


@pytest.mark.sleepy
def test_running_counts_what_runs(serve):
    """10 tasks on 4 slots: 4 are RUNNING, the others QUEUED, prefetched or not."""
    server = serve("-w", 4)
    function_id = server.register(sleep)
    assert server.value(server.execute(function_id, 0.0)) == 0.0
    ids = [server.execute(function_id, 2.5) for _ in range(10)]
    most = 0

    def all_four_run():
        nonlocal most
        count = statuses(server, ids)
        assert set(count) <= wire.WORDS
        most = max(most, count["RUNNING"])
        return count["RUNNING"] == 4 and count["QUEUED"] == 6

    assert eventually(all_four_run, 2), statuses(server, ids)
    time.sleep(0.5)
    assert statuses(server, ids) == {"RUNNING": 4, "QUEUED": 6}
    assert [server.value(i) for i in ids] == [2.5] * 10
    assert statuses(server, ids) == {"COMPLETED": 10} and most == 4


def test_statuses_go_forward_only(serve):
    server = serve("-w", 2)
    function_id = server.register(sleep)
    order = ["QUEUED", "RUNNING", "COMPLETED"]
    ids = [server.execute(function_id, 0.15) for _ in range(8)]
    seen = {i: [] for i in ids}

    def all_completed():
        for i in ids:
            seen[i].append(server.status(i))
        return all(words[-1] == "COMPLETED" for words in seen.values())

    assert eventually(all_completed, 20, every=0), seen
    for words in seen.values():
        ranks = [order.index(word) for word in words]
        assert ranks == sorted(ranks), words
    assert sum("RUNNING" in words for words in seen.values()) >= 6


@pytest.mark.serial
def test_a_small_task_is_done_within_20_polls_of_10_ms(serve):
    def double(x):
        return x * 2

    server = serve("-w", 2)
    assert server.run(double, 1) == 2  # its interpreter is up
    polls = []
    for n in range(30):
        task_id = server.execute(server.register(double), n)
        for poll in range(20):
            answer = server.answer(task_id)
            if answer["status"] == "COMPLETED":
                break
            time.sleep(0.01)
        assert (
            answer["status"] == "COMPLETED" and wire.untext(answer["result"]) == n * 2
        ), f"call {n} after {poll + 1} polls"
        polls.append(poll + 1)
    print("polls needed:", sorted(polls))


@pytest.mark.cells(*cluster.FEW)
@pytest.mark.slow
@pytest.mark.sleepy
def test_200_tasks_on_16_slots(serve):
    """5 to 10 s each, in about the ideal time: never a free slot while a task waits."""
    server = serve("-w", 16)
    function_id = server.register(sleep)
    times = [5 + (n * 37 % 51) / 10 for n in range(200)]
    slots = [0.0] * 16  # greedy, in the order of submission
    for seconds in times:
        slots[slots.index(min(slots))] += seconds
    begun = time.monotonic()
    ids = [server.execute(function_id, seconds) for seconds in times]
    assert [server.value(i, 200) for i in ids] == times
    took = time.monotonic() - begun
    print(f"took {took:.1f} s, ideal {max(slots):.1f} s")
    assert took < max(slots) * 1.05 + 2 * PATIENCE


ENDLESS = """
def busy(runs):
    note(runs)
    while True:
        pass

def stubborn(runs):
    note(runs)
    import time
    while True:
        try:
            time.sleep(60)
        except BaseException:
            pass

def in_c_code(runs):
    note(runs)
    sum(range(10**15))

def stopped(runs):
    note(runs)
    import os, signal
    os.kill(os.getpid(), signal.SIGSTOP)

def with_child(runs):
    note(runs)
    import subprocess, time
    subprocess.Popen(["sleep", "1000"], start_new_session=True)
    time.sleep(1000)

def note(runs):
    import os
    with open(runs, "a") as f:
        f.write(f"{os.getpid()}\\n")
"""


def endless(name):
    import cloudpickle

    names = {"__name__": "__main__"}
    exec(ENDLESS, names)
    return cloudpickle.dumps(names[name])


@pytest.mark.cells(slow=True)
@pytest.mark.sleepy
@pytest.mark.parametrize("name", ["busy", "stubborn", "in_c_code", "stopped", "with_child"])
def test_time_limit(serve, runs, name):
    """FAILED at the limit, plus 2 s of grace for one that refuses; its processes are gone, and the slot works."""
    server = serve("-w", 1, "-t", 2)
    task_id = server.execute(server.register(endless(name)), runs.name)
    assert eventually(lambda: server.status(task_id) == "RUNNING" and runs.lines(), 5)
    begun = time.monotonic()
    child = int(runs.lines()[0])
    error = server.failure(task_id, 8)
    took = time.monotonic() - begun
    assert 1 < took < 5 * PATIENCE, took
    assert "Worker Failure" in str(error) and error.error_code == 500 and error.task_id == task_id
    assert eventually(lambda: child not in dict(server.survivors()), 3)
    assert eventually(lambda: not any("sleep 1000" in command for _, command in server.survivors()), 3)
    assert server.value(server.execute(server.register(sleep), 0.1), 5) == 0.1
    assert len(runs.lines()) == 1, "a time-out is terminal: the function must not be run again"


@pytest.mark.cells(slow=True)
@pytest.mark.sleepy
def test_time_limit_of_12_seconds(serve, runs):
    server = serve("-w", 1, "-t", 12)
    begun = time.monotonic()
    task_id = server.execute(server.register(endless("busy")), runs.name)
    assert eventually(lambda: server.status(task_id) == "RUNNING", 5)
    error = server.failure(task_id, 27)
    took = time.monotonic() - begun
    assert 11.5 < took < 27 and "Worker Failure" in str(error), (took, error)
    child = int(runs.lines()[0])
    assert eventually(lambda: child not in dict(server.survivors()), 3)
    assert server.value(server.execute(server.register(sleep), 0.1), 5) == 0.1


@pytest.mark.sleepy
def test_a_task_within_the_limit_is_left_alone(serve):
    server = serve("-w", 1, "-t", 2)
    function_id = server.register(sleep)
    assert [server.value(i) for i in [server.execute(function_id, 1.2) for _ in range(3)]] == [1.2] * 3

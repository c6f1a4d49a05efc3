"""async def functions: many of one function run side by side in one slot, and each has its own end, limits and output."""

import time

import pytest

from server import PATIENCE, eventually
from v1 import V1

pytestmark = pytest.mark.cells("sqlite-local", "redis-push", "redis-pull")


async def work(runs, n, seconds, how):
    import asyncio
    import os
    import sys
    import time

    fd = os.open(runs, os.O_WRONLY | os.O_APPEND)
    os.write(fd, f"{n} {os.getpid()} begun {time.monotonic()}\n".encode())
    if how == "crashes":
        os._exit(3)
    print("task", n, end=" ")
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        try:
            await asyncio.sleep(left)
        except asyncio.CancelledError:
            if how == "obeys":
                os.write(fd, f"{n} {os.getpid()} cancelled {time.monotonic()}\n".encode())
                raise
    if how == "fails":
        raise ValueError(f"number {n}")
    print("has slept", file=sys.stdout)
    os.write(fd, f"{n} {os.getpid()} done {time.monotonic()}\n".encode())
    os.close(fd)
    return n


def submit(v1, function_id, calls, **options):
    tasks = [{"function_id": function_id, "args": list(args), "options": options} for args in calls]
    return [one["task_id"] for one in v1.ok("POST", "/v1/tasks:batch", {"tasks": tasks}, status=201)["tasks"]]


def learned(v1, runs):
    """The function, once the worker knows that it is async and an executor has loaded it."""
    function_id = v1.register(work)
    assert v1.value(v1.submit(function_id, runs.name, -1, 0, "obeys")) == -1
    return function_id


def pids(runs):
    return {pid for n, pid, _, _ in runs.words() if int(n) >= 0}


@pytest.mark.serial
def test_a_thousand_that_sleep_100_ms_end_within_a_second_in_one_process(serve, runs):
    """The best of three: the machine may have had other things to do."""
    v1 = V1(serve("-w", 1, "--async-slots", 1000))
    function_id = learned(v1, runs)
    best = 60
    for first in (0, 1000, 2000):
        numbers = range(first, first + 1000)
        tasks = submit(v1, function_id, [(runs.name, n, 0.1, "obeys") for n in numbers])
        done = 1 + first + 1000
        assert eventually(lambda done=done: sum(words[2] == "done" for words in runs.words()) == done, 60, every=0.05)
        times = [float(at) for n, _, _, at in runs.words() if int(n) in numbers]
        best = min(best, max(times) - min(times))
        print(f"1,000 async tasks of 100 ms: {max(times) - min(times):.3f} s from the first line to the last")
        assert len(times) == 2000 and len(pids(runs)) == 1
        assert [v1.value(task) for task in tasks[::100]] == list(numbers[::100])
        if best < 1:
            break
    assert 0.1 < best < 1 * PATIENCE


def test_each_has_its_own_result_failure_and_output(serve, runs):
    v1 = V1(serve("-w", 1, "--async-slots", 50))
    function_id = learned(v1, runs)
    tasks = submit(v1, function_id, [(runs.name, n, 0.3, "fails" if n % 5 == 0 else "obeys") for n in range(40)])
    for n, task in enumerate(tasks):
        ended = v1.ended(task)
        if n % 5 == 0:
            assert ended["status"] == "FAILED" and ended["error"]["message"] == f"number {n}", ended
            assert ended["output"] == f"task {n} ", ended
        else:
            assert ended["status"] == "COMPLETED" and ended["output"] == f"task {n} has slept\n", ended
    assert len(pids(runs)) == 1


def test_a_time_limit_and_a_terminate_end_one_and_no_other(serve, runs):
    v1 = V1(serve("-w", 1))
    function_id = learned(v1, runs)
    others = submit(v1, function_id, [(runs.name, n, 2, "obeys") for n in range(20)])
    limited, = submit(v1, function_id, [(runs.name, 100, 60, "obeys")], time_limit=0.3)
    ended, = submit(v1, function_id, [(runs.name, 101, 60, "obeys")])
    v1.when(ended, "RUNNING")
    v1.ok("POST", f"/v1/tasks/{ended}/terminate", status=202)
    assert v1.ended(ended)["error"]["kind"] == "Cancelled"
    task = v1.ended(limited)
    assert task["status"] == "FAILED" and task["error"]["kind"] == "Timeout", task
    assert "asyncio" in task["error"]["traceback"], task  # where it stood
    assert [v1.value(task) for task in others] == list(range(20))
    assert runs.count(100) == runs.count(101) == 2  # begun, cancelled
    assert len(pids(runs)) == 1 and len(runs.lines()) == 2 + 2 * 22


def test_one_that_does_not_end_costs_its_process_and_the_others_run_again(serve, runs):
    v1 = V1(serve("-w", 1))
    function_id = learned(v1, runs)
    others = submit(v1, function_id, [(runs.name, n, 4, "obeys") for n in range(10)])
    stubborn, = submit(v1, function_id, [(runs.name, 100, 60, "never")], time_limit=0.3)
    task = v1.ended(stubborn)
    assert task["status"] == "FAILED" and task["error"]["kind"] == "Timeout", task
    assert [v1.value(task) for task in others] == list(range(10))
    assert [runs.count(n) for n in range(10)] == [3] * 10  # begun, begun again, done
    assert all(v1.task(task)["attempts"] <= 2 for task in others)
    assert len(pids(runs)) == 2 and runs.count(100) == 1


def test_one_that_ends_the_process_is_found_and_the_others_complete(serve, runs):
    v1 = V1(serve("-w", 2))
    function_id = learned(v1, runs)
    calls = [(runs.name, n, 0.5, "obeys") for n in range(10)]
    tasks = submit(v1, function_id, [*calls, (runs.name, 100, 0, "crashes")])
    task = v1.ended(tasks[-1])
    assert task["status"] == "FAILED" and task["error"]["kind"] in ("PoisonTask", "Crashed"), task
    assert [v1.value(task) for task in tasks[:-1]] == list(range(10))
    assert runs.count(100) in (2, 3)


def test_a_function_that_is_not_async_has_its_turn_beside_them(serve, runs):
    v1 = V1(serve("-w", 2))
    function_id = learned(v1, runs)

    def plain(n):
        return n + 1

    tasks = submit(v1, function_id, [(runs.name, n, 3, "obeys") for n in range(50)])
    plain_id = v1.register(plain)
    begun = time.monotonic()
    assert [v1.value(task) for task in submit(v1, plain_id, [(n,) for n in range(20)])] == list(range(1, 21))
    assert time.monotonic() - begun < 2 * PATIENCE
    assert [v1.value(task) for task in tasks] == list(range(50))
    assert len(pids(runs)) == 1

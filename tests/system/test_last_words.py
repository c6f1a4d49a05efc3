"""Crafted deaths: each tells its kind, whose doing it was, what its process took, and where it was, within a second."""

import time

import pytest

from server import PATIENCE, run
from v1 import V1, check_story

# name: (code of the function, options, kind, whose doing, signal or exit code, words of the traceback)
DEATHS = {
    "raises": ("raise ValueError('no luck')", {}, "FunctionFailed", "user_code", None, "ValueError: no luck"),
    "exits": ("import os; os._exit(7)", {}, "PoisonTask", "user_code", ("exit_code", 7), ""),
    "segfault": ("import ctypes; ctypes.string_at(0)", {}, "PoisonTask", "user_code", ("signal_name", "SIGSEGV"), "string_at"),
    "aborts": ("import os; os.abort()", {}, "PoisonTask", "user_code", ("signal_name", "SIGABRT"), "in dying"),
    "too slow": ("import time; time.sleep(60)", {"time_limit": 0.3}, "Timeout", "time_limit", None, "in dying"),
    "spins": ("while True: pass", {"cpu_limit": 0.2}, "LimitExceeded", "limit", None, "in dying"),
    "eats memory": (
        "kept = []\nwhile True: kept.append(bytearray(1 << 20)); import time; time.sleep(0.002)",
        {"memory_limit": 64 << 20}, "OutOfMemory", "memory", None, "in dying",
    ),
    "prints": ("while True: print('x' * 1000)", {"output_limit": 1 << 20}, "LimitExceeded", "limit", None, "in dying"),
}  # fmt: skip


def dying(code):
    print("last line before the end", flush=True)
    exec(code)


@pytest.fixture(scope="module")
def v1(server):
    return V1(server)


@pytest.mark.parametrize("name", DEATHS)
def test_the_dead_say_why(v1, name):
    code, options, kind, ended_by, how, where = DEATHS[name]
    if "print" not in code:
        code = "print('x')\n" + code
    function_id = v1.register(dying, **options)
    task_id = v1.submit(function_id, code)
    task = v1.ended(task_id)
    error, took = task["error"], task["measures"]
    assert (error["kind"], error["ended_by"]) == (kind, ended_by), error
    check_story(task)
    if how:
        assert took[how[0]] == how[1], took
    assert where in (error["traceback"] or ""), error
    assert took["peak_rss_bytes"] > 1 << 20 and "cpu_seconds" in took, took
    assert "x" in task["output"]
    logs = v1.ok("GET", f"/v1/tasks/{task_id}/logs")
    assert logs["final"] is True and logs["output"] == task["output"] and logs["status"] == "FAILED"
    code, out, err = run("why", task_id, "--url", v1.server.url)
    assert code == 0 and f"({kind})" in out and "Last words" in out and "It was ended by" in out, out + err
    if how:
        assert str(how[1]) in out, out


def test_a_cancelled_task_tells_where_it_was(v1):
    task_id = v1.submit(v1.register(dying), "import time\nwhile True: time.sleep(0.01)")
    v1.when(task_id, "RUNNING")
    v1.ok("DELETE", f"/v1/tasks/{task_id}", status=202)
    begun = time.monotonic()
    task = v1.ended(task_id)
    assert time.monotonic() - begun < 1 * PATIENCE
    assert (task["error"]["kind"], task["error"]["ended_by"]) == ("Cancelled", "cancel")
    assert "in dying" in task["error"]["traceback"] and "last line" in task["output"]


def test_logs_are_waited_for(v1):
    def late():
        import time

        time.sleep(0.3)
        print("done late")

    task_id = v1.submit(v1.register(late))
    assert v1.ok("GET", f"/v1/tasks/{task_id}/logs")["final"] is False
    logs = v1.ok("GET", f"/v1/tasks/{task_id}/logs?wait=10")
    assert logs["final"] is True and logs["output"] == "done late\n" and logs["attempts"] == 1
    v1.problem(400, "invalid-request", "wait", "GET", f"/v1/tasks/{task_id}/logs?wait=x")

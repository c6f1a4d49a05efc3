"""/v1 on the real binary: each row of the table, each error, options that really act; answers are held against
/openapi.json.
"""

import time

import pytest

import schema
import wire
from server import PATIENCE, eventually
from v1 import UNKNOWN, V1


def sleep(seconds):
    import time

    time.sleep(seconds)
    return seconds


def add(a, b=0):
    return a + b


def note(path, word):
    with open(path, "a") as file:
        file.write(f"{word}\n")


@pytest.fixture(scope="module")
def v1(server):
    return V1(server)


# -- functions and tasks -------------------------------------------------------------------------------------------------


def test_register_submit_and_read(v1):
    body = {"name": "add", "payload": wire.text(wire.as_main(add)), "options": {"time_limit": 60, "priority": 5}}
    reply = v1.call("POST", "/v1/functions", body)
    assert reply.status == 201
    function = reply.json
    assert reply.headers["Location"] == f"/v1/functions/{function['function_id']}"
    assert function["options"]["time_limit"] == 60 and function["options"]["priority"] == 5
    assert v1.ok("GET", f"/v1/functions/{function['function_id']}/") == function

    reply = v1.call(
        "POST", "/v1/tasks/", {"function_id": function["function_id"], "payload": wire.args(40, b=2), "group": "g"}
    )
    assert reply.status == 201 and reply.json["status"] == "QUEUED"
    task_id = reply.json["task_id"]
    assert reply.headers["Location"] == f"/v1/tasks/{task_id}" and wire.is_id(task_id) and task_id[-1].isdigit()
    task = v1.ended(task_id)
    assert task["status"] == "COMPLETED" and wire.untext(task["result"]) == 42
    assert task["options"] == function["options"] and task["group"] == "g" and task["attempts"] == 1
    assert all(task["timeline"][name] for name in ("accepted", "claimed", "started", "finished"))
    assert wire.is_id(task["worker"]) and task["result_bytes"] == len(wire.bare(task["result"]))
    assert "result" not in v1.task(task_id)
    assert v1.server.value(task_id) == 42  # the root routes know it too


def test_json_arguments_are_python_values(v1):
    def show(*args, **kwargs):
        return repr((args, kwargs))

    function_id = v1.register(show)
    args = [1, -1, 2**40, -(2**63), 2**64 - 1, 1.5, "ä\n" * 300, True, None, [1, [2]], {"k": {"x": False}}, [], {}]
    task_id = v1.submit(function_id, *args, kwargs={"key": [1], "other": "x"})
    assert v1.value(task_id) == repr((tuple(args), {"key": [1], "other": "x"}))
    assert v1.value(v1.submit(function_id)) == "((), {})"


def test_failure_has_its_story(v1):
    def fail():
        print("last words")
        raise ValueError("no luck")

    task = v1.ended(v1.submit(v1.register(fail)))
    assert task["status"] == "FAILED"
    assert {k: task["error"][k] for k in ("kind", "type", "message")} == {
        "kind": "FunctionFailed",
        "type": "ValueError",
        "message": "no luck",
    }
    assert "raise ValueError" in task["error"]["traceback"] and "last words" in task["output"]
    assert isinstance(wire.untext(task["result"]), ValueError)


def test_retries_run_again_after_the_delay(v1, runs):
    def flaky(path):
        with open(path, "a") as file:
            file.write("run\n")
        with open(path) as file:
            n = len(file.readlines())
        if n < 3:
            raise RuntimeError(f"try {n}")
        return n

    begun = time.monotonic()
    task = v1.ended(v1.submit(v1.register(flaky, retries=5, retry_delay=0.3), runs.name))
    assert task["status"] == "COMPLETED" and wire.untext(task["result"]) == 3 and len(runs.lines()) == 3
    assert task["attempts"] == 3 and task["last_error"] == "RuntimeError: try 2" and task["losses"] == 0
    assert time.monotonic() - begun >= 0.6


def test_time_limit_of_function_and_of_task(v1):
    limited = v1.register(sleep, time_limit=0.5)
    task = v1.ended(v1.submit(limited, 20))
    assert task["status"] == "FAILED" and task["error"]["kind"] == "Timeout" and "0.5 s" in task["error"]["message"]
    assert 0.5 <= task["durations"]["running"] < 5 * PATIENCE
    task = v1.ended(v1.submit(v1.register(sleep), 20, options={"time_limit": 0.4}))
    assert task["error"]["kind"] == "Timeout" and "limit of 0.4 s" in task["error"]["message"], task["error"]
    # A task cannot make its function's limit longer.
    task_id = v1.submit(limited, 20, options={"time_limit": 60})
    assert v1.task(task_id)["options"]["time_limit"] == 0.5
    assert v1.ended(task_id)["error"]["kind"] == "Timeout"
    assert v1.value(v1.submit(limited, 0.0)) == 0.0  # and its slot works again


def test_delay_holds_a_task_back(v1):
    begun = time.monotonic()
    task_id = v1.submit(v1.register(sleep), 0, delay=1)
    task = v1.task(task_id)
    assert task["status"] == "QUEUED" and task["timeline"]["not_before"] > task["now"]
    assert v1.value(task_id) == 0 and 1 <= time.monotonic() - begun
    assert v1.task(task_id)["durations"]["waiting"] >= 0.99


def test_queue_ttl_expires(serve):
    v1 = V1(serve("-w", 1))
    function_id = v1.register(sleep)
    blocker = v1.submit(function_id, 4)
    v1.when(blocker, "RUNNING")
    task = v1.ended(v1.submit(function_id, 0, queue_ttl=0.5))
    assert task["status"] == "FAILED" and task["error"]["kind"] == "Expired"
    assert task["timeline"]["started"] is None and task["durations"]["running"] == 0


def test_priority_goes_first(serve, runs):
    v1 = V1(serve("-w", 1))
    blocker = v1.submit(v1.register(sleep), 3)
    v1.when(blocker, "RUNNING")
    function_id = v1.register(note, priority=-5)
    order = [("low", {}), ("middle", {"priority": 0}), ("high", {"priority": 10}), ("higher", {"priority": 11})]
    ids = [v1.submit(function_id, runs.name, word, options=options) for word, options in order]
    for task_id in ids:
        assert v1.ended(task_id)["status"] == "COMPLETED"
    assert runs.lines() == ["higher", "high", "middle", "low"]


def die_hard(path):
    import os
    import signal

    with open(path, "a") as file:
        file.write("run\n")
    os.kill(os.getpid(), signal.SIGKILL)


def test_at_most_once_runs_once_whatever_dies(v1, runs):
    task = v1.ended(v1.submit(v1.register(die_hard, delivery="at_most_once"), runs.name))
    assert task["status"] == "FAILED" and task["error"]["kind"] == "Crashed", task
    assert runs.lines() == ["run"] and task["attempts"] == 1 and task["measures"]["signal"] == 9


def test_at_least_once_is_tried_again_and_then_is_poison(v1, runs):
    task = v1.ended(v1.submit(v1.register(die_hard), runs.name))
    assert task["status"] == "FAILED" and task["error"]["kind"] == "PoisonTask", task
    assert runs.lines() == ["run", "run"] and task["kills"] == 2 and task["last_error"]


def test_at_most_once_does_not_outlive_the_server(serve, runs):
    """kill -9 of the server under one at-most-once task that runs: it is FAILED WorkerLost, and never runs again."""

    def note_and_sleep(path):
        import time

        with open(path, "a") as file:
            file.write("run\n")
        time.sleep(30)

    server = serve("-w", 1)
    v1 = V1(server)
    task_id = v1.submit(v1.register(note_and_sleep, delivery="at_most_once"), runs.name)
    assert eventually(lambda: runs.count("run") == 1, 20)
    v1.when(task_id, "RUNNING")
    server.kill()
    server.start()
    task = v1.ended(task_id)
    assert task["status"] == "FAILED" and task["error"]["kind"] == "WorkerLost", task
    assert runs.count("run") == 1


def test_isolation_fresh_has_a_process_of_its_own(v1):
    def pid():
        import os

        return os.getpid()

    function_id = v1.register(pid, isolation="fresh")
    assert len({v1.value(v1.submit(function_id)) for _ in range(4)}) == 4


# -- cancel --------------------------------------------------------------------------------------------------------------


def test_cancel_of_what_waits_is_at_once(serve):
    v1 = V1(serve("-w", 1))
    function_id = v1.register(sleep)
    blocker = v1.submit(function_id, 5)
    v1.when(blocker, "RUNNING")
    task_id = v1.submit(function_id, 0)
    task = v1.ok("DELETE", f"/v1/tasks/{task_id}")
    assert task["status"] == "FAILED" and task["error"]["kind"] == "Cancelled" and task["attempts"] == 0
    v1.problem(409, "conflict", "has ended already", "DELETE", f"/v1/tasks/{task_id}")
    v1.problem(409, "conflict", "has ended already", "POST", f"/v1/tasks/{task_id}/terminate")


@pytest.mark.parametrize("method, path", [("DELETE", "/v1/tasks/{}"), ("POST", "/v1/tasks/{}/terminate")])
def test_cancel_of_what_runs_kills_it(v1, runs, method, path):
    def stubborn(path):
        import os
        import signal
        import subprocess
        import time

        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        child = subprocess.Popen(["sleep", "300"])
        with open(path, "a") as file:
            file.write(f"{os.getpid()}\n{child.pid}\n")
        while True:
            time.sleep(1)

    task_id = v1.submit(v1.register(stubborn), runs.name)
    assert eventually(lambda: len(runs.lines()) == 2, 20)
    v1.when(task_id, "RUNNING")
    pids = [int(line) for line in runs.lines()]
    assert all(alive(pid) for pid in pids)
    task = v1.ok(method, path.format(task_id), status=202)
    assert task["status"] == "RUNNING" and task["cancel_requested"]
    task = v1.ended(task_id, seconds=10)
    assert task["status"] == "FAILED" and task["error"]["kind"] == "Cancelled"
    assert eventually(lambda: not any(alive(pid) for pid in pids), 5), "kill means kill, children included"
    assert len(runs.lines()) == 2
    assert v1.value(v1.submit(v1.register(add), 1, 2)) == 3


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def test_wait_holds_the_answer(v1):
    task_id = v1.submit(v1.register(sleep), 3)
    begun = time.monotonic()
    assert v1.task(task_id, "?wait=0.2")["status"] in ("QUEUED", "RUNNING")
    assert 0.2 <= time.monotonic() - begun < 2.5 * PATIENCE
    task = v1.task(task_id, "?wait=20&result=1")
    assert task["status"] == "COMPLETED" and wire.untext(task["result"]) == 3
    assert time.monotonic() - begun < 10 * PATIENCE


# -- errors and the description ----------------------------------------------------------------------------------------------


def test_each_error_is_a_problem(v1):
    function_id = v1.register(add)
    for path in ("/v1/tasks", "/v1/functions"):
        v1.problem(400, "invalid-request", "empty", "POST", path, "")
        v1.problem(400, "invalid-request", "not JSON", "POST", path, "{")
        v1.problem(400, "invalid-request", "not a list", "POST", path, [])
        v1.problem(405, "method-not-allowed", "GET", "PUT", path, {})
    v1.problem(400, "invalid-request", "options", "POST", "/v1/tasks", {"function_id": function_id, "optoins": {}})
    v1.problem(400, "invalid-request", "payload", "POST", "/v1/functions", {"name": "x", "payload": "not base64!"})
    v1.problem(400, "invalid-request", "not a function", "POST", "/v1/functions", {"name": "x", "payload": wire.text(3)})
    v1.problem(404, "not-found", UNKNOWN, "POST", "/v1/tasks", {"function_id": UNKNOWN})
    for method, path in [
        ("GET", f"/v1/tasks/{UNKNOWN}"),
        ("DELETE", f"/v1/tasks/{UNKNOWN}"),
        ("POST", f"/v1/tasks/{UNKNOWN}/terminate"),
        ("GET", f"/v1/functions/{UNKNOWN}"),
        ("GET", f"/v1/tasks/{UNKNOWN}?wait=5"),
    ]:
        v1.problem(404, "not-found", UNKNOWN, method, path)
        v1.problem(400, "invalid-request", "not a UUID", method, path.replace(UNKNOWN, "17"))
    v1.problem(404, "not-found", "/v1/nowhere", "GET", "/v1/nowhere")
    v1.problem(400, "invalid-request", "did you mean", "GET", "/v1/tasks?stat=FAILED")
    v1.problem(421, "misdirected-request", "--allow-host", "GET", "/v1/tasks", Host="evil.example")
    v1.problem(403, "forbidden", "--allow-origin", "GET", "/v1/tasks", Origin="http://evil.example")
    large = {"function_id": function_id, "args": ["x" * (2 << 20)]}
    v1.problem(413, "too-large", "1048576 bytes", "POST", "/v1/tasks", large)
    # The seed's routes go on ignoring what they do not know, and tell errors in their own form.
    seed = {"function_id": function_id, "payload": wire.args(1), "optoins": {}}
    assert v1.server.post("/execute_function", seed).status == 200
    assert v1.server.get(f"/status/{UNKNOWN}").detail


def test_workers(v1):
    v1.ok("GET", "/v1/workers")
    v1.problem(400, "invalid-request", "query parameter", "GET", "/v1/workers?x=1")


def test_every_route_is_described_with_examples(v1):
    document = v1.document
    seen = set()
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            if not path.startswith("/v1/"):
                continue
            seen.add((method, path))
            contents = [r.get("content", {}) for r in operation["responses"].values()]
            contents += [operation["requestBody"]["content"]] if "requestBody" in operation else []
            for content in contents:
                for kind, media in content.items():
                    if kind == "application/octet-stream":
                        continue
                    examples = schema.named(media["schema"]["$ref"], document)["examples"]
                    assert examples, (path, kind)
                    for example in examples:
                        schema.check(example, media["schema"], document)
    assert len(seen) == 25, seen


def test_a_worker_is_told_of_as_soon_as_it_has_come(serve):
    """A report once a second left it out for the first second, though it ran tasks."""
    server = serve("-w", 1)
    assert server.run(lambda: 5) == 5
    assert eventually(lambda: server.get("/v1/workers").json["workers"], 0.4), server.log()

"""/v1 for many tasks: idempotency keys, batches, lists and their pages."""

import json
import uuid

import pytest

import wire
from server import eventually
from v1 import UNKNOWN, V1


def sleep(seconds):
    import time

    time.sleep(seconds)
    return seconds


def add(a, b=0):
    return a + b


@pytest.fixture(scope="module")
def v1(server):
    return V1(server)


def test_idempotency_key(v1):
    function_id = v1.register(add)
    key = str(uuid.uuid4())
    body = {"function_id": function_id, "args": [1, 2]}
    first = v1.call("POST", "/v1/tasks", body, Idempotency_Key=key)
    assert first.status == 201 and first.headers["Idempotency-Replayed"] is None
    assert v1.value(first.json["task_id"]) == 3
    again = v1.call("POST", "/v1/tasks", dict(reversed(body.items())), Idempotency_Key=key)
    assert again.status == 201 and again.headers["Idempotency-Replayed"] == "true"
    assert again.json["task_id"] == first.json["task_id"] and again.json["status"] == "COMPLETED"
    for other in ({"args": [1, 3]}, {"options": {"priority": 1}}, {"delay": 5}):
        v1.problem(409, "conflict", "Idempotency-Key", "POST", "/v1/tasks", {**body, **other}, Idempotency_Key=key)
    assert v1.call("POST", "/v1/tasks", body, Idempotency_Key=key + "x").json["task_id"] != first.json["task_id"]
    v1.problem(400, "invalid-request", "at most 255", "POST", "/v1/tasks", body, Idempotency_Key="k" * 256)


def test_batch_of_ten_thousand(serve):
    server = serve("-w", 2)
    v1 = V1(server)
    function_id = v1.register(add)
    calls = [{"function_id": function_id, "args": [i, 1]} for i in range(10_000)]
    answer = v1.ok("POST", "/v1/tasks:batch", {"tasks": calls}, status=201)
    ids = [one["task_id"] for one in answer["tasks"]]
    assert answer["accepted"] == 10_000 and len(set(ids)) == 10_000
    assert eventually(lambda: server.metrics()['treadle_tasks_finished_total{state="COMPLETED"}'] == 10_000, 120)
    for i in (0, 1, 127, 128, 129, 5000, 9999):
        assert v1.value(ids[i]) == i + 1
    too_many = {"tasks": [calls[0]] * 10_001}
    v1.problem(400, "invalid-request", "not of 10001", "POST", "/v1/tasks:batch", too_many)


def test_batch_is_all_or_nothing(serve):
    server = serve("-w", 1)
    v1 = V1(server)
    good = {"function_id": v1.register(add), "args": [1]}
    for bad, status, code, words in [
        ({"function_id": UNKNOWN}, 404, "not-found", "tasks[1]: there is no function"),
        ({"function_id": "x"}, 400, "invalid-request", "tasks[1].function_id"),
        ({**good, "options": {"retrys": 1}}, 400, "invalid-request", 'did you mean "retries"'),
        ({"function_id": good["function_id"], "payload": "!"}, 400, "invalid-request", "tasks[1].payload"),
        ("text", 400, "invalid-request", "tasks[1] must be an object"),
    ]:
        v1.problem(status, code, words, "POST", "/v1/tasks:batch", {"tasks": [good, bad, good]})
    assert v1.ok("GET", "/v1/tasks") == {"tasks": [], "next_cursor": None}
    large = json.dumps({"tasks": [{**good, "args": ["x" * (17 << 20)]}]})
    v1.problem(413, "too-large", "16777216 bytes", "POST", "/v1/tasks:batch", large)


def test_batch_keys(v1):
    call = {"function_id": v1.register(add), "args": [1, 2]}
    body, key = {"tasks": [call, call]}, str(uuid.uuid4())
    first = v1.ok("POST", "/v1/tasks:batch", body, status=201, Idempotency_Key=key)
    again = v1.ok("POST", "/v1/tasks:batch", body, status=201, Idempotency_Key=key)
    assert [one["task_id"] for one in again["tasks"]] == [one["task_id"] for one in first["tasks"]]
    assert all(one["replayed"] for one in again["tasks"]) and not any(one["replayed"] for one in first["tasks"])
    one = {**call, "idempotency_key": str(uuid.uuid4())}
    v1.ok("POST", "/v1/tasks:batch", {"tasks": [one]}, status=201)
    mixed = v1.ok("POST", "/v1/tasks:batch", {"tasks": [{**one, "args": [9]}, call]}, status=201)
    assert mixed["accepted"] == 1 and mixed["tasks"][0]["error"]["code"] == "conflict"
    v1.problem(409, "conflict", "Idempotency-Key", "POST", "/v1/tasks:batch", {"tasks": [{**one, "args": [9]}]})


def pages(v1, path, member):
    """All rows of a list, page by page."""
    rows, cursor, count = [], "", 0
    while True:
        page = v1.ok("GET", path + (f"&cursor={cursor}" if cursor else ""))
        rows += page[member]
        count += 1
        cursor = page["next_cursor"]
        if not cursor:
            return rows, count
        assert count < 1000


def test_lists_are_paged_and_filtered(serve):
    v1 = V1(serve("-w", 2))
    first, second = v1.register(add), v1.register(sleep)
    done = [v1.submit(first, i, group="a" if i % 2 else "b") for i in range(25)]
    for task_id in done:
        assert v1.ended(task_id)["status"] == "COMPLETED"
    failed = v1.submit(first, "x", 1)
    assert v1.ended(failed)["status"] == "FAILED"
    running = v1.submit(second, 20)
    v1.when(running, "RUNNING")
    rows, count = pages(v1, "/v1/tasks?limit=10", "tasks")
    assert [row["task_id"] for row in rows] == [running, failed, *reversed(done)] and count == 3
    assert [row["task_id"] for row in pages(v1, "/v1/tasks?limit=7&group=a", "tasks")[0]] == done[1::2][::-1]
    assert [row["task_id"] for row in pages(v1, "/v1/tasks?limit=7&state=RUNNING", "tasks")[0]] == [running]
    rows = pages(v1, "/v1/tasks?limit=7&state=FAILED", "tasks")[0]
    assert [(row["task_id"], row["error_kind"]) for row in rows] == [(failed, "FunctionFailed")]
    assert len(pages(v1, f"/v1/tasks?limit=7&function_id={second}", "tasks")[0]) == 1
    assert pages(v1, f"/v1/tasks?limit=7&function_id={UNKNOWN}", "tasks")[0] == []
    functions, count = pages(v1, "/v1/functions?limit=1", "functions")
    assert [one["function_id"] for one in functions] == [first, second] and count >= 2
    v1.problem(400, "invalid-request", "cursor", "GET", "/v1/tasks?cursor=abc")

"""Streams of a group's results, what is done to many tasks at once, and queues, on both stores."""

import base64
import http.client
import json
import pickle
import time
import uuid

import pytest

import schema
from v1 import V1

pytestmark = pytest.mark.cells("sqlite-local", "redis-push")


def double(n):
    return 2 * n


def odd_fails(n):
    if n % 2:
        raise ValueError(f"{n} is odd")
    return n


def sleep(seconds):
    import time

    time.sleep(seconds)


def note(path, word):
    with open(path, "a") as file:
        file.write(f"{word}\n")


@pytest.fixture(scope="module")
def v1(server):
    return V1(server)


@pytest.fixture
def group():
    return f"night {uuid.uuid4()}"


def submitted(v1, function_id, values, group, **more):
    calls = [{"function_id": function_id, "args": [value], "group": group, **more} for value in values]
    return [row["task_id"] for row in v1.ok("POST", "/v1/tasks:batch", {"tasks": calls}, status=201)["tasks"]]


class Stream:
    """The lines of a stream, as they come; `with`, since it holds a connection."""

    def __init__(self, port, group, query="", **headers):
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        path = f"/v1/groups/{group.replace(' ', '%20')}/results{query}"
        self.connection.request("GET", path, headers={k.replace("_", "-"): v for k, v in headers.items()})
        self.response = self.connection.getresponse()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.connection.close()

    def __iter__(self):
        for line in self.response:
            if line.strip():
                yield json.loads(line)

    def values(self):
        """{task id: value or exception} of all, and the last line."""
        *rows, end = list(self)
        assert len({row["task_id"] for row in rows}) == len(rows), "a task was told twice"
        return {row["task_id"]: pickle.loads(base64.b64decode(row["result"])) for row in rows}, end


def test_a_stream_has_every_result_once_and_ends(v1, group):
    ids = submitted(v1, v1.register(odd_fails), range(60), group)
    with Stream(v1.server.port, group) as stream:
        assert stream.response.headers["Content-Type"] == "application/x-ndjson"
        values, end = stream.values()
    assert end["end"] == "finished" and list(sorted(values)) == sorted(ids)
    assert [values[one] for one in ids[::2]] == list(range(0, 60, 2))
    failures = [str(values[one]).splitlines()[0] for one in ids[1::2]]
    assert failures == [f"Function Failure: ValueError: {n} is odd" for n in range(1, 60, 2)]
    with Stream(v1.server.port, group) as again:
        rows = list(again)
    for row in rows:
        schema.check(row, described(v1), v1.document)
    failed = next(row for row in rows if row.get("status") == "FAILED")
    assert failed["error"]["kind"] == "FunctionFailed" and failed["error"]["type"] == "ValueError"
    with Stream(v1.server.port, group, f"?cursor={rows[39]['cursor']}") as rest:
        assert [row["task_id"] for row in list(rest)[:-1]] == [row["task_id"] for row in rows[40:-1]]


def described(v1):
    content = v1.document["paths"]["/v1/groups/{group}/results"]["get"]["responses"]["200"]["content"]
    assert content["text/event-stream"] == content["application/x-ndjson"]
    return content["application/x-ndjson"]["schema"]


def test_results_come_while_others_run(v1, group):
    (slow,) = submitted(v1, v1.register(sleep), [30], group)
    with Stream(v1.server.port, group) as stream:
        lines = iter(stream)
        begun = time.monotonic()
        fast = submitted(v1, v1.register(double), [21], group)
        assert next(lines)["task_id"] == fast[0] and time.monotonic() - begun < 5
        assert v1.ok("POST", "/v1/tasks:cancel", {"group": group})["requested"] <= 1
        row, end = list(lines)
        assert row["task_id"] == slow and row["error"]["kind"] == "Cancelled" and end["end"] == "finished"


def test_events_for_browsers(v1, group):
    submitted(v1, v1.register(double), [1, 2], group)
    with Stream(v1.server.port, group, Accept="text/event-stream") as stream:
        assert stream.response.headers["Content-Type"] == "text/event-stream"
        text = stream.response.read().decode()
    ids = [line.removeprefix("id: ") for line in text.splitlines() if line.startswith("id: ")]
    assert text.count("event: task\n") == 2 and text.endswith("\n\n") and len(ids) == 3
    with Stream(v1.server.port, group, Accept="text/event-stream", Last_Event_ID=ids[0]) as rest:
        assert rest.response.read().decode().count("event: task\n") == 1
    with Stream(v1.server.port, group, Accept="text/event-stream", Last_Event_ID=ids[-1]) as done:
        assert done.response.status == 204


def test_large_results_are_named(v1, group):
    (large,) = submitted(v1, v1.register(double), ["x" * 200_000], group)
    with Stream(v1.server.port, group) as stream:
        row, _ = list(stream)
    assert row["result"] is None and row["result_bytes"] > 400_000
    raw = v1.server.call("GET", row["result_url"])
    assert pickle.loads(raw.body) == "x" * 400_000 and row["task_id"] == large


@pytest.mark.cells("redis-push")
def test_a_stream_goes_on_at_another_gateway(fleet, group):
    first, second = fleet.gateway(), fleet.gateway()
    fleet.worker(fleet.dispatcher("push"), 2)
    v1 = V1(first)
    ids = submitted(v1, v1.register(double), range(40), group)
    v1.ended(ids[19])
    told = []
    with Stream(first.port, group) as stream:
        for row in stream:
            told.append(row)
            if len(told) == 10:
                break
    ids += submitted(V1(second), v1.register(double), range(10), group)
    with Stream(second.port, group, f"?cursor={told[-1]['cursor']}") as rest:
        rows = list(rest)
    assert rows[-1]["end"] == "finished"
    assert sorted(row["task_id"] for row in told + rows[:-1]) == sorted(ids)


# ---- many at once --------------------------------------------------------------------------------------------------


def test_cancel_and_retry_by_filter(v1, group, runs):
    function_id = v1.register(note)
    later = [{"function_id": function_id, "args": [runs.name, f"{group}-{n}"], "group": group, "delay": 600} for n in range(20)]
    ids = [row["task_id"] for row in v1.ok("POST", "/v1/tasks:batch", {"tasks": later}, status=201)["tasks"]]
    preview = v1.ok("POST", "/v1/tasks:cancel", {"group": group, "status": "QUEUED", "dry_run": True})
    assert preview == {"matched": 20, "cancelled": 0, "requested": 0, "ended": 0, "dry_run": True, "next_cursor": None}
    assert v1.ok("POST", "/v1/tasks:cancel", {"group": "none of that name"})["matched"] == 0
    told = v1.ok("POST", "/v1/tasks:cancel", {"group": group})
    assert told["matched"] == told["cancelled"] == 20
    assert v1.ended(ids[0])["error"]["kind"] == "Cancelled"
    assert v1.ok("POST", "/v1/tasks:cancel", {"group": group})["matched"] == 0
    assert v1.ok("POST", "/v1/tasks:retry", {"group": group, "dry_run": True})["matched"] == 20
    told = v1.ok("POST", "/v1/tasks:retry", {"group": group, "limit": 15})
    assert told["retried"] == 15 and told["next_cursor"] and len(told["tasks"]) == 15
    rest = v1.ok("POST", "/v1/tasks:retry", {"group": group, "cursor": told["next_cursor"]})
    assert rest["retried"] == 5 and rest["next_cursor"] is None
    again = {row["task_id"]: row["new_task_id"] for row in told["tasks"] + rest["tasks"]}
    assert set(again) == set(ids) and not set(again.values()) & set(ids)
    for task_id in again.values():  # at once: the delay was the first submission's
        assert v1.ended(task_id)["status"] == "COMPLETED"
    assert sorted(runs.lines()) == sorted(f"{group}-{n}" for n in range(20))
    repeated = v1.ok("POST", "/v1/tasks:retry", {"group": group})
    assert repeated["repeated"] == 20 and repeated["retried"] == 0
    one = v1.ok("POST", f"/v1/tasks/{ids[0]}/retry", status=201)
    assert one == {"task_id": ids[0], "new_task_id": again[ids[0]], "repeated": True}
    assert v1.task(ids[0])["status"] == "FAILED", "how it ended stays"
    v1.problem(409, "conflict", "has COMPLETED", "POST", f"/v1/tasks/{again[ids[0]]}/retry")
    v1.problem(400, "invalid-request", "Name at least one", "POST", "/v1/tasks:cancel", {})
    before = v1.ok("GET", f"/v1/tasks?group={group.replace(' ', '%20')}&created_before=2020-01-01T00:00:00Z")
    assert before["tasks"] == []


# ---- queues --------------------------------------------------------------------------------------------------------


def queue_of(v1, name):
    return next((one for one in v1.ok("GET", "/v1/queues")["queues"] if one["name"] == name), None)


def test_a_paused_queue_gives_out_nothing_until_it_is_resumed(v1, group):
    function_id = v1.register(sleep)
    running = v1.submit(function_id, 1.5)
    v1.when(running, "RUNNING")
    assert v1.ok("POST", "/v1/queues/default/pause") == {"name": "default", "paused": True}
    try:
        waiting = v1.submit(function_id, 0)
        assert v1.ended(running)["status"] == "COMPLETED", "what runs goes on"
        assert v1.task(waiting)["status"] == "QUEUED"
        queue = queue_of(v1, "default")
        assert queue["paused"] and queue["queued"] >= 1 and queue["oldest_seconds"] > 0.5
        assert v1.ok("GET", "/v1/stats")["queue"]["oldest_seconds"] > 0.5
    finally:
        v1.ok("POST", "/v1/queues/default/resume")
    assert v1.ended(waiting)["status"] == "COMPLETED"
    assert queue_of(v1, "default")["paused"] is False
    v1.problem(400, "invalid-request", "letters", "POST", "/v1/queues/a%20b/pause")


@pytest.mark.cells("sqlite-local")
def test_a_pause_outlives_a_kill(serve):
    server = serve("-w", 1)
    v1 = V1(server)
    v1.ok("POST", "/v1/queues/default/pause")
    waiting = v1.submit(v1.register(double), 21)
    server.kill()
    server.start()
    v1 = V1(server)
    assert queue_of(v1, "default")["paused"] and queue_of(v1, "default")["queued"] == 1
    assert v1.task(waiting, "?wait=0.5")["status"] == "QUEUED"
    v1.ok("POST", "/v1/queues/default/resume")
    assert v1.value(waiting) == 42

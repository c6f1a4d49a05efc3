"""The routes of /v1 of one server, as tests use them: every answer is held against /openapi.json (by Client.call)."""

import time

import openapi
import schema
import wire
from server import PATIENCE, eventually

UNKNOWN = "71ed469b-bc52-45d5-89ae-b21aa40760c9"  # the id of nothing


class V1:
    """The routes of one server; each answer must be described."""

    def __init__(self, server):
        self.server = server
        self.document = openapi.of(server).raw

    def call(self, method, path, body=None, **headers):
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.server.call(method, path, body, headers=headers, timeout=70)

    def ok(self, method, path, body=None, status=200, **headers):
        reply = self.call(method, path, body, **headers)
        assert reply.status == status, reply
        return reply.json

    def problem(self, status, code, words, method, path, body=None, **headers):
        reply = self.call(method, path, body, **headers)
        assert reply.status == status and reply.headers["Content-Type"] == "application/problem+json", reply
        problem = reply.json
        name = {406: "ResultProblem", 422: "TaskProblem"}.get(status, "Problem")
        schema.check(problem, {"$ref": f"#/components/schemas/{name}"}, self.document)
        assert problem["status"] == status and problem["code"] == code and words in problem["detail"], problem
        return reply

    def register(self, function, **options):
        body = {"name": function.__name__, "payload": wire.text(wire.as_main(function)), "options": options}
        return self.ok("POST", "/v1/functions", body, status=201)["function_id"]

    def submit(self, function_id, *args, **more):
        body = {"function_id": function_id, "args": args, **more}
        return self.ok("POST", "/v1/tasks", body, status=201)["task_id"]

    def task(self, task_id, query=""):
        return self.ok("GET", f"/v1/tasks/{task_id}{query}")

    def ended(self, task_id, seconds=30):
        deadline = time.monotonic() + seconds * PATIENCE
        while True:
            task = self.task(task_id, "?wait=5&result=1")
            if task["status"] in wire.TERMINAL:
                check_story(task)
                return task
            assert time.monotonic() < deadline, task

    def value(self, task_id):
        task = self.ended(task_id)
        assert task["status"] == "COMPLETED", task
        return wire.untext(task["result"])

    def when(self, task_id, status, seconds=20):
        assert eventually(lambda: self.task(task_id)["status"] == status, seconds), self.task(task_id)


def check_story(task):
    """The time line of a task that ended is in order and its segments add up."""
    took, times = task["durations"], task["timeline"]
    assert abs(took["waiting"] + took["starting"] + took["running"] - took["total"]) < 1e-6, took
    assert all(took[name] >= 0 for name in took)
    known = [times[name] for name in ("accepted", "claimed", "started", "finished") if times[name]]
    assert known == sorted(known) and times["accepted"] and times["finished"], times
    assert (task["error"] is None) == (task["status"] == "COMPLETED")

"""What a test asks of a service over HTTP, wherever its processes are: the seed's four verbs, /metrics."""

import os
import time

import openapi
import wire

PATIENCE = float(os.environ.get("TREADLE_TEST_PATIENCE", "1"))


def eventually(check, seconds, every=0.02):
    """Calls `check` until it gives something true, and returns that; its last answer after `seconds`."""
    deadline = time.monotonic() + seconds * PATIENCE
    while True:
        found = check()
        if found or time.monotonic() >= deadline:
            return found
        time.sleep(every)


class Client:
    """A service that listens on `port` of this machine; who starts its processes adds `log()`, their words so far."""

    port = None

    def log(self):
        return ""

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    # -- HTTP --------------------------------------------------------------------------------------------------------

    def call(self, method, path, body=None, headers=None, timeout=30):
        """One request; what /v1 answers must be what /openapi.json says of it."""
        reply = self.bare_call(method, path, body, headers, timeout)
        openapi.check(self, method, path, reply)
        return reply

    def bare_call(self, method, path, body=None, headers=None, timeout=30):
        return wire.call(self.port, method, path, body, headers, timeout * PATIENCE)

    def get(self, path, **more):
        return self.call("GET", path, **more)

    def post(self, path, body, **more):
        return self.call("POST", path, body, **more)

    def raw(self, timeout=30):
        return wire.Raw(self.port, timeout * PATIENCE)

    # -- the seed's verbs --------------------------------------------------------------------------------------------

    def register(self, function, name="f"):
        """The id of a function given as an object, as raw pickle bytes, or as text."""
        if not isinstance(function, (str, bytes)):
            function = wire.text(wire.as_main(function))
        payload = wire.armor(function) if isinstance(function, bytes) else function
        reply = self.post("/register_function", {"name": name, "payload": payload})
        assert reply.status == 200, reply
        return reply.json["function_id"]

    def execute(self, function_id, *positional, **named):
        return self.execute_text(function_id, wire.args(*positional, **named))

    def execute_text(self, function_id, payload):
        reply = self.post("/execute_function", {"function_id": function_id, "payload": payload})
        assert reply.status == 200, reply
        return reply.json["task_id"]

    def status(self, task_id):
        reply = self.get(f"/status/{task_id}")
        assert reply.status == 200, reply
        assert set(reply.json) == {"task_id", "status"} and reply.json["task_id"] == task_id
        return reply.json["status"]

    def answer(self, task_id):
        """What /result says now."""
        reply = self.get(f"/result/{task_id}")
        assert reply.status == 200, reply
        return reply.json

    def finished(self, task_id, seconds=30):
        """(status, result text) of a task that ends within so many seconds; polls as the seed's clients do."""
        answer = eventually(lambda: (a := self.answer(task_id))["status"] in wire.TERMINAL and a, seconds)
        assert answer, f"task {task_id} is {self.answer(task_id)['status']} after {seconds} s\n{self.log()[-3000:]}"
        return answer["status"], answer["result"]

    def value(self, task_id, seconds=30):
        """The result of a task that must complete."""
        status, result = self.finished(task_id, seconds)
        assert status == "COMPLETED", wire.untext(result)
        return wire.untext(result)

    def failure(self, task_id, seconds=30):
        """The exception of a task that must fail."""
        status, result = self.finished(task_id, seconds)
        assert status == "FAILED", (status, wire.untext(result))
        return wire.untext(result)

    def run(self, function, *positional, **named):
        return self.value(self.execute(self.register(function), *positional, **named))

    # -- metrics -----------------------------------------------------------------------------------------------------

    def metrics(self):
        """{sample with its labels: value} of /metrics."""
        reply = self.get("/metrics")
        assert reply.status == 200 and reply.headers["Content-Type"].startswith("text/plain"), reply
        found = {}
        for line in reply.body.decode().splitlines():
            if line and not line.startswith("#"):
                name, value = line.rsplit(" ", 1)
                found[name] = float(value)
        return found


def client_at(port):
    one = Client()
    one.port = port
    return one

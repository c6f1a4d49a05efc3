"""/openapi.json as a judge: every answer of /v1 that a test gets must be one that the document describes.

`Client.call` asks here; `COUNTS` says how many answers of which operation were held against the document.
"""

import collections
import json
import re

import schema

COUNTS = collections.Counter()  # (operation id, status): answers that were checked
KNOWN = []  # the document, once it was read
PROBLEM = "application/problem+json"
METHODS = ("get", "put", "post", "delete", "patch")


class Operation:
    """One row of the route table, as the document tells it."""

    def __init__(self, path, method, about):
        self.path, self.method, self.about = path, method.upper(), about
        self.name = about["operationId"]
        self.names = re.findall(r"{(\w+)}", path)
        self.pattern = re.compile(re.sub(r"\\{\w+\\}", "[^/]+", re.escape(path)) + "/?")

    def parameters(self, where):
        return [one for one in self.about.get("parameters", []) if one["in"] == where]


class Document:
    def __init__(self, raw):
        self.raw = raw
        self.operations = [
            Operation(path, method, about)
            for path, item in raw["paths"].items()
            for method, about in item.items()
            if method in METHODS
        ]

    def operation(self, method, target):
        """The operation that a request means; None if there is none. Plain paths come before those with a {name}."""
        path = target.partition("?")[0]
        fit = [one for one in self.operations if one.method == method and one.pattern.fullmatch(path)]
        return min(fit, key=lambda one: len(one.names), default=None)

    def check(self, method, target, reply):
        """Asserts that an answer is described, and counts it."""
        operation = self.operation(method, target)
        described = operation and operation.about["responses"].get(str(reply.status))
        if described:
            self.check_content(reply, described.get("content", {}), target)
        else:  # told before any route is asked: no such path or method, a malformed request
            assert reply.status >= 400, f"{method} {target}: nothing tells of {reply.status}: {reply}"
            assert not operation or reply.status in (413, 415, 431), f"{method} {target} does not tell of {reply}"
            self.check_problem(reply)
        if operation:
            COUNTS[operation.name, reply.status] += 1

    def check_content(self, reply, contents, target):
        kind = reply.headers["Content-Type"]
        if not contents:
            assert kind is None and reply.body == b"", reply
            return
        assert kind in contents, f"{target}: {kind} is not described; {sorted(contents)} are: {reply}"
        if kind == "application/x-ndjson":
            for line in filter(None, reply.body.split(b"\n")):
                schema.check(json.loads(line), contents[kind]["schema"], self.raw)
        elif kind.endswith("json"):
            schema.check(reply.json, contents[kind]["schema"], self.raw)
        if kind == PROBLEM:
            self.check_problem(reply)

    def check_problem(self, reply):
        """RFC 9457 with a code that programs may rely on, and words for people."""
        assert reply.headers["Content-Type"] == PROBLEM, reply
        problem = reply.json
        assert problem["status"] == reply.status, problem
        assert problem["type"] == f"urn:treadle:problem:{problem['code']}", problem
        assert re.fullmatch("[a-z]+(-[a-z]+)*", problem["code"]), problem
        assert len(problem["detail"]) > 10, problem


def of(client):
    """The document of the binary under test; read once, from the first service that is asked."""
    if not KNOWN:
        reply = client.bare_call("GET", "/openapi.json")
        assert reply.status == 200, reply
        KNOWN.append(Document(reply.json))
    return KNOWN[0]


def check(client, method, target, reply):
    """What Client.call does with each answer."""
    if target.startswith("/v1/") and method.lower() in METHODS:
        of(client).check(method, target, reply)


def summary(counts):
    """One line for the end of a test run, and the operations that it is about."""
    by_name = collections.Counter()
    for (name, _), number in counts.items():
        by_name[name] += number
    total = sum(by_name.values())
    return f"{total} answers of {len(by_name)} operations of /v1 were held against /openapi.json"

"""The seed's routes: paths, answers, ids, and the pages beside them."""

import re

import pytest

import wire
from server import eventually

pytestmark = pytest.mark.cells


def double(x):
    return x * 2


@pytest.mark.parametrize("slash", ["", "/"])
def test_four_routes(server, slash):
    reply = server.post("/register_function" + slash, {"name": "double", "payload": wire.text(wire.as_main(double))})
    assert reply.status == 200 and set(reply.json) == {"function_id"}
    assert reply.headers["Content-Type"].startswith("application/json")
    function_id = reply.json["function_id"]
    reply = server.post("/execute_function" + slash, {"function_id": function_id, "payload": wire.args(21)})
    assert reply.status == 200 and set(reply.json) == {"task_id"}
    task_id = reply.json["task_id"]
    assert wire.is_id(function_id) and wire.is_id(task_id)
    assert server.value(task_id) == 42
    reply = server.get(f"/status/{task_id}{slash}")
    assert reply.status == 200 and reply.json == {"task_id": task_id, "status": "COMPLETED"}
    for path in ("/result", "/api/v1/result"):
        reply = server.get(f"{path}/{task_id}{slash}")
        assert reply.status == 200
        answer = reply.json
        assert wire.untext(answer.pop("result")) == 42
        assert answer == {"task_id": task_id, "status": "COMPLETED"}


def test_result_in_every_state(serve):
    server = serve("-w", 1)
    blocker = as_sleep(server, 1.0)
    waiting = as_sleep(server, 0.0)
    assert server.answer(waiting) == {"task_id": waiting, "status": "QUEUED", "result": ""}
    seen = {}

    def completed():
        answer = server.answer(blocker)
        assert set(answer) == {"task_id", "status", "result"}
        seen[answer["status"]] = answer["result"]
        return "COMPLETED" in seen

    assert eventually(completed, 20), seen
    assert seen["RUNNING"] == "" and wire.untext(seen["COMPLETED"]) == 1.0
    assert server.value(waiting) == 0.0


def as_sleep(server, seconds):
    def sleep(seconds):
        import time

        time.sleep(seconds)
        return seconds

    return server.execute(server.register(sleep), seconds)


def test_same_name_twice_gives_two_ids(server):
    payload = wire.text(wire.as_main(double))
    ids = {
        server.post("/register_function", {"name": "twin", "payload": payload}).json["function_id"] for _ in range(2)
    }
    assert len(ids) == 2
    assert [server.value(server.execute(i, n)) for n, i in enumerate(ids)] == [0, 2]


@pytest.mark.parametrize(
    "name",
    ["", "fünction ☃ \U0001f600", 'quote" and \\ backslash', "a\nb\0c", "x" * 1000, "../../etc/passwd"],
    ids=range(6),
)
def test_any_text_is_a_name(server, name):
    reply = server.post("/register_function", {"name": name, "payload": wire.text(wire.as_main(double))})
    assert reply.status == 200, reply
    assert server.value(server.execute(reply.json["function_id"], 3)) == 6


def test_extra_fields_are_ignored(server):
    body = {
        "name": "double",
        "payload": wire.text(wire.as_main(double)),
        "language": "python",
        "tags": [1, {"a": None}],
    }
    reply = server.post("/register_function", body)
    assert reply.status == 200, reply
    body = {
        "payload": wire.args(4),
        "priority": "high",
        "function_id": reply.json["function_id"],
        "extra": {"deep": [[]]},
    }
    reply = server.post("/execute_function", body)
    assert reply.status == 200, reply
    assert server.value(reply.json["task_id"]) == 8


def test_task_ids_end_with_a_digit(server):
    function_id = server.register(double)
    ids = [server.execute(function_id, n) for n in range(200)]
    assert len(set(ids)) == 200 and all(wire.is_id(i) for i in ids)
    assert [i for i in ids if not i[-1].isdigit()] == []
    assert [server.value(i) for i in ids[-3:]] == [394, 396, 398]


def test_created_status(serve):
    server = serve("-w", 1, "--created-status", 201)
    reply = server.post("/register_function", {"name": "double", "payload": wire.text(wire.as_main(double))})
    assert reply.status == 201
    reply = server.post("/execute_function", {"function_id": reply.json["function_id"], "payload": wire.args(3)})
    assert reply.status == 201
    assert server.value(reply.json["task_id"]) == 6  # reads answer 200


def test_front_page(server):
    for accept in ({}, {"Accept": "application/json"}, {"Accept": "*/*"}):
        reply = server.get("/", headers=accept)
        assert reply.status == 200 and "MPCSFaaS" in reply.json["message"]
    reply = server.get("/", headers={"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"})
    assert reply.status == 200 and reply.headers["Content-Type"].startswith("text/html")
    assert "treadle" in reply.body.decode().lower()


@pytest.mark.parametrize("path", ["/docs", "/docs/"])
def test_docs_page_is_swagger_and_offline(server, path):
    reply = server.get(path)
    assert reply.status == 200 and reply.headers["Content-Type"].startswith("text/html")
    page = reply.body.decode()
    assert "swagger" in page.lower()
    assets = re.findall(r"""(?:src|href)=["']([^"']+)["']""", page)
    assert assets, page
    for asset in assets:
        assert not re.match(r"(https?:)?//", asset), f"{asset} would be fetched from elsewhere"
        if asset.startswith(("data:", "#")):
            continue
        reply = server.get(asset if asset.startswith("/") else "/" + asset.removeprefix("./"))
        assert reply.status == 200 and len(reply.body) > 100, (asset, reply)


def test_openapi(server):
    for path in ("/openapi.json", "/openapi.json/"):
        reply = server.get(path)
        assert reply.status == 200 and reply.json["openapi"].startswith("3.1")
    paths = reply.json["paths"]
    routes = {(method, path) for path, methods in paths.items() for method in methods if method in ("get", "post")}
    names = {(method, re.sub(r"{\w+}", "{}", path)) for method, path in routes}
    assert names >= {
        ("post", "/register_function"),
        ("post", "/execute_function"),
        ("get", "/status/{}"),
        ("get", "/result/{}"),
    }


def test_openapi_tells_no_lies_about_reads(server):
    """Each GET path in the document answers with a status that the document lists for it."""
    task_id = server.execute(server.register(double), 1)
    asked = 0
    for path, methods in server.get("/openapi.json").json["paths"].items():
        if "get" in methods and methods["get"].get("responses"):
            reply = server.get(re.sub(r"{\w+}", task_id, path))
            assert str(reply.status) in methods["get"]["responses"], (path, reply)
            asked += 1
    assert asked >= 2


def test_unknown_path(server):
    for path in ("/no/such/path", "/status", "/result", "/statuses/1", "/../etc/passwd", "/%2e%2e/etc/passwd"):
        reply = server.get(path)
        assert reply.status == 404 and reply.detail, (path, reply)

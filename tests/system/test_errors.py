"""The table of errors: exact codes, and a text that names what is wrong."""

import pickle
import uuid

import pytest

import wire

pytestmark = pytest.mark.cells

NOT_PICKLES = {
    "word": "payload",
    "empty": "",
    "not base64": "not-valid-base64!!!",
    "name": "not_a_function",
    "params": "invalid_params",
    "base64 of text": wire.armor(b"hello world"),
    "pickle cut off": wire.armor(pickle.dumps(list(range(100)))[:-5]),
    "bytes after the pickle": wire.armor(pickle.dumps(1) + b"x"),
    "unknown opcode": wire.armor(b"\x80\x04\xff."),
    "empty pickle": wire.armor(b"\x80\x04."),
    "non-ASCII": "päyload",
}
PLAIN = {
    "int": 7,
    "float": 1.5,
    "str": "hello",
    "list": [1, 2],
    "dict": {"a": 1},
    "NoneType": None,
    "tuple": (1,),
    "bool": True,
}


def echo(*args, **kwargs):
    return args, kwargs


@pytest.fixture(scope="module")
def function_id(server):
    return server.register(echo, "echo")


@pytest.mark.parametrize("payload", NOT_PICKLES.values(), ids=NOT_PICKLES.keys())
def test_function_that_is_no_pickle(server, payload):
    reply = server.post("/register_function", {"name": "f", "payload": payload})
    assert reply.status == 400 and "payload" in reply.detail, reply


@pytest.mark.parametrize("payload", NOT_PICKLES.values(), ids=NOT_PICKLES.keys())
def test_arguments_that_are_no_pickle(server, function_id, payload):
    reply = server.post("/execute_function", {"function_id": function_id, "payload": payload})
    assert reply.status == 400 and "payload" in reply.detail, reply


@pytest.mark.parametrize("name", PLAIN)
def test_function_that_is_plain_data(server, name):
    reply = server.post("/register_function", {"name": "f", "payload": wire.text(PLAIN[name])})
    assert reply.status == 400 and "not a function" in reply.detail, reply
    if name == "list":
        assert "the payload is a pickled list, not a function" in reply.detail


@pytest.mark.parametrize("path", ["/register_function", "/execute_function"])
@pytest.mark.parametrize(
    "body", [b"", b"{", b"not json", b"{'name': 1}", b'{"a": 1} trailing', b'\xff\xfe{"name"', b"[1", b"\0\0\0\0"]
)
def test_body_that_is_no_json(server, path, body):
    reply = server.post(path, body, headers={"Content-Type": "application/json"})
    assert reply.status == 400 and "JSON" in reply.detail, reply


@pytest.mark.parametrize("path", ["/register_function", "/execute_function"])
@pytest.mark.parametrize("body", ["[]", "1", '"x"', "null", "true"])
def test_json_that_is_no_object(server, path, body):
    assert server.post(path, body).status == 400


def without(fields, name):
    return {k: v for k, v in fields.items() if k != name}


@pytest.mark.parametrize("name", ["name", "payload"])
@pytest.mark.parametrize("wrong", ["missing", None, 5, 1.5, True, [], {}, ["x"]], ids=repr)
def test_register_fields(server, name, wrong):
    fields = {"name": "f", "payload": wire.text(wire.as_main(echo))}
    body = without(fields, name) if wrong == "missing" else {**fields, name: wrong}
    reply = server.post("/register_function", body)
    assert reply.status == 400 and name in reply.detail, reply


@pytest.mark.parametrize("name", ["function_id", "payload"])
@pytest.mark.parametrize("wrong", ["missing", None, 5, 1.5, True, [], {}, ["x"]], ids=repr)
def test_execute_fields(server, function_id, name, wrong):
    fields = {"function_id": function_id, "payload": wire.args(1)}
    body = without(fields, name) if wrong == "missing" else {**fields, name: wrong}
    reply = server.post("/execute_function", body)
    assert reply.status == 400 and name in reply.detail, reply


BAD_IDS = [
    "not-a-uuid",
    "1234",
    "g" * 36,
    "00000000-0000-0000-0000-00000000000",
    "00000000-0000-0000-0000-0000000000000",
    "x" * 500,
]


@pytest.mark.parametrize("bad", [*BAD_IDS, "", " "])
def test_malformed_function_id(server, bad):
    reply = server.post("/execute_function", {"function_id": bad, "payload": wire.args(1)})
    assert reply.status == 400 and "function_id" in reply.detail, reply


@pytest.mark.parametrize("bad", BAD_IDS)
@pytest.mark.parametrize("path", ["/status/", "/result/", "/api/v1/result/"])
def test_malformed_task_id(server, path, bad):
    reply = server.get(path + bad)
    assert reply.status == 400 and "task_id" in reply.detail, reply


def test_unknown_ids(server):
    unknown = str(uuid.uuid4())
    reply = server.post("/execute_function", {"function_id": unknown, "payload": wire.args(1)})
    assert reply.status == 404 and unknown in reply.detail, reply
    for path in ("/status/", "/result/", "/api/v1/result/"):
        reply = server.get(path + unknown)
        assert reply.status == 404 and unknown in reply.detail, reply


def test_a_function_is_no_task(server, function_id):
    assert server.get(f"/status/{function_id}").status == 404
    task_id = server.execute(function_id)
    assert server.post("/execute_function", {"function_id": task_id, "payload": wire.args()}).status == 404
    assert server.value(task_id) == ((), {})


NOBODY = "00000000-0000-0000-0000-000000000000"
ALLOWED = {
    "/register_function": "POST",
    "/execute_function": "POST",
    "/": "GET",
    "/docs": "GET",
    "/metrics": "GET",
    f"/status/{NOBODY}": "GET",
    f"/result/{NOBODY}": "GET",
}
WRONG = [
    (method, route)
    for route in ALLOWED
    for method in ("GET", "POST", "PUT", "DELETE", "PATCH")
    if method != ALLOWED[route]
]


@pytest.mark.parametrize("method, route", WRONG)
def test_wrong_method(server, method, route):
    reply = server.call(method, route, {} if method != "GET" else None)
    assert reply.status == 405 and reply.detail, reply
    allowed = [word.strip() for word in reply.headers["Allow"].split(",")]
    assert ALLOWED[route] in allowed and method not in allowed


def test_bad_payload_wins_over_unknown_id(server):
    for function_id in (str(uuid.uuid4()), "not-a-uuid"):
        reply = server.post("/execute_function", {"function_id": function_id, "payload": "payload"})
        assert reply.status == 400, reply


@pytest.mark.parametrize(
    "odd", [((2,),), (5,), ((1), {}), ((1, 2), {3: 4}), (), 5, None, "ab", [1, 2, 3], {"x": 1}], ids=repr
)
def test_odd_arguments_fail_as_a_task(server, function_id, odd):
    task_id = server.execute_text(function_id, wire.text(odd))
    error = server.failure(task_id)
    assert isinstance(error, Exception) and "Function Failure" in str(error)
    assert server.status(task_id) == "FAILED"
    assert server.value(server.execute(function_id, 1)) == ((1,), {})


def test_wrong_number_of_arguments(server):
    def two(a, b):
        return a + b

    function_id = server.register(two)
    assert isinstance(server.failure(server.execute(function_id, 1)), TypeError)
    assert isinstance(server.failure(server.execute(function_id, 1, 2, c=3)), TypeError)
    assert server.value(server.execute(function_id, 1, b=2)) == 3

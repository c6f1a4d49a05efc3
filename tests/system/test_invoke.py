"""Functions called by name with JSON in and JSON out, as curl, JavaScript and other languages do it; and the raw bytes
for those who speak pickle.
"""

import json
import os
import pickle
import random
import shutil
import subprocess
import time

import pytest

import wire
from server import PATIENCE, eventually
from v1 import UNKNOWN, V1

pytestmark = pytest.mark.cells("sqlite-local", "redis-push")


@pytest.fixture(scope="module")
def v1(server):
    return V1(server)


def define(v1, name, source):
    """Registers Python source; answers the id."""
    return v1.ok("POST", "/v1/functions", {"name": name, "source": source}, status=201)["function_id"]


def invoke(v1, name, *args, query="", **kwargs):
    return v1.ok("POST", f"/v1/functions/{name}/invoke{query}", {"args": args, "kwargs": kwargs})


# -- results as JSON -----------------------------------------------------------------------------------------------------


def test_invoke_by_name_and_by_id(v1):
    function_id = define(v1, "inv-add", "def add(a, b=1):\n    return {'sum': a + b, 'pair': (a, b)}\n")
    answer = invoke(v1, "inv-add", 40, b=2)
    assert answer["result"] == {"sum": 42, "pair": [40, 2]}
    assert answer["function_id"] == function_id and answer["status"] == "COMPLETED" and wire.is_id(answer["task_id"])
    assert invoke(v1, function_id, 1)["result"] == {"sum": 2, "pair": [1, 1]}
    assert v1.value(answer["task_id"]) == {"sum": 42, "pair": (40, 2)}  # what is stored is the pickle


def test_a_name_means_its_newest_registration(v1):
    first = define(v1, "inv-version", "def f():\n    return 1\n")
    assert invoke(v1, "inv-version")["result"] == 1
    second = define(v1, "inv-version", "def f():\n    return 2\n")
    assert invoke(v1, "inv-version")["result"] == 2
    assert invoke(v1, first)["result"] == 1
    page = v1.ok("GET", "/v1/functions/inv-version/versions")
    assert [one["function_id"] for one in page["functions"]] == [second, first] and page["next_cursor"] is None
    assert v1.ok("GET", "/v1/functions?name=inv-version")["functions"] == page["functions"]
    assert v1.ok("GET", "/v1/functions?name=inv-nobody") == {"functions": [], "next_cursor": None}
    page = v1.ok("GET", "/v1/functions/inv-version/versions?limit=1")
    assert [one["function_id"] for one in page["functions"]] == [second]
    page = v1.ok("GET", f"/v1/functions/inv-version/versions?limit=1&cursor={page['next_cursor']}")
    assert [one["function_id"] for one in page["functions"]] == [first]
    v1.problem(404, "not-found", "inv-nobody", "GET", "/v1/functions/inv-nobody/versions")
    v1.problem(404, "not-found", "inv-nobody", "POST", "/v1/functions/inv-nobody/invoke", {})
    v1.problem(404, "not-found", UNKNOWN, "POST", f"/v1/functions/{UNKNOWN}/invoke", {})
    v1.problem(400, "invalid-request", "name is empty", "GET", "/v1/functions?name=")
    v1.problem(400, "invalid-request", "no field", "POST", "/v1/functions/inv-version/invoke", {"function_id": first})


def test_names_are_any_text(v1):
    define(v1, "grüße & co?", "def f():\n    return 'hallo'\n")
    assert invoke(v1, "gr%C3%BC%C3%9Fe%20%26%20co%3F")["result"] == "hallo"


def some_value(rng, depth=0):
    kinds = "nbifts" if depth > 3 else "nbiftsldld"
    match rng.choice(kinds):
        case "n":
            return None
        case "b":
            return rng.random() < 0.5
        case "i":
            return rng.choice([-1, 1]) * rng.getrandbits(rng.choice([1, 7, 8, 16, 31, 32, 63, 64, 65, 200]))
        case "f":
            return rng.choice([0.0, -0.0, 1.0, 1e22, 1e-7, 1.5e300, rng.random(), rng.gauss(0, 1e10)])
        case "t":
            return tuple(some_value(rng, depth + 1) for _ in range(rng.randrange(4))) if depth < 4 else ()
        case "s":
            return "".join(rng.choice("abz\"\\\n\t\0 äß€😀\x7f/") for _ in range(rng.choice([0, 1, 5, 300])))
        case "l":
            return [some_value(rng, depth + 1) for _ in range(rng.randrange(6))]
        case "d":
            return {str(rng.getrandbits(20)): some_value(rng, depth + 1) for _ in range(rng.randrange(6))}


def test_plain_values_are_what_json_dumps_makes_of_them(v1):
    """The function gets pickles of values that JSON has a form for, and returns them."""
    function_id = define(v1, "inv-same", "def same(x):\n    return x\n")
    rng = random.Random(11)
    for _ in range(150):
        value = some_value(rng)
        body = {"payload": wire.armor(pickle.dumps(((value,), {}), 4))}
        answer = v1.ok("POST", f"/v1/functions/{function_id}/invoke", body)
        assert json.dumps(answer["result"]) == json.dumps(value), value


def test_numpy_scalars_and_arrays_are_numbers_and_lists(v1):
    define(v1, "inv-has-numpy", "def f():\n    import importlib.util\n    return importlib.util.find_spec('numpy') is not None\n")
    if not invoke(v1, "inv-has-numpy")["result"]:
        pytest.skip("the workers' Python has no numpy")
    define(v1, "inv-numpy", "import numpy\ndef f(text):\n    return eval(text, {'np': numpy})\n")
    for text, expected in [
        ("np.float64(1.5)", 1.5),
        ("[np.int32(-3), np.bool_(True), np.str_('x')]", [-3, True, "x"]),
        ("np.arange(6).reshape(2, 3)", [[0, 1, 2], [3, 4, 5]]),
        ("np.asfortranarray(np.arange(24).reshape(2, 3, 4))[1]", [[12, 13, 14, 15], [16, 17, 18, 19], [20, 21, 22, 23]]),
        ("np.arange(10)[::3]", [0, 3, 6, 9]),
        ("{'mean': np.array([1, 2]).mean(), 'empty': np.zeros((0, 2))}", {"mean": 1.5, "empty": []}),
    ]:
        assert invoke(v1, "inv-numpy", text)["result"] == expected, text
    for text, word in [("np.array([1.0, np.nan])", "result[1] is NaN"), ("np.array([1j])", "numpy value of type c")]:
        v1.problem(406, "result-not-json", word, "POST", "/v1/functions/inv-numpy/invoke", {"args": [text]})


def test_what_json_cannot_carry_has_a_link_to_the_pickle(v1):
    define(v1, "inv-odd", "def odd(text):\n    return eval(text)\n")
    for text, words in [
        ("float('nan')", "result is NaN"),
        ("[1, {'a': float('-inf')}]", 'result[1]["a"] is infinite'),
        ("b'x'", "result is bytes"),
        ("{1: 2}", "a key that is not a str"),
        ("{1, 2}", "a set"),
        ("1j", "builtins.complex"),
        ("int", "a function or a class"),
        ("'\\ud800'", "surrogate"),
    ]:
        reply = v1.problem(406, "result-not-json", words, "POST", "/v1/functions/inv-odd/invoke", {"args": [text]})
        problem = reply.json
        assert problem["result_url"] == f"/v1/tasks/{problem['task_id']}/result"
        assert reply.headers["Link"].startswith(f"<{problem['result_url']}>; rel=\"alternate\"")
        raw = v1.call("GET", problem["result_url"])
        assert raw.status == 200 and repr(pickle.loads(raw.body)) == repr(eval(text))
        again = v1.call("GET", problem["result_url"], Accept="application/json")
        assert again.status == 406 and again.json["detail"] == problem["detail"]


# -- failures ------------------------------------------------------------------------------------------------------------


def test_an_exception_is_a_problem_with_its_traceback(v1):
    define(v1, "inv-fail", "def fail(word):\n    raise LookupError('no ' + word)\n")
    reply = v1.call("POST", "/v1/functions/inv-fail/invoke", {"args": ["luck"]})
    assert reply.status == 422 and reply.headers["Content-Type"] == "application/problem+json", reply
    problem = reply.json
    assert problem["code"] == "function-failed" and problem["detail"] == "LookupError: no luck"
    assert problem["error"]["kind"] == "FunctionFailed" and problem["error"]["type"] == "LookupError"
    assert problem["error"]["message"] == "no luck"
    assert "line 2, in fail\nLookupError: no luck" in problem["error"]["traceback"]
    assert v1.ended(problem["task_id"])["status"] == "FAILED"
    again = v1.call("GET", f"/v1/tasks/{problem['task_id']}/result", Accept="application/json")
    assert again.status == 422 and again.json == problem
    raw = v1.call("GET", f"/v1/tasks/{problem['task_id']}/result")
    assert raw.status == 200 and raw.headers["Treadle-Status"] == "FAILED"
    assert isinstance(wire.dill.loads(raw.body), LookupError)


def test_each_way_to_fail_has_its_code(v1):
    define(v1, "inv-sleep", "import time\ndef sleep(s):\n    time.sleep(s)\n    return s\n")
    body = {"args": [30], "options": {"time_limit": 0.3}}
    problem = v1.call("POST", "/v1/functions/inv-sleep/invoke", body).json
    assert problem["code"] == "timeout" and problem["error"]["kind"] == "Timeout", problem
    define(v1, "inv-exit", "import os\ndef die():\n    os._exit(3)\n")
    problem = v1.call("POST", "/v1/functions/inv-exit/invoke", {}).json
    assert problem["status"] == 422 and problem["code"] in ("crashed", "poison-task"), problem
    define(v1, "inv-syntax", "def broken(:\n")
    problem = v1.call("POST", "/v1/functions/inv-syntax/invoke", {}).json
    assert problem["code"] == "deserialize-failed" and "SyntaxError" in problem["detail"], problem


# -- waiting -------------------------------------------------------------------------------------------------------------


def test_who_does_not_wait_comes_back_for_the_result(v1):
    define(v1, "inv-nap", "import time\ndef nap(s):\n    time.sleep(s)\n    return [s]\n")
    for query, headers in [("?wait=0", {}), ("?wait=0.2", {}), ("", {"Prefer": "respond-async"}), ("", {"Prefer": "wait=1"})]:
        begun = time.monotonic()
        reply = v1.call("POST", f"/v1/functions/inv-nap/invoke{query}", {"args": [2]}, **headers)
        assert reply.status == 202 and time.monotonic() - begun < 1.9 * PATIENCE, reply
        task_id = reply.json["task_id"]
        assert reply.json["status"] in ("QUEUED", "RUNNING") and reply.headers["Retry-After"] == "1"
        assert reply.headers["Location"] == f"/v1/tasks/{task_id}"
        assert reply.headers["Preference-Applied"] == headers.get("Prefer")
        where = f"/v1/tasks/{task_id}/result"
        early = v1.call("GET", where, Accept="application/json")
        assert early.status == 202 and early.headers["Location"] == f"/v1/tasks/{task_id}", early
        done = v1.call("GET", where + "?wait=20", Accept="application/json")
        assert done.status == 200 and done.json["result"] == [2], done


def test_a_repeated_key_is_the_same_task(v1, runs):
    source = "def note(path):\n    with open(path, 'a') as file:\n        file.write('ran\\n')\n    return 'noted'\n"
    define(v1, "inv-note", source)
    path, key = "/v1/functions/inv-note/invoke", f"key-{time.monotonic_ns()}"
    first = v1.call("POST", path, {"args": [runs.name]}, Idempotency_Key=key)
    assert first.status == 200 and "Idempotency-Replayed" not in first.headers
    again = v1.call("POST", path, {"args": [runs.name]}, Idempotency_Key=key)
    assert again.json == first.json and again.headers["Idempotency-Replayed"] == "true"
    assert runs.lines() == ["ran"]
    v1.problem(409, "conflict", "Idempotency-Key", "POST", path, {"args": ["other"]}, Idempotency_Key=key)


# -- raw bytes -----------------------------------------------------------------------------------------------------------


def test_raw_bytes_in_and_out(v1):
    function_id = define(v1, "inv-raw", "def pair(a, b=None):\n    return a, b\n")
    value = os.urandom(300_000)  # larger than what travels inside messages
    body = pickle.dumps(((value,), {"b": {1: 2}}))
    query = f"?function_id={function_id}&group=raw&delay=0.1&options=%7B%22priority%22%3A%207%7D"
    reply = v1.call("POST", f"/v1/tasks{query}", body, Content_Type="application/octet-stream")
    assert reply.status == 201, reply
    task_id = reply.json["task_id"]
    result = v1.call("GET", f"/v1/tasks/{task_id}/result?wait=20")
    assert result.status == 200 and result.headers["Content-Type"] == "application/octet-stream"
    assert pickle.loads(result.body) == (value, {1: 2})
    assert result.headers["Treadle-Status"] == "COMPLETED" and "immutable" in result.headers["Cache-Control"]
    task = v1.task(task_id)
    assert task["group"] == "raw" and task["options"]["priority"] == 7
    tag = result.headers["ETag"]
    known = v1.call("GET", f"/v1/tasks/{task_id}/result", If_None_Match=f'"x", {tag}')
    assert known.status == 304 and known.body == b"" and known.headers["ETag"] == tag
    assert v1.call("GET", f"/v1/tasks/{task_id}/result", If_None_Match='"x"').body == result.body


def test_raw_bodies_that_are_wrong(v1):
    function_id = define(v1, "inv-raw-bad", "def f():\n    return 1\n")
    sound = pickle.dumps(((), {}))

    def bad(status, words, query, body):
        code = {400: "invalid-request", 404: "not-found"}[status]
        v1.problem(status, code, words, "POST", f"/v1/tasks{query}", body, Content_Type="application/octet-stream")

    bad(400, "function_id", "", sound)
    bad(400, "UUID", "?function_id=x", sound)
    bad(400, "did you mean", f"?function_id={function_id}&grup=1", sound)
    bad(400, "delay", f"?function_id={function_id}&delay=soon", sound)
    bad(400, "options", f"?function_id={function_id}&options=%7B", sound)
    bad(400, "prioriti", f"?function_id={function_id}&options=%7B%22prioriti%22%3A1%7D", sound)
    bad(400, "pickle", f"?function_id={function_id}", b"hello")
    bad(400, "empty", f"?function_id={function_id}", b"")
    bad(404, UNKNOWN, f"?function_id={UNKNOWN}", sound)


# -- delete --------------------------------------------------------------------------------------------------------------


def test_a_deleted_function_is_unknown_and_its_queued_tasks_still_run(v1):
    first = define(v1, "inv-gone", "def f():\n    return 'first'\n")
    second = define(v1, "inv-gone", "def f():\n    return 'second'\n")
    waiting = v1.submit(second, delay=1)
    assert v1.call("DELETE", f"/v1/functions/{second}").status == 204
    for method, path, body in [
        ("GET", f"/v1/functions/{second}", None),
        ("DELETE", f"/v1/functions/{second}", None),
        ("POST", "/v1/tasks", {"function_id": second}),
        ("POST", f"/v1/functions/{second}/invoke", {}),
    ]:
        v1.problem(404, "not-found", second, method, path, body)
    assert v1.server.post("/execute_function", {"function_id": second, "payload": wire.args()}).status == 404
    assert invoke(v1, "inv-gone")["result"] == "first"
    assert [one["function_id"] for one in v1.ok("GET", "/v1/functions?name=inv-gone")["functions"]] == [first]
    assert v1.value(waiting) == "second"
    assert v1.call("DELETE", f"/v1/functions/{first}").status == 204
    v1.problem(404, "not-found", "inv-gone", "POST", "/v1/functions/inv-gone/invoke", {})


# -- figures -------------------------------------------------------------------------------------------------------------


def test_stats_tell_what_there_is_to_do(v1):
    define(v1, "inv-hold", "import os, time\ndef hold(path):\n    while os.path.exists(path):\n        time.sleep(0.02)\n")
    v1.problem(400, "invalid-request", "query parameter", "GET", "/v1/stats?x=1")
    # Those of other tests have gone by now, and the figures of a gateway on Redis are some seconds old at most.
    assert eventually(lambda: v1.ok("GET", "/v1/stats")["tasks"]["delayed"] == 0, 20)
    # The first test of a server may come before its worker has been told of.
    assert eventually(lambda: v1.ok("GET", "/v1/stats")["workers"]["ready"] >= 1, 10)
    before = v1.ok("GET", "/v1/stats")
    assert before["slots"]["total"] >= 1
    later = v1.submit(v1.ok("GET", "/v1/functions?name=inv-hold")["functions"][0]["function_id"], "/nowhere", delay=60)
    assert eventually(lambda: v1.ok("GET", "/v1/stats")["tasks"]["delayed"] == before["tasks"]["delayed"] + 1, 15)
    assert v1.call("DELETE", f"/v1/tasks/{later}").status == 200
    v1.value(v1.submit(v1.ok("GET", f"/v1/tasks/{later}")["function_id"], "/nowhere"))

    def settled():
        now = v1.ok("GET", "/v1/stats")
        return now["ever"]["completed"] >= before["ever"]["completed"] + 1 and now["tasks"]["delayed"] == before["tasks"]["delayed"]

    assert eventually(settled, 10), v1.ok("GET", "/v1/stats")


# -- browsers ------------------------------------------------------------------------------------------------------------


def test_a_page_of_the_same_origin_may_call(v1):
    define(v1, "inv-page", "def f(x):\n    return x * 2\n")
    host = f"127.0.0.1:{v1.server.port}"
    reply = v1.call("POST", "/v1/functions/inv-page/invoke", {"args": [21]}, Origin=f"http://{host}")
    assert reply.status == 200 and reply.json["result"] == 42
    v1.problem(403, "forbidden", "--allow-origin", "POST", "/v1/functions/inv-page/invoke", {}, Origin="http://evil.example")


def test_a_page_of_an_allowed_origin_may_ask_and_read_the_headers(serve):
    v1 = V1(serve("--allow-origin", "http://page.example"))
    define(v1, "inv-page", "def f(x):\n    return x * 2\n")
    asked = {"Origin": "http://page.example", "Access_Control_Request_Method": "POST"}
    asked["Access_Control_Request_Headers"] = "content-type, prefer, idempotency-key"
    preflight = v1.call("OPTIONS", "/v1/functions/inv-page/invoke", **asked)
    assert preflight.status == 204
    allowed = {word.strip().lower() for word in preflight.headers["Access-Control-Allow-Headers"].split(",")}
    assert {"content-type", "prefer", "idempotency-key"} <= allowed
    reply = v1.call("POST", "/v1/functions/inv-page/invoke", {"args": [1]}, Origin="http://page.example", Prefer="wait=9")
    assert reply.status == 200 and reply.headers["Access-Control-Allow-Origin"] == "http://page.example"
    shown = {word.strip().lower() for word in reply.headers["Access-Control-Expose-Headers"].split(",")}
    assert {"location", "retry-after", "etag", "preference-applied"} <= shown


@pytest.mark.skipif(not shutil.which("node"), reason="there is no node")
def test_node_calls_a_function(v1):
    define(v1, "inv-node", "def f(words, sep):\n    return sep.join(words)\n")
    script = """
      const [base] = process.argv.slice(1);
      const call = body => fetch(base + "/v1/functions/inv-node/invoke",
        {method: "POST", headers: {"Content-Type": "application/json", Prefer: "wait=20"}, body: JSON.stringify(body)});
      const good = await call({args: [["a", "b"]], kwargs: {sep: "-"}});
      const bad = await call({args: [[1]], kwargs: {sep: "-"}});
      console.log(JSON.stringify([good.status, await good.json(), bad.status, await bad.json()]));
    """
    command = ["node", "--input-type=module", "-e", script, f"http://127.0.0.1:{v1.server.port}"]
    said = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert said.returncode == 0, said.stderr
    good_status, good, bad_status, bad = json.loads(said.stdout)
    assert good_status == 200 and good["result"] == "a-b"
    assert bad_status == 422 and bad["error"]["type"] == "TypeError" and "Traceback" in bad["error"]["traceback"]

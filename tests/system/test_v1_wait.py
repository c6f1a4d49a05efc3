"""tasks:lookup and tasks:wait, on both stores and in all modes."""

import base64
import pickle
import threading
import time
import uuid

import pytest

from v1 import UNKNOWN, V1

pytestmark = pytest.mark.cells()


def double(n):
    return 2 * n


def sleep(seconds):
    import time

    time.sleep(seconds)
    return seconds


def fail(n):
    raise KeyError(n)


@pytest.fixture(scope="module")
def v1(server):
    return V1(server)


def submitted(v1, function_id, values):
    calls = [{"function_id": function_id, "args": [value]} for value in values]
    answer = v1.ok("POST", "/v1/tasks:batch", {"tasks": calls}, status=201)
    return [row["task_id"] for row in answer["tasks"]]


def wait(v1, ids, seconds=30, results=True):
    return v1.ok("POST", "/v1/tasks:wait", {"task_ids": ids, "wait": seconds, "results": results})


def value(row):
    return pickle.loads(base64.b64decode(row["result"]))


def test_all_results_come_once_each(v1):
    ids = submitted(v1, v1.register(double), range(500))
    left, told, rounds = list(ids), {}, 0
    while left:
        answer = wait(v1, left)
        assert answer["missing"] == [] and answer["waiting"] == len(left) - len(answer["tasks"])
        for row in answer["tasks"]:
            assert row["task_id"] not in told and row["status"] == "COMPLETED" and row["error_kind"] is None
            told[row["task_id"]] = value(row)
        left = [one for one in left if one not in told]
        rounds += 1
        assert rounds < 600
    assert [told[one] for one in ids] == [2 * n for n in range(500)]


def test_answers_as_soon_as_one_has_ended(v1):
    slow, fast = submitted(v1, v1.register(sleep), [5, 0.5])
    begun = time.monotonic()
    answer = wait(v1, [slow, fast])
    assert [row["task_id"] for row in answer["tasks"]] == [fast] and answer["waiting"] == 1
    assert 0.3 < time.monotonic() - begun < 4
    v1.call("DELETE", f"/v1/tasks/{slow}")
    answer = wait(v1, [slow])
    assert [(row["status"], row["error_kind"]) for row in answer["tasks"]] == [("FAILED", "Cancelled")]


def test_nothing_ended_in_time(v1):
    (slow,) = submitted(v1, v1.register(sleep), [30])
    begun = time.monotonic()
    assert wait(v1, [slow], 0.5) == {"tasks": [], "missing": [], "waiting": 1}
    assert 0.5 <= time.monotonic() - begun < 3
    assert wait(v1, [slow], 0)["waiting"] == 1
    v1.call("DELETE", f"/v1/tasks/{slow}")


def test_failures_and_what_is_not_there(v1):
    (failed,) = submitted(v1, v1.register(fail), [7])
    v1.ended(failed)
    answer = wait(v1, [UNKNOWN, failed, failed])
    assert answer["missing"] == [UNKNOWN] and answer["waiting"] == 0
    (row,) = answer["tasks"]
    assert row["error_kind"] == "FunctionFailed" and isinstance(value(row), KeyError)
    told = v1.ok("POST", "/v1/tasks:lookup", {"task_ids": [UNKNOWN, failed]})
    assert told["missing"] == [UNKNOWN]
    assert [(one["task_id"], one["status"], one["error_kind"]) for one in told["tasks"]] == [(failed, "FAILED", "FunctionFailed")]
    assert "result" not in wait(v1, [failed], results=False)["tasks"][0]


def test_large_results_are_left_out(v1):
    function_id = v1.register(double)
    small, large = submitted(v1, function_id, ["x" * 10, "x" * 200_000])
    v1.ended(small), v1.ended(large)
    rows = {row["task_id"]: row for row in wait(v1, [small, large])["tasks"]}
    assert value(rows[small]) == "x" * 20
    assert rows[large]["result"] is None and rows[large]["result_bytes"] > 400_000


def test_ten_thousand_ids(v1):
    ids = submitted(v1, v1.register(double), range(50))
    for one in ids:
        v1.ended(one)
    many = [str(uuid.uuid4()) for _ in range(9_950)] + ids
    told = v1.ok("POST", "/v1/tasks:lookup", {"task_ids": many})
    assert [row["task_id"] for row in told["tasks"]] == ids and told["missing"] == many[:9_950]
    assert len(wait(v1, many, results=True)["tasks"]) == 50
    v1.problem(400, "invalid-request", "not of 10001", "POST", "/v1/tasks:wait", {"task_ids": many + [UNKNOWN]})
    v1.problem(400, "invalid-request", "task_ids[1]", "POST", "/v1/tasks:lookup", {"task_ids": [UNKNOWN, "x"]})
    v1.problem(400, "invalid-request", '"wait"', "POST", "/v1/tasks:wait", {"task_ids": [UNKNOWN], "wait": 61})


def test_many_waiters_for_the_same_tasks(v1):
    ids = submitted(v1, v1.register(sleep), [1, 1])
    answers = []

    def ask():
        left = list(ids)
        while left:
            ended = [row["task_id"] for row in wait(v1, left)["tasks"]]
            answers.extend(ended)
            left = [one for one in left if one not in ended]

    threads = [threading.Thread(target=ask) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(answers) == sorted(ids * 5)

"""`treadle why`: the story of a task in words, and exit codes that tell the truth."""

import pytest

from server import run
from v1 import UNKNOWN, V1


def sleep(seconds):
    import time

    time.sleep(seconds)


@pytest.fixture(scope="module")
def v1(server):
    return V1(server)


def test_why_tells_the_story(v1):
    def fail():
        print("last words")
        raise ValueError("no luck")

    task_id = v1.submit(v1.register(fail))
    v1.ended(task_id)
    code, out, err = run("why", task_id, "--url", v1.server.url)
    assert code == 0 and err == "", err
    for words in (f"Task {task_id} is FAILED (FunctionFailed)", "FunctionFailed, ValueError: no luck", "raise ValueError",
                  "last words", "its code began", "What now"):  # fmt: skip
        assert words in out, out
    task_id = v1.submit(v1.register(sleep), 0, options={"queue": "gpu"})
    code, out, _ = run("why", task_id, "--url", v1.server.url)
    assert code == 0 and "is QUEUED" in out and "queue gpu" in out, out
    v1.ok("DELETE", f"/v1/tasks/{task_id}")


def test_why_has_honest_exit_codes(v1):
    url = v1.server.url
    code, out, err = run("why", UNKNOWN, "--url", url)
    assert (code, out) == (1, "") and f"There is no task {UNKNOWN}" in err
    for arguments in (["why"], ["why", "17"], ["why", UNKNOWN, "--url", "ftp://x"], ["why", UNKNOWN, "--nosuchflag"]):
        code, out, err = run(*arguments)
        assert (code, out) == (2, "") and err.startswith("treadle why: "), (arguments, err)
    code, out, err = run("why", UNKNOWN, "--url", "http://127.0.0.1:1")
    assert (code, out) == (3, "") and "cannot reach http://127.0.0.1:1 (Connection refused)" in err
    code, out, _ = run("why", "--help")
    assert code == 0 and "Exit codes" in out

"""Functions and workers of different Pythons: each runs where its bytecode belongs, or is refused with the ways out."""

import json
import subprocess
import sys

import pytest

from server import ROOT, eventually, other_interpreters, run
from v1 import V1

HAS_DILL = [path for path in other_interpreters() if subprocess.run([path, "-c", "import dill"], capture_output=True).returncode == 0]
SAMPLES = json.loads((ROOT / "tests/verifier/other_pythons.json").read_text())
MAKE = """
import base64, dill, sys
def shape(n, *rest, scale=2):
    kept = [x * scale for x in range(n) if x % 2]
    def inner(x):
        nonlocal kept
        kept = kept + [x]
        return kept
    return sys.version_info[1], [inner(r) for r in rest] or kept
dill.settings['recurse'] = True
print(base64.b64encode(dill.dumps(shape)).decode())
"""


def made_by(python):
    return subprocess.run([python, "-c", MAKE], check=True, capture_output=True, text=True).stdout.strip()


def minor_of(python):
    code = "import sys; print(sys.version_info[1])"
    return int(subprocess.run([python, "-c", code], check=True, capture_output=True, text=True).stdout)


def register(v1, payload):
    return v1.ok("POST", "/v1/functions", {"name": "f", "payload": payload}, status=201)["function_id"]


needs_another = pytest.mark.skipif(not HAS_DILL, reason="there is no other Python with dill here")


def assert_refused(task, minors):
    error = task["error"]
    assert (error["kind"], error["ended_by"]) == ("PythonMismatch", "service"), error
    mine = sys.version.split()[0]
    names = " or ".join(f"3.{minor}" for minor in minors)
    for words in (f"Python {names},", f"this worker runs {mine}", f"--python python3.{minors[-1]}",
                  f"pickle with Python 3.{sys.version_info[1]}", "a module that both sides can import"):  # fmt: skip
        assert words in error["message"], error["message"]
    assert task["kills"] == 0, "an executor died of it"


def test_functions_of_six_pythons_and_two_picklers_run_or_are_refused(server):
    """Each was pickled by a Python 3.8 to 3.13, by dill and by cloudpickle: a loop, closures, a lambda."""
    v1 = V1(server)
    refused = 0
    for sample in SAMPLES:
        task = v1.ended(v1.submit(register(v1, sample["payload"]), 3))
        assert task["kills"] == 0, (sample, task["error"])
        if task["error"] and task["error"]["kind"] == "PythonMismatch":
            assert sample["minor"] != sys.version_info[1], task["error"]
            assert_refused(task, [8, 9] if "3.8 or 3.9" in task["error"]["message"] else [sample["minor"]])
            refused += 1
            continue
        # Its own, or a neighbour's that writes this function alike; then cloudpickle's versions may still differ.
        assert {sample["minor"], sys.version_info[1]} <= {11, 12}, (sample, task["error"])
        other_library = sample["library"] == "cloudpickle" and "_function_setstate" in str(task["error"])
        assert task["status"] == "COMPLETED" or other_library, (sample, task["error"])
    assert len(SAMPLES) == 48 and refused >= 32, refused  # all of 3.8 to 3.10, and of 3.13
    assert server.run(lambda: "still here") == "still here"


@needs_another
@pytest.mark.parametrize("other", HAS_DILL)
def test_bytecode_of_another_python_is_refused_with_three_ways_out(server, other):
    v1 = V1(server)
    minor = minor_of(other)
    assert_refused(v1.ended(v1.submit(register(v1, made_by(other)), 5)), [8, 9] if minor < 10 else [minor])


@needs_another
def test_a_worker_with_several_pythons_runs_each_function_in_its_own(serve):
    flags = [flag for other in HAS_DILL for flag in ("--python", other)]
    v1 = V1(serve("-w", 2, *flags))
    pythons = [sys.executable, *HAS_DILL]
    shown = eventually(lambda: v1.ok("GET", "/v1/workers")["workers"], 5)
    assert len(shown[0]["python"]) == len(pythons)
    functions = [register(v1, made_by(python)) for python in pythons]
    tasks = [(minor_of(p), v1.submit(f, 5, 7, 8)) for _ in range(3) for p, f in zip(pythons, functions)]
    for minor, task_id in tasks:
        assert list(v1.value(task_id)) == [minor, [[2, 6, 7], [2, 6, 7, 8]]]


def test_an_interpreter_that_is_not_there_is_named(serve):
    code, _, err = run("serve", "--port", 0, "--python", sys.executable, "--python", "python9.9")
    assert code == 2 and "python9.9" in err, err


SOURCE = """
import math

SCALE = 2

def helper(x):
    return math.sqrt(x) * SCALE

def run(x, *, more=0):
    import sys
    return helper(x) + more, sys.version_info[1]
"""


def register_source(v1, source, status=201):
    return v1.ok("POST", "/v1/functions", {"name": "s", "source": source}, status=status)["function_id"]


@pytest.mark.cells("sqlite-local", "sqlite-push", "redis-push")
def test_source_is_compiled_by_the_worker(server):
    v1 = V1(server)
    mine = sys.version_info[1]
    function_id = register_source(v1, SOURCE)
    assert list(v1.value(v1.submit(function_id, 16, kwargs={"more": 1}))) == [9.0, mine]
    named = register_source(v1, "# treadle: helper" + SOURCE)
    assert v1.value(v1.submit(named, 25)) == 10.0
    error = v1.ended(v1.submit(register_source(v1, "def f(:\n    pass\n")))["error"]
    assert error["kind"] == "DeserializeFailed" and error["type"] == "SyntaxError", error
    error = v1.ended(v1.submit(register_source(v1, "x = 1\n")))["error"]
    assert "the source defines no function" in error["message"], error
    both = {"name": "s", "source": SOURCE, "payload": "gASVFQAAAAAAAACMCV9vcGVyYXRvcpSMA2FkZJSTlC4="}
    v1.problem(400, "invalid-request", "source", "POST", "/v1/functions", both)
    v1.problem(400, "invalid-request", "payload", "POST", "/v1/functions", {"name": "s"})


@needs_another
def test_source_runs_on_every_python(serve):
    for other in HAS_DILL:
        v1 = V1(serve("-w", 1, python=other))
        assert list(v1.value(v1.submit(register_source(v1, SOURCE), 4))) == [4.0, minor_of(other)]

"""Functions and workers of different Pythons: each runs where its bytecode belongs, or is refused with the ways out."""

import subprocess
import sys

import pytest

from server import eventually, other_interpreters, run
from v1 import V1

# The verifier tells bytecode of 3.11 and later apart; what is older tells no version, and its tasks may die of it.
TELLS_ITS_VERSION = "import dill, sys; sys.exit(sys.version_info < (3, 11))"
OTHERS = [
    path
    for path in other_interpreters()
    if subprocess.run([path, "-c", TELLS_ITS_VERSION], capture_output=True).returncode == 0
]
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


needs_another = pytest.mark.skipif(not OTHERS, reason="there is no other Python with dill here")


@needs_another
@pytest.mark.parametrize("other", OTHERS)
def test_bytecode_of_another_python_is_refused_with_three_ways_out(server, other):
    v1 = V1(server)
    task = v1.ended(v1.submit(register(v1, made_by(other)), 5))
    error = task["error"]
    assert (error["kind"], error["ended_by"]) == ("PythonMismatch", "service"), error
    minor = minor_of(other)
    for words in (f"Python 3.{minor}", sys.version.split()[0], f"--python python3.{minor}",
                  f"pickle with Python 3.{sys.version_info[1]}", "a module that both sides can import"):  # fmt: skip
        assert words in error["message"], error["message"]
    assert task["kills"] == 0, "no executor died of it"


@needs_another
def test_a_worker_with_several_pythons_runs_each_function_in_its_own(serve):
    flags = [flag for other in OTHERS for flag in ("--python", other)]
    v1 = V1(serve("-w", 2, *flags))
    pythons = [sys.executable, *OTHERS]
    shown = eventually(lambda: v1.ok("GET", "/v1/workers")["workers"], 5)
    assert len(shown[0]["python"]) == len(pythons)
    functions = [register(v1, made_by(python)) for python in pythons]
    tasks = [(minor_of(p), v1.submit(f, 5, 7, 8)) for _ in range(3) for p, f in zip(pythons, functions)]
    for minor, task_id in tasks:
        assert list(v1.value(task_id)) == [minor, [[2, 6, 7], [2, 6, 7, 8]]]


def test_an_interpreter_that_is_not_there_is_named(serve):
    code, _, err = run("serve", "--port", 0, "--python", sys.executable, "--python", "python9.9")
    assert code == 2 and "python9.9" in err, err

"""What FAILED returns: an exception that a client reads with dill alone, without any class of ours."""

import json

import cloudpickle
import pytest

import wire
from server import other_interpreters

pytestmark = pytest.mark.cells

# Runs in a clean interpreter: reads a result text, and says what the object satisfies.
EXAMINE = """
import codecs, importlib, json, sys
sys.modules["cloudpickle"] = None
sys.modules["treadle"] = None
given = json.load(sys.stdin)
if given["reader"] == "dill":
    import dill as reader
else:
    import pickle as reader
e = reader.loads(codecs.decode(given["result"].encode(), "base64"))
module, name = given["base"]
base = getattr(importlib.import_module(module), name)
raised = False
try:
    raise e
except base as caught:
    raised = caught is e
print(json.dumps({
    "isinstance": isinstance(e, base), "raised": raised, "str": str(e), "repr": bool(repr(e)),
    "error_code": e.error_code, "task_id": e.task_id, "worker_id": e.worker_id, "error_message": e.error_message,
    "in": given["message"] in e, "not in": "surely not in there" in e, "type": type(e).__name__}))
"""


def examine(clean_python, result, base, message, reader="dill", **how):
    given = json.dumps({"result": result, "base": base, "message": message, "reader": reader})
    return json.loads(clean_python(EXAMINE, given, **how))


def check(found, task_id, message, kind="Function Failure"):
    assert found["isinstance"] and found["raised"] and found["repr"], found
    assert kind in found["str"] and message in found["str"]
    assert found["error_code"] == 500 and found["task_id"] == task_id
    assert isinstance(found["worker_id"], str) and found["worker_id"]
    assert message in found["error_message"]
    assert found["in"] is True and found["not in"] is False


def throw(source):
    """A function that evaluates this and raises it."""

    def fail():
        import json, socket, subprocess, urllib.error  # noqa: E401

        raise eval(source, {"json": json, "socket": socket, "subprocess": subprocess, "urllib": urllib})

    return cloudpickle.dumps(fail)


# source of the exception, the class that a client may rely on, a part of its message
EXCEPTIONS = {
    "ValueError": ("ValueError('boom at 42')", ("builtins", "ValueError"), "boom at 42"),
    "KeyError": ("KeyError('missing-key')", ("builtins", "KeyError"), "missing-key"),
    "ZeroDivisionError": ("ZeroDivisionError('by zero')", ("builtins", "ZeroDivisionError"), "by zero"),
    "AssertionError": ("AssertionError('not so')", ("builtins", "AssertionError"), "not so"),
    "StopIteration": ("StopIteration('stopped')", ("builtins", "StopIteration"), "stopped"),
    "RuntimeError": ("RuntimeError('many\\nlines\\nof text')", ("builtins", "RuntimeError"), "many\nlines\nof text"),
    "unicode text": (
        "ValueError('h\\u00e9llo \\u2603 \\U0001f600')",
        ("builtins", "ValueError"),
        "h\u00e9llo \u2603 \U0001f600",
    ),
    "lone surrogate": ("ValueError('bad \\ud800 text')", ("builtins", "ValueError"), "bad"),
    "long text": ("ValueError('x' * 100_000)", ("builtins", "ValueError"), "x" * 1000),
    "no text": ("TypeError()", ("builtins", "TypeError"), ""),
    "OSError": ("FileNotFoundError(2, 'No such file', '/nowhere')", ("builtins", "FileNotFoundError"), "/nowhere"),
    "UnicodeDecodeError": (
        "UnicodeDecodeError('utf-8', b'ab', 0, 1, 'bad byte')",
        ("builtins", "UnicodeError"),
        "bad byte",
    ),
    "JSONDecodeError": ("json.JSONDecodeError('no json', 'doc', 1)", ("builtins", "ValueError"), "no json"),
    "HTTPError": ("urllib.error.HTTPError('http://x', 418, 'teapot', {}, None)", ("builtins", "OSError"), "teapot"),
    "CalledProcessError": ("subprocess.CalledProcessError(3, 'cmd')", ("builtins", "Exception"), "3"),
    "gaierror": ("socket.gaierror(-2, 'Name not known')", ("builtins", "OSError"), "Name not known"),
    "SystemExit": ("SystemExit('leaving')", ("builtins", "BaseException"), "leaving"),
    "KeyboardInterrupt": ("KeyboardInterrupt('key')", ("builtins", "BaseException"), "key"),
    "GeneratorExit": ("GeneratorExit('gen')", ("builtins", "BaseException"), "gen"),
    "MemoryError": ("MemoryError('too much')", ("builtins", "MemoryError"), "too much"),
    "RecursionError": ("RecursionError('too deep')", ("builtins", "RecursionError"), "too deep"),
    "ExceptionGroup": ("ExceptionGroup('several', [ValueError(1)])", ("builtins", "Exception"), "several"),
}


@pytest.mark.parametrize("name", EXCEPTIONS)
def test_failure_in_a_clean_interpreter(server, clean_python, name):
    source, base, message = EXCEPTIONS[name]
    task_id = server.execute(server.register(throw(source)))
    status, result = server.finished(task_id)
    assert status == "FAILED"
    check(examine(clean_python, result, base, message), task_id, message)
    assert b"\0" not in result.encode() and result == wire.armor(wire.bare(result))


@pytest.mark.parametrize("interpreter", other_interpreters(), ids=str)
def test_failure_in_another_minor_version(server, clean_python, interpreter):
    """Without dill there: plain pickle is enough."""
    for name in ("ValueError", "KeyError", "OSError", "JSONDecodeError", "SystemExit"):
        source, base, message = EXCEPTIONS[name]
        task_id = server.execute(server.register(throw(source)))
        _, result = server.finished(task_id)
        check(examine(clean_python, result, base, message, reader="pickle", interpreter=interpreter), task_id, message)


def test_class_of_the_script(server, clean_python):
    """Known to no client: its next base that a client can import is what it can rely on."""

    def fail():
        class Overdrawn(ValueError):
            def __init__(self, account, amount):
                super().__init__(f"{account} by {amount}")

        raise Overdrawn("savings", 17)

    task_id = server.execute(server.register(fail))
    status, result = server.finished(task_id)
    assert status == "FAILED"
    found = examine(clean_python, result, ("builtins", "ValueError"), "savings by 17")
    check(found, task_id, "savings by 17")


def test_hostile_exceptions(server):
    """Exceptions that break whoever looks at them; each is FAILED, and the slots go on."""

    def bad_str():
        class Bad(Exception):
            def __str__(self):
                raise RuntimeError("str is broken")

            __repr__ = __str__

        raise Bad("secret")

    def bad_attribute():
        class Odd(Exception):
            error_code = property(lambda self: 1 / 0)
            task_id = worker_id = error_message = property(lambda self: 1 / 0)

        raise Odd("odd one")

    def bad_reduce():
        class NoPickle(Exception):
            def __reduce__(self):
                raise TypeError("never pickled")

        raise NoPickle("not picklable")

    def bad_state():
        error = ValueError("with a lock")
        import threading

        error.lock = threading.Lock()
        error.generator = (i for i in [])
        raise error

    def chain():
        try:
            1 / 0
        except ZeroDivisionError as error:
            raise LookupError("outer") from error

    def deep():
        def again(n):
            return again(n + 1) + 1

        return again(0)

    def no_memory():
        return [0] * (1 << 60)

    for function, words in (
        (bad_str, ""),
        (bad_attribute, "odd one"),
        (bad_reduce, "not picklable"),
        (bad_state, "with a lock"),
        (chain, "outer"),
        (deep, "recursion"),
        (no_memory, ""),
    ):
        task_id = server.execute(server.register(function))
        error = server.failure(task_id)
        assert (
            words in str(error)
            and "Function Failure" in str(error)
            and error.error_code == 500
            and error.task_id == task_id
        )


@pytest.mark.parametrize(
    "source", ["SystemExit(0)", "KeyboardInterrupt()", "MemoryError()", "RecursionError()", "GeneratorExit()"]
)
def test_the_worker_lives_on(serve, source):
    server = serve("-w", 1)

    def pid():
        import os

        return os.getpid()

    function_id = server.register(pid)
    before = server.value(server.execute(function_id))
    assert server.finished(server.execute(server.register(throw(source))))[0] == "FAILED"
    assert server.value(server.execute(function_id)) == before, "the executor itself lives on"


def test_results_that_cannot_be_pickled(server):
    def generator():
        return (i for i in range(3))

    def frame():
        import sys

        return sys._getframe()

    def broken():
        class Never:
            def __reduce__(self):
                raise RuntimeError("no pickle of me")

        return Never()

    for function in (generator, frame, broken):
        task_id = server.execute(server.register(function))
        error = server.failure(task_id)
        assert isinstance(error, Exception) and "Function Failure" in str(error), error

"""The Python side of a worker against docs/executor-protocol.md: the law of the pipe, __main__, results, failures, output."""
import os
import pickle
import random
import signal
import struct
import sys
import time

import cloudpickle
import dill
import pytest

from harness import IDLE, NEED_FUNCTION, RESULT, Zygote

NAMES_MAIN = 1 << 4


@pytest.fixture(scope="module")
def zygote():
    one = Zygote(preload=["numpy"])
    yield one
    one.close()


@pytest.fixture
def executor(zygote):
    one = zygote.spawn()
    yield one
    try:
        one.kill()
    except ProcessLookupError:
        pass


def args(*positional, **named):
    return pickle.dumps((positional, named), 4)


def by_value(function):
    return cloudpickle.dumps(function)


def define(source, name="run"):
    """A function as a script would send it with dill: it names __main__."""
    import __main__

    scope = dict(__name__="__main__")
    exec(source, scope)
    return dill.dumps(scope[name], recurse=True)


def test_results_come_in_order_with_their_values(executor):
    executor.function(1, by_value(lambda x: x * x))
    executor.tasks(1, [args(n) for n in range(100)])
    for n in range(100):
        kind, seq, result = executor.frame()
        assert kind == RESULT and seq == n + 1 and result.kind == 0
        assert pickle.loads(result.data) == n * n
        assert result.end >= result.start > 0


def test_recalled_tasks_never_run_and_no_task_runs_twice(executor, tmp_path):
    """Recalls at random moments over 20,000 tasks: those whose token was taken do not run, all others run once."""
    runs = tmp_path / "runs"
    runs.touch()

    def note(path, n):
        fd = os.open(path, os.O_WRONLY | os.O_APPEND)
        os.write(fd, struct.pack("<I", n))
        os.close(fd)

    executor.function(1, by_value(note))
    rng = random.Random(7)
    total, recalled, answered, idles = 20_000, set(), set(), 0
    sent = 0
    while sent < total:
        batch = list(executor.tasks(1, [args(str(runs), sent + i) for i in range(rng.randint(1, 64))]))
        sent += len(batch)
        if rng.random() < 0.5:
            time.sleep(rng.random() * 0.0005)
        taken = executor.recall(rng.randint(1, len(batch))) if rng.random() < 0.7 else 0
        recalled.update(batch[len(batch) - taken:] if taken else ())
        waiting = set(batch) - recalled
        idle = taken == 0
        while waiting or not idle:
            kind, seq, _ = executor.frame()
            if kind == IDLE:
                idles += 1
                idle = seq == batch[-1]
            else:
                answered.add(seq)
                waiting.discard(seq)
    ran = [n + 1 for (n,) in struct.iter_unpack("<I", runs.read_bytes())]
    assert len(ran) == len(set(ran)), "run twice"
    assert set(ran) == answered and not answered & recalled and len(answered) + len(recalled) == sent
    assert len(recalled) > 500 and len(answered) > 5000 and idles > 30, (len(recalled), len(answered), idles)


def test_sent_results_survive_a_kill(executor):
    def die_at(n):
        if n == 40:
            os.kill(os.getpid(), signal.SIGKILL)
        return n

    executor.function(1, by_value(die_at))
    executor.tasks(1, [args(n) for n in range(64)])
    values = []
    with pytest.raises(EOFError):
        while True:
            values.append(pickle.loads(executor.frame()[2].data))
    assert values == list(range(40))


def test_functions_with_equal_names_and_globals_do_not_see_each_other(executor):
    for number, value in ((1, "one"), (2, "two")):
        executor.function(number, define(f"state = []\ndef run(x):\n    state.append('{value}')\n    return state[:]"), NAMES_MAIN)
    for turn in range(1, 6):
        for number, value in ((1, "one"), (2, "two")):
            assert pickle.loads(executor.run(number, args(0)).data) == [value] * turn


def test_dropped_functions_are_asked_for_again(executor):
    for number in range(1, 301):
        executor.function(number, by_value(lambda number=number: number))
    executor.tasks(1, [args()])
    kind, seq, body = executor.frame()
    assert kind == NEED_FUNCTION and seq == 1 and struct.unpack_from("<I", body)[0] == 1
    executor.function(1, by_value(lambda: "again"))
    assert pickle.loads(executor.results(1)[0].data) == "again"


def test_sigterm_ends_user_code_and_nothing_else(executor):
    def wait(seconds):
        import time

        try:
            time.sleep(seconds)
        finally:
            print("cleaned up")

    executor.function(1, by_value(wait))
    executor.kill(signal.SIGTERM)  # idle: nothing happens
    executor.tasks(1, [args(20)])
    time.sleep(0.2)
    executor.kill(signal.SIGTERM)
    result = executor.results(1)[0]
    assert result.kind == 1 and result.type == "SystemExit"
    assert b"cleaned up" in executor.read(executor.out)
    assert executor.run(1, args(0)).kind == 0


def test_output_is_marked(executor):
    def say(n):
        import sys

        print("out", n)
        print("err", n, file=sys.stderr)

    executor.function(1, by_value(say))
    executor.function(2, by_value(lambda: None))
    executor.tasks(1, [args(1)])
    executor.tasks(2, [args()])
    executor.tasks(1, [args(3)])
    executor.results(3)
    end = lambda seq: executor.mark + struct.pack("<Q", seq)  # noqa: E731
    assert executor.read(executor.out) == b"out 1\n" + end(1) + b"out 3\n" + end(3)
    assert executor.read(executor.err) == b"err 1\n" + end(1) + b"err 3\n" + end(3)


def test_large_results_and_limits(zygote):
    executor = zygote.spawn(max_result=10 << 20)
    executor.function(1, by_value(lambda n: b"x" * n))
    assert pickle.loads(executor.run(1, args(8 << 20)).data) == b"x" * (8 << 20)
    result = executor.run(1, args(11 << 20))
    assert result.kind == 14 and "--max-payload" in result.message
    assert executor.run(1, args(1)).kind == 0
    executor.kill()


@pytest.mark.parametrize("change", [
    "import builtins; builtins.len = None; builtins.isinstance = None",
    "import pickle; pickle.dumps = pickle.loads = None",
    "import os; os.read = os.write = os._exit = None",
    "import sys; sys.stdout = None; sys.path[:] = []",
    "import os; os.chdir('/tmp'); os.umask(0); os.environ.clear()",
    "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)",
    "import sys; sys.setrecursionlimit(60)",
    "import struct; struct.pack = None",
])
def test_what_a_task_changes_does_not_reach_the_next(executor, change):
    executor.function(1, define(f"def run():\n    {change}"), NAMES_MAIN)
    executor.function(2, by_value(lambda: (len("abc"), os.getcwd(), "PATH" in os.environ)))
    assert executor.run(1, args()).kind == 0
    assert pickle.loads(executor.run(2, args()).data) == (3, "/", True)


def test_an_exception_is_told_with_its_class_and_the_bases_of_that(executor):
    code = "def run():\n    import socket\n    raise socket.gaierror('no')"
    executor.function(1, define(code), NAMES_MAIN)
    result = executor.run(1, args())
    assert (result.type, result.classes) == ("gaierror", "socket.gaierror OSError Exception")
    mixed = "def run():\n    class Mixin: pass\n    class Odd(KeyError, Mixin): pass\n    raise Odd(1)"
    executor.function(2, define(mixed), NAMES_MAIN)
    result = executor.run(2, args())
    assert result.type == "Odd" and result.classes.endswith("run.<locals>.Odd KeyError LookupError Exception"), result.classes
    executor.function(3, define("def run():\n    return (x for x in 'ab')"), NAMES_MAIN)
    result = executor.run(3, args())
    assert (result.type, result.classes) == ("TypeError", ""), "only of what the function raised"


@pytest.mark.parametrize("code, kind, type_name", [
    ("raise ValueError('bad')", 1, "ValueError"), ("raise SystemExit(3)", 1, "SystemExit"), ("raise KeyboardInterrupt", 1, "KeyboardInterrupt"),
    ("raise MemoryError", 1, "MemoryError"), ("return run()", 1, "RecursionError"), ("return (x for x in 'ab')", 13, "TypeError"),
    ("import no_such_module", 1, "ModuleNotFoundError"),
    ("class E(Exception):\n        def __str__(self): raise OSError\n    raise E", 1, "E"),
])
def test_failures_say_what_happened_and_the_executor_lives(executor, code, kind, type_name):
    executor.function(1, define(f"def run():\n    {code}"), NAMES_MAIN)
    result = executor.run(1, args())
    assert (result.kind, result.type) == (kind, type_name), result.message
    error = pickle.loads(result.data)
    assert isinstance(error, BaseException) and "Function Failure" in str(error) and "Function" in error
    assert error.error_code == 500 and error.worker_id and error.task_id and error.error_message == result.message
    executor.function(2, by_value(lambda: 1))
    assert pickle.loads(executor.run(2, args()).data) == 1


def test_forks_draw_different_numbers(zygote):
    def draw():
        import random
        import secrets
        import uuid

        import numpy

        return random.random(), float(numpy.random.rand()), str(uuid.uuid4()), secrets.token_hex()

    executors = [zygote.spawn() for _ in range(8)]
    drawn = []
    for one in executors:
        one.function(1, by_value(draw))
        drawn.append(pickle.loads(one.run(1, args()).data))
        one.kill()
    for column in zip(*drawn):
        assert len(set(column)) == 8


def test_files_of_the_user_do_not_shadow_the_standard_library(tmp_path):
    for name in ("queue", "random", "json", "pickle", "utils"):
        (tmp_path / f"{name}.py").write_text("mine = True\n")
    zygote = Zygote()
    executor = zygote.spawn(paths=[str(tmp_path)], cwd=str(tmp_path))
    executor.function(1, define("def run():\n    import utils\n    return utils.mine"), NAMES_MAIN)
    assert pickle.loads(executor.run(1, args()).data) is True
    executor.kill()
    zygote.close()


def test_an_executor_without_descriptors_gives_up_with_a_reason(executor):
    executor.function(1, by_value(lambda: os.closerange(3, 4096)))
    executor.tasks(1, [args()])
    with pytest.raises((EOFError, ConnectionResetError)):
        executor.frame()
    assert os.waitstatus_to_exitcode(executor.wait()) == 70


def test_fresh_runs_one_task_and_leaves(zygote):
    executor = zygote.spawn(isolation="fresh")
    executor.function(1, by_value(lambda: 5))
    assert pickle.loads(executor.run(1, args()).data) == 5
    assert executor.wait() == 0


def test_results_tell_what_the_task_took(executor):
    def burn(seconds):
        import time

        kept = bytearray(40 << 20)
        end = time.process_time() + seconds
        while time.process_time() < end:
            kept[0] += kept[0] == 0
        if seconds:
            raise ValueError("tired")

    executor.function(1, by_value(burn))
    executor.function(2, by_value(lambda: 1))
    result = executor.run(1, args(0.05))
    assert result.kind == 1 and 50_000 <= result.cpu_us < 5_000_000
    assert 40 << 20 < result.peak_rss < 1 << 30
    result = executor.run(2, args())
    assert result.kind == 0 and result.cpu_us < 50_000, "what the task before took is not its"


def test_too_many_open_files_are_a_limit(zygote):
    def leak(wanted):
        kept = [open("/dev/null") for _ in range(wanted)]
        return len(kept)

    executor = zygote.spawn(open_files=32)
    executor.function(1, by_value(leak))
    assert pickle.loads(executor.run(1, args(10)).data) == 10
    result = executor.run(1, args(40))
    assert (result.kind, result.type) == (12, "OSError") and "Too many open files" in result.message
    assert pickle.loads(executor.run(1, args(10)).data) == 10
    executor.kill()


def test_a_limit_of_its_own_for_results(zygote):
    executor = zygote.spawn(max_result=1000, result_limit=1000)
    executor.function(1, by_value(lambda n: b"x" * n))
    assert executor.run(1, args(900)).kind == 0
    result = executor.run(1, args(1100))
    assert result.kind == 14 and "result_limit" in result.message and "--max-payload" not in result.message
    executor.kill()


@pytest.mark.parametrize("of_arguments", [False, True])
def test_bytecode_of_another_python_is_refused_and_not_run(executor, of_arguments):
    """Nothing of it is unpickled: it would crash the interpreter rather than fail."""
    other = sys.version_info[1] + 1
    facts = 1 << 16 + other - 8
    executor.function(1, b"never read" if not of_arguments else by_value(lambda: 1), 0 if of_arguments else facts)
    result = executor.run(1, b"never read" if of_arguments else args(), facts=facts if of_arguments else 0)
    assert result.kind == 9
    for words in (f"Python 3.{other}", sys.version.split()[0], f"--python python3.{other}", f"pickle with Python 3.{sys.version_info[1]}",
                  "a module that both sides can import"):
        assert words in result.message, result.message
    executor.function(2, by_value(lambda: 2))
    assert pickle.loads(executor.run(2, args()).data) == 2

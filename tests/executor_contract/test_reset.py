"""What a run of a function leaves behind does not reach its next run in the same executor, once the run was long enough:
over 1 ms for what functions do change, over 20 ms for the rest too; nor after a run that failed, nor a run of another function."""
import pickle
import sys

import cloudpickle
import pytest

from test_executor import args, by_value, executor, zygote  # noqa: F401 (fixtures)

RECYCLE = 1
cloudpickle.register_pickle_by_value(sys.modules[__name__])


def twice(executor, function, ms):
    """(what the first run saw, what the second saw, whether the first asked for recycling)"""
    executor.function(1, by_value(function))
    first, second = executor.run(1, args(ms)), executor.run(1, args(ms))
    assert (first.kind, second.kind) == (0, 0), (first.message, second.message)
    return pickle.loads(first.data), pickle.loads(second.data), first.flags & RECYCLE


def moves(ms):
    import os
    import sys
    import time

    seen = os.getcwd(), os.umask(0), len(sys.path)
    os.chdir("/tmp")
    sys.path.append("/nowhere")
    time.sleep(ms / 1000)
    return seen


def handles(ms):
    import builtins
    import locale
    import signal
    import sys
    import time

    seen = signal.getsignal(signal.SIGUSR2), sys.getrecursionlimit(), hasattr(builtins, "mine"), locale.setlocale(locale.LC_ALL)
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)
    sys.setrecursionlimit(321)
    builtins.mine = 1
    locale.setlocale(locale.LC_ALL, "C.UTF-8")
    time.sleep(ms / 1000)
    return seen


def spawns(ms):
    import subprocess
    import time

    subprocess.Popen(["sleep", "5"])
    time.sleep(ms / 1000)


def reaps(ms):
    import subprocess

    subprocess.run(["sleep", str(ms / 1000)], check=True)


def leaves_a_daemon(ms):
    import subprocess
    import time

    subprocess.run(["sh", "-c", "setsid sleep 5 >/dev/null 2>&1 &"], check=True)
    time.sleep(ms / 1000)


def limits_and_fails_or_opens(fails):
    import os
    import resource

    if fails:
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
        raise ValueError("it failed")
    os.close(os.open("/dev/null", os.O_RDONLY))


def opens(ms):
    import os
    import sys

    os.close(os.open("/dev/null", os.O_RDONLY))
    return len(sys.path) > 0, "collections" in sys.modules, os is __import__("posixpath").os


def forgets_modules(ms):
    import sys

    sys.modules.clear()


def test_a_run_that_failed_leaves_nothing_to_the_next(executor):  # noqa: F811
    executor.function(1, by_value(limits_and_fails_or_opens))
    failed, well = executor.run(1, args(True)), executor.run(1, args(False))
    assert failed.message == "it failed" and not failed.flags & RECYCLE
    assert well.kind == 0, well.message


def test_modules_that_a_function_removed_are_there_for_another(executor):  # noqa: F811
    executor.function(1, by_value(forgets_modules))
    executor.function(2, by_value(opens))
    assert executor.run(1, args(0)).kind == 0
    assert pickle.loads(executor.run(2, args(0)).data) == (True, True, True)


@pytest.mark.parametrize("function, ms", [(moves, 2), (moves, 25), (handles, 25)])
def test_the_next_run_of_a_function_starts_as_the_first(executor, function, ms):  # noqa: F811
    first, second, recycle = twice(executor, function, ms)
    assert second == first and not recycle


@pytest.mark.parametrize("function", [spawns, leaves_a_daemon])
def test_a_process_left_behind_means_recycling(executor, function):  # noqa: F811
    assert twice(executor, function, 2)[2] == RECYCLE


def test_a_process_that_was_waited_for_does_not(executor):  # noqa: F811
    assert twice(executor, reaps, 2)[2] == 0

"""What a task finds around it, and what of it is there for the next one."""

import json
import os
import pickle
import struct

import cloudpickle
import pytest

from harness import CONCURRENT, PROGRESS, RESULT, ROOT, STARTED, Zygote


@pytest.fixture(scope="module")
def zygote():
    one = Zygote()
    yield one
    one.close()


def args(*values):
    return pickle.dumps((values, {}))


def by_value(function):
    cloudpickle.register_pickle_by_value(__import__(__name__))
    return cloudpickle.dumps(function)


def value(executor, *values, number=1):
    result = executor.run(number, args(*values))
    assert result.kind == 0, (result.kind, result.message)
    return pickle.loads(result.data)


def make(kind):
    import os
    import shutil

    folder = os.environ["TMPDIR"]
    before = os.listdir(folder)
    if kind == "files":
        os.makedirs(folder + "/a/b/c")
        open(folder + "/a/b/file", "w").close()
        os.symlink("/", folder + "/a/root")
        os.symlink("/no/such", folder + "/link")
    if kind == "none at all":
        shutil.rmtree(folder)
    return before


def test_the_temporary_folder_is_empty_for_each_task(zygote, tmp_path):
    folder = tmp_path / "1"
    executor = zygote.spawn(tmp=str(folder))
    executor.function(1, by_value(make))
    for kind in ("", "files", "files", "", "files", ""):
        assert value(executor, kind) == []
        assert list(folder.iterdir()) == [], "before the result was sent"
    executor.leave()
    executor.wait()
    assert not folder.exists()


def test_a_task_that_removes_its_temporary_folder_ends_its_process(zygote, tmp_path):
    executor = zygote.spawn(tmp=str(tmp_path / "1"))
    executor.function(1, by_value(make))
    result = executor.run(1, args("none at all"))
    assert result.kind == 0 and result.flags & 1, "it asks to be replaced"
    executor.kill()


def test_environment_and_secrets(zygote, tmp_path):
    def look(change):
        import os

        found = [os.environ.get(name) for name in ("MODE", "TOKEN")]
        if change:
            os.environ["MODE"] = "changed"
            os.environ["LEFT"] = "behind"
        return found, "LEFT" in os.environ

    (tmp_path / "TOKEN").write_text("first\n")
    around = json.dumps({"env": {"MODE": "fast"}, "secrets": ["TOKEN"]})
    executor = zygote.spawn(surroundings=around, secrets_dir=str(tmp_path))
    executor.function(1, by_value(look))
    assert value(executor, True) == (["fast", "first"], True)
    (tmp_path / "TOKEN").write_text("second")
    assert value(executor, False) == (["fast", "second"], False)
    (tmp_path / "TOKEN").unlink()
    result = executor.run(1, args(False))
    assert result.kind == 10 and "TOKEN" in result.message and "second" not in result.message
    executor.kill()
    executor = zygote.spawn()
    executor.function(1, by_value(look))
    assert value(executor, False) == ([None, None], False)
    executor.kill()


def test_values_of_secrets_are_not_in_failures(zygote, tmp_path):
    def fails():
        import os

        raise ValueError("with " + os.environ["TOKEN"])

    (tmp_path / "TOKEN").write_text("pa55word")
    executor = zygote.spawn(surroundings=json.dumps({"secrets": ["TOKEN"]}), secrets_dir=str(tmp_path))
    executor.function(1, by_value(fails))
    result = executor.run(1, args())
    assert result.kind == 1 and result.message == "with [secret TOKEN]"
    assert b"pa55word" not in result.data and "pa55word" not in result.traceback
    executor.kill()


def test_a_fork_that_comes_back_from_the_function_sends_nothing(zygote):
    def forks(how):
        import os

        pid = os.fork()
        if how == "raise":
            raise ValueError("both")
        return pid > 0

    executor = zygote.spawn()
    executor.function(1, by_value(forks))
    executor.function(2, by_value(os.getpid))
    for how, kind in (("return", 0), ("raise", 1)):
        result = executor.run(1, args(how))
        assert result.kind == kind
        assert value(executor, number=2) == executor.pid
    with pytest.raises(TimeoutError):
        executor.frame(0.3)
    executor.kill()


def test_a_task_knows_itself_without_our_package(zygote):
    def who(what):
        import time

        import treadle

        task = treadle.current_task()
        if what == "log":
            treadle.log("half", "done")
        if what == "missing":
            import treadle.client
        return task.id, task.attempt, task.cancelled, task.deadline and task.deadline - time.time(), repr(task)

    executor = zygote.spawn()
    executor.function(1, by_value(who))
    for number in (1, 2):
        identity = f"00000000-0000-0000-0000-00000000000{number}"
        assert value(executor, "") == (identity, 1, False, None, f"<treadle task {identity}, attempt 1>")
    executor.tasks(1, [args("log")], time_limit_ms=5000)
    identity, _, _, left, _ = pickle.loads(executor.results(1)[0].data)
    assert 4 < left <= 5 and executor.read(executor.out).split(executor.mark)[0].endswith(b" half done\n")
    result = executor.run(1, args("missing"))
    assert (result.kind, result.type) == (1, "ModuleNotFoundError")
    executor.kill()


def test_a_task_knows_itself_with_our_package(zygote):
    def who():
        import treadle

        return treadle.current_task().id, treadle.__file__

    executor = zygote.spawn(paths=[str(ROOT / "python")])
    executor.function(1, by_value(who))
    identity, file = value(executor)
    assert identity.endswith("-000000000001") and file == str(ROOT / "python/treadle/__init__.py")
    executor.kill()


def test_a_task_that_is_asked_to_end_can_see_it(zygote):
    def waits():
        import time

        import treadle

        seen = [treadle.current_task().cancelled]
        try:
            print("ready", flush=True)
            time.sleep(60)
        except SystemExit:
            seen.append(treadle.current_task().cancelled)
        return seen

    executor = zygote.spawn()
    executor.function(1, by_value(waits))
    executor.tasks(1, [args()])
    while b"ready" not in executor.read(executor.out):
        pass
    executor.kill(15)
    assert pickle.loads(executor.results(1)[0].data) == [False, True]
    executor.function(2, by_value(lambda: __import__("treadle").current_task().cancelled))
    assert value(executor, number=2) is False, "another task"
    executor.kill()


def progress_of(executor):
    """(ppm, note) of each PROGRESS frame, and the result that ends them."""
    told = []
    while True:
        kind, seq, body = executor.frame()
        if kind == RESULT:
            return told, body
        assert kind == PROGRESS and seq == executor.seq
        told.append((struct.unpack_from("<iI", body), body[8:].decode()))


def test_a_task_tells_how_far_it_is(zygote):
    def tells(calls):
        import treadle

        for call in calls:
            treadle.progress(*call)

    executor = zygote.spawn()
    executor.function(1, by_value(tells))
    executor.tasks(1, [args([(0.25, "loading"), (None,), (1, "é" * 1000)])])
    told, result = progress_of(executor)
    assert result.kind == 0
    assert told == [((250_000, 0), "loading"), ((-1, 0), ""), ((1_000_000, 0), "é" * 512)]
    for wrong in (1.5, -0.1, float("nan"), "half"):
        result = executor.run(1, args([(wrong,)]))
        assert (result.kind, result.type) == (1, "ValueError")
        assert result.message == f"progress takes a fraction from 0 to 1, or None; it was given {wrong!r}"
    executor.kill()


def test_what_a_task_tells_too_often_is_dropped(zygote):
    def tells():
        import time

        import treadle

        for i in range(10_000):
            treadle.progress(i / 10_000)
        time.sleep(0.25)
        treadle.progress(1)

    executor = zygote.spawn()
    executor.function(1, by_value(tells))
    for _ in range(2):
        executor.tasks(1, [args()])
        told, result = progress_of(executor)
        assert result.kind == 0
        assert [ppm for (ppm, _), _ in told[:20]] == [i * 100 for i in range(20)]
        assert 21 <= len(told) <= 25 and told[-1][0][0] == 1_000_000
    executor.kill()


def test_threads_signal_handlers_and_forks_may_tell_of_progress(zygote):
    def tells():
        import os
        import signal
        import threading

        import treadle

        stop = threading.Event()
        signal.signal(signal.SIGALRM, lambda *_: treadle.progress(0.5, "handler"))
        signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
        threads = [threading.Thread(target=lambda: [treadle.progress(0.1, "thread") for _ in range(3000)]) for _ in range(3)]
        for thread in threads:
            thread.start()
        if os.fork() == 0:
            treadle.progress(0.9, "child")
            os._exit(0)
        os.wait()
        for thread in threads:
            thread.join()
        signal.setitimer(signal.ITIMER_REAL, 0)
        return b"x" * 900_000

    executor = zygote.spawn()
    executor.function(1, by_value(tells))
    for _ in range(3):
        executor.tasks(1, [args()])
        told, result = progress_of(executor)
        assert result.kind == 0 and pickle.loads(result.data) == b"x" * 900_000
        assert told and {note for _, note in told} <= {"thread", "handler"}
    executor.kill()


def test_tasks_side_by_side_tell_each_of_themselves(zygote):
    async def tells(note):
        import asyncio

        import treadle

        await asyncio.sleep(0.02)
        treadle.progress(0.5, note)
        await asyncio.sleep(0.02)

    executor = zygote.spawn()
    executor.function(1, by_value(tells))
    executor.tasks(1, [args("first")])
    assert executor.frame()[:2] == (STARTED, 1)
    executor.tasks(1, [args("second")], flags=CONCURRENT)
    frames = [executor.frame() for _ in range(4)]
    assert sorted((seq, body[8:]) for kind, seq, body in frames if kind == PROGRESS) == [(1, b"first"), (2, b"second")]
    executor.kill()


def test_values_of_secrets_are_not_in_notes(zygote, tmp_path):
    def tells():
        import os

        import treadle

        treadle.progress(0, "with " + os.environ["TOKEN"])

    (tmp_path / "TOKEN").write_text("pa55word")
    executor = zygote.spawn(surroundings=json.dumps({"secrets": ["TOKEN"]}), secrets_dir=str(tmp_path))
    executor.function(1, by_value(tells))
    executor.tasks(1, [args()])
    assert progress_of(executor)[0] == [((0, 0), "with [secret TOKEN]")]
    executor.kill()

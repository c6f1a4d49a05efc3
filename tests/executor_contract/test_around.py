"""What a task finds around it, and what of it is there for the next one."""

import json
import os
import pickle

import cloudpickle
import pytest

from harness import ROOT, Zygote


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

"""What a task finds around it: its folder, a folder for temporary files, its environment, its secrets."""

import os
import pathlib
import uuid

import pytest

from server import eventually, run
from v1 import V1


def look(*names):
    import os

    return {name: os.environ.get(name) for name in names}


def make_files():
    import os
    import tempfile
    import time

    folder = tempfile.gettempdir()
    before = os.listdir(folder)
    kept = tempfile.NamedTemporaryFile(delete=False)
    inner = tempfile.mkdtemp()
    os.makedirs(os.path.join(inner, "a", "b"))
    time.sleep(0.001)
    return folder, before, [kept.name, inner], os.getpid()


def test_functions_run_where_the_worker_says(serve, tmp_path):
    work = tmp_path / "work"
    work.mkdir()
    (work / "beside.py").write_text("value = 41")

    def where():
        import os

        import beside

        return os.getcwd(), beside.value

    server = serve("-w", 1, "--cwd", work)
    function_id = server.register(where)
    assert tuple(server.value(server.execute(function_id))) == (str(work), 41)
    code, _, err = run("serve", "--port", 0, "--cwd", tmp_path / "nowhere")
    assert code == 2 and "nowhere" in err, err


def test_temporary_files_are_of_the_task_alone_and_go_with_it(serve, tmp_path):
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    server = serve("-w", 1, env={"TMPDIR": temporary})
    function_id = server.register(make_files)
    pids = set()
    for _ in range(20):
        folder, before, made, pid = server.value(server.execute(function_id))
        assert before == [] and pathlib.Path(folder).is_relative_to(temporary)
        assert all(pathlib.Path(path).parent == pathlib.Path(folder) for path in made)
        assert not any(os.path.exists(path) for path in made)
        pids.add(pid)
    assert len(pids) == 1, "the process is not replaced for that"


@pytest.mark.parametrize("death", ["os._exit(3)", "os.kill(os.getpid(), 9)", "time.sleep(60)"])
def test_temporary_files_of_the_dead_go_too(serve, tmp_path, death):
    temporary = tmp_path / "tmp"
    temporary.mkdir()

    def dies(death):
        import os
        import tempfile
        import time

        for _ in range(100):
            os.makedirs(os.path.join(tempfile.mkdtemp(), "deep", "deeper"))
        exec(death, {"os": os, "time": time})

    server = serve("-w", 1, env={"TMPDIR": temporary})
    v1 = V1(server)
    task = v1.ended(v1.submit(v1.register(dies, time_limit=0.3, max_attempts=1), death))
    assert task["status"] == "FAILED"
    (base,) = temporary.glob("treadle-tasks.*")
    assert eventually(lambda: not list(base.glob("*/*")), 5), list(base.glob("*/*"))
    server.stop()
    assert list(temporary.glob("treadle-tasks.*")) == []


def test_a_killed_worker_leaves_a_folder_that_the_next_one_removes(serve, tmp_path):
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    server = serve("-w", 1, env={"TMPDIR": temporary})
    server.value(server.execute(server.register(make_files)))
    (old,) = temporary.glob("treadle-tasks.*")
    server.kill()
    server.assert_gone()
    assert old.exists()
    server.start()
    assert not old.exists() and len(list(temporary.glob("treadle-tasks.*"))) == 1


@pytest.mark.cells("sqlite-local", "sqlite-push", "redis-push")
def test_environment_of_function_and_call(server):
    v1 = V1(server)
    function_id = v1.register(look, env={"MODE": "fast", "WHO": 'the "function"\n', "PATH": "/bin"})
    names = ["MODE", "WHO", "ONLY", "PATH"]
    of_function = {"MODE": "fast", "WHO": 'the "function"\n', "ONLY": None, "PATH": "/bin"}
    assert v1.value(v1.submit(function_id, *names)) == of_function
    task_id = v1.submit(function_id, *names, options={"env": {"ONLY": "here", "MODE": "slow"}})
    assert v1.value(task_id) == {**of_function, "MODE": "slow", "ONLY": "here"}
    assert v1.value(v1.submit(function_id, *names)) == of_function
    assert v1.task(task_id)["options"]["env"] == {"MODE": "slow", "WHO": 'the "function"\n', "PATH": "/bin", "ONLY": "here"}
    assert v1.value(v1.submit(v1.register(look), "MODE", "ONLY")) == {"MODE": None, "ONLY": None}


def test_credentials_of_the_worker_are_not_the_functions(serve):
    server = serve("-w", 1, env={"TREADLE_CAPACITY_TOKEN": "5ecret", "MINE": "kept"})
    assert server.run(look, "TREADLE_CAPACITY_TOKEN", "MINE") == {"TREADLE_CAPACITY_TOKEN": None, "MINE": "kept"}


def use_secret(how):
    import os

    value = os.environ["DB_PASSWORD"]
    print("connected")
    if how == "raise":
        raise ValueError(f"no access with {value}")
    return len(value)


def test_secrets_are_read_for_each_task_and_kept_nowhere(serve, tmp_path):
    folder = tmp_path / "secrets"
    folder.mkdir()
    values = ["s3cret-" + uuid.uuid4().hex, "0ther-" + uuid.uuid4().hex]
    server = serve("-w", 2, "--secrets-dir", folder)
    v1 = V1(server)
    function_id = v1.register(use_secret, secrets=["DB_PASSWORD"])
    (folder / "DB_PASSWORD").write_text(values[0] + "\n")
    assert v1.value(v1.submit(function_id, "use")) == len(values[0])
    (folder / "DB_PASSWORD").write_text(values[1])
    assert v1.value(v1.submit(function_id, "use")) == len(values[1])
    failed = v1.ended(v1.submit(function_id, "raise"))
    assert "no access with [secret DB_PASSWORD]" in failed["error"]["message"], failed["error"]
    assert failed["options"]["secrets"] == ["DB_PASSWORD"]
    plain = server.register(look)
    assert server.value(server.execute(plain, "DB_PASSWORD")) == {"DB_PASSWORD": None}
    answers = [server.call("GET", path).body for path in (
        f"/v1/functions/{function_id}", f"/v1/tasks/{failed['task_id']}?result=1", f"/v1/tasks/{failed['task_id']}/logs",
        f"/result/{failed['task_id']}", "/v1/tasks", "/metrics", "/v1/workers")]  # fmt: skip
    server.stop()
    files = [path for path in [*server.data.rglob("*"), server.log_path] if path.is_file()]
    assert len(files) >= 2 and len(server.log()) > 100
    for value in values:
        found = [str(path) for path in files if value.encode() in path.read_bytes()]
        assert not found and not any(value.encode() in bytes(answer) for answer in answers), found


@pytest.mark.parametrize(
    "flags, words",
    [((), "--secrets-dir"), (("--secrets-dir", "{folder}"), "cannot be read in the worker's --secrets-dir: No such file")],
)
def test_a_secret_that_is_not_there_is_named(serve, tmp_path, flags, words):
    v1 = V1(serve("-w", 1, *(flag.format(folder=tmp_path) for flag in flags)))
    error = v1.ended(v1.submit(v1.register(use_secret, secrets=["DB_PASSWORD"]), "use"))["error"]
    assert error["kind"] == "EnvironmentFailed" and "DB_PASSWORD" in error["message"] and words in error["message"], error


@pytest.mark.parametrize(
    "options, words",
    [
        ({"env": {"1A": "x"}}, "env"),
        ({"env": {"A": 1}}, "env"),
        ({"env": {"A": "a\0b"}}, "env"),
        ({"env": {"TREADLE_STORE": "x"}}, "TREADLE_"),
        ({"env": {"A": "x" * 20000}}, "16384"),
        ({"secrets": ["../etc/passwd"]}, "secrets"),
        ({"secrets": "A"}, "secrets"),
    ],
)
def test_bad_surroundings_are_refused_with_a_sentence(server, options, words):
    body = {"name": "f", "payload": "gASVFQAAAAAAAACMCV9vcGVyYXRvcpSMA2FkZJSTlC4=", "options": options}
    V1(server).problem(400, "invalid-request", words, "POST", "/v1/functions", body)

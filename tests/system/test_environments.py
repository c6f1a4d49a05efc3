"""Functions with requirements: each runs in an environment of its own, which is built once, from a wheelhouse here."""

import json
import os
import pathlib
import time
import zipfile

import pytest

from server import PATIENCE, eventually
from v1 import V1


def wheel(folder, name, version, code):
    """A wheel as pip takes it, made by hand."""
    facts = f"{name}-{version}.dist-info"
    files = {
        f"{name}.py": code,
        f"{facts}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{facts}/WHEEL": "Wheel-Version: 1.0\nGenerator: by hand\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{path},,\n" for path in [*files, f"{facts}/RECORD"])
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as archive:
        for path, text in {**files, f"{facts}/RECORD": record}.items():
            archive.writestr(path, text)


@pytest.fixture(scope="module")
def wheels(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheels")
    wheel(folder, "treadle_tiny", "1.0", "WHICH = 'one'\n")
    wheel(folder, "treadle_tiny", "2.0", "WHICH = 'two'\n")
    wheel(folder, "treadle_other", "1.0", "WHICH = 'other'\n")
    return folder


@pytest.fixture
def begin(serve, wheels, tmp_path):
    def start(*flags):
        v1 = V1(serve("-w", 2, "--wheelhouse", wheels, "--env-cache", tmp_path / "cache", *flags))
        v1.cache = tmp_path / "cache"
        return v1

    return start


def test_a_folder_that_others_may_write_to_is_refused(begin, tmp_path):
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache").chmod(0o777)
    v1 = begin()
    task = v1.ended(v1.submit(v1.register(which, requirements=["treadle_tiny==1.0"])))
    assert task["error"]["kind"] == "EnvironmentFailed" and os.listdir(v1.cache) == [], task
    assert "is not this user's alone" in json.dumps(task), task


def which(name="treadle_tiny"):
    import importlib
    import os
    import sys

    try:
        return importlib.import_module(name).WHICH, sys.prefix, os.getpid()
    except ImportError:
        return None, sys.prefix, os.getpid()


def quick():
    return "quick"


def built(v1):
    return sorted(json.loads(path.read_text())["requirements"] for path in v1.cache.glob("*.json"))


@pytest.mark.slow
def test_each_function_runs_in_its_own(begin):
    v1 = begin()
    two = v1.register(which, requirements=["treadle_tiny==2.0"])
    one = v1.register(which, requirements=["treadle_tiny==1.0"])
    plain, other = v1.register(which), v1.register(quick)
    waiting = [v1.submit(function_id) for function_id in (two, one, two, one, two)]
    begun = time.monotonic()
    assert v1.value(v1.submit(other)) == "quick" and v1.value(v1.submit(plain))[0] is None
    while_it_builds = time.monotonic() - begun
    assert len(built(v1)) == 0, "it has taken long enough to be seen"
    assert while_it_builds < 3 * PATIENCE
    assert v1.task(waiting[0])["status"] == "QUEUED", "it holds no slot"
    values = [v1.value(task_id) for task_id in waiting]
    assert [value[0] for value in values] == ["two", "one", "two", "one", "two"]
    assert {value[1] for value in values} == {str(path) for path in v1.cache.iterdir() if path.is_dir()}
    assert built(v1) == [["treadle_tiny==1.0"], ["treadle_tiny==2.0"]]
    again = v1.register(which, requirements=["treadle_tiny==2.0", "treadle_tiny==2.0"])
    assert v1.value(v1.submit(again))[1] == values[0][1], "equal requirements are one environment"
    assert v1.value(v1.submit(plain))[0] is None
    task = v1.task(waiting[0])
    assert task["options"]["requirements"] == ["treadle_tiny==2.0"]
    # Another server finds what is there.
    v1.server.kill()
    log = v1.server.log()
    assert log.count("environment.building") == log.count("environment.built") == 2, log
    v1 = begin()
    begun = time.monotonic()
    assert v1.value(v1.submit(v1.register(which, requirements=["treadle_tiny==1.0"])))[0] == "one"
    assert built(v1) == [["treadle_tiny==1.0"], ["treadle_tiny==2.0"]]


@pytest.mark.slow
def test_one_that_cannot_be_built_fails_its_tasks_with_the_log(begin):
    v1 = begin()
    function_id = v1.register(which, requirements=["treadle_nowhere"])
    tasks = [v1.submit(function_id) for _ in range(3)]
    for task_id in tasks:
        task = v1.ended(task_id, 60)
        assert task["error"]["kind"] == "EnvironmentFailed" and task["error"]["ended_by"] == "service", task["error"]
        assert "No matching distribution found for treadle_nowhere" in task["output"], task
        log = pathlib.Path(task["error"]["message"].partition("the log is ")[2].partition(" on its")[0])
        assert "treadle_nowhere" in log.read_text()
    assert v1.server.log().count("environment.building") == 1
    assert v1.value(v1.submit(v1.register(quick))) == "quick"


@pytest.mark.slow
def test_the_least_recently_used_are_evicted(begin):
    """Each has some 50 KiB; two fit."""
    v1 = begin("--env-cache-size", 130_000)
    names = ["treadle_tiny==1.0", "treadle_tiny==2.0", "treadle_other"]
    functions = [v1.register(which, requirements=[name]) for name in names]
    assert v1.value(v1.submit(functions[0]))[0] == "one"
    first = [path for path in v1.cache.iterdir() if path.is_dir()]
    # While its warm process lives, nobody takes it away: it is ended, as a machine that is started anew would.
    zygotes = [pid for pid, line in v1.server.survivors() if line.startswith(str(first[0]))]
    for pid in zygotes:
        os.kill(pid, 9)
    assert eventually(lambda: not set(zygotes) & {pid for pid, _ in v1.server.survivors()}, 5)
    assert v1.value(v1.submit(functions[1]))[0] == "two"
    assert v1.value(v1.submit(functions[2], "treadle_other"))[0] == "other"
    assert eventually(lambda: not first[0].exists(), 5), list(v1.cache.iterdir())
    assert built(v1) == [["treadle_other"], ["treadle_tiny==2.0"]], "those in use are there"
    assert v1.value(v1.submit(functions[0]))[0] == "one", "it is built again"


def test_requirements_are_looked_at(v1):
    import wire

    for wrong in ("numpy", [1], ["--index-url=http://x"], [""], ["a\nb"], ["x" * 257], ["x"] * 65):
        body = {"name": "f", "payload": wire.text(wire.as_main(quick)), "options": {"requirements": wrong}}
        v1.problem(400, "invalid-request", "requirements", "POST", "/v1/functions", body)


@pytest.fixture(scope="module")
def v1(server):
    return V1(server)

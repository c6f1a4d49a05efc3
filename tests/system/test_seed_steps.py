"""The steps of the seed's report, in its order, as it writes them: separate programs, a task through each mode."""

import os
import pathlib
import socket
import sys

import pytest

import wire
from client import Client
from program import Program, Redis, folder
from server import BIN

BESIDE = pathlib.Path(BIN).parent
PYTHON = ("--python", sys.executable)


def double(x):
    import os

    return x * 2, os.getppid()


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@pytest.fixture
def steps(tmp_path):
    """begin(name, *argv): a program of the test, in one folder; ended after it, the last one first."""
    begun = []

    def begin(name, *argv, **options):
        begun.append(Program(folder(tmp_path, name), name, *argv, **options))
        return begun[-1].start()

    yield begin
    for program in reversed(begun):
        program.kill()


@pytest.fixture
def redis(tmp_path):
    one = Redis(folder(tmp_path, "redis"), port=free_port()).start()
    yield one
    one.close()


def test_the_links_are_beside_the_binary():
    for name in ("task_dispatcher", "push_worker", "pull_worker"):
        assert os.path.samefile(BESIDE / name, BIN), name


def test_the_steps_of_the_seed(redis, steps):
    store = {"TREADLE_STORE": redis.url}  # the seed's programs know one Redis, on the usual port; here it has another
    service = Client()
    gateway = steps("gateway", "gateway", "--port", 0, env=store)
    service.port = int(gateway.says(r"listening on http://[^\s]*:(\d+)")[1])
    page = service.get("/docs")
    assert page.status == 200 and "swagger" in page.body.decode().lower()
    function_id = service.register(double, "double")

    local = steps("local", f"{BESIDE}/task_dispatcher", "-m", "local", "-w", 4, *PYTHON, env=store)
    assert local.says(r"local mode, (\d+) slots")[1] == "4"
    assert service.value(service.execute(function_id, 1))[0] == 2
    assert local.stop() == 0

    ran_below = set()
    for n, (mode, flags) in enumerate((("pull", ("-t", 12)), ("push", ()))):
        port = free_port()
        dispatcher = steps(mode, f"{BESIDE}/task_dispatcher", "-m", mode, "-p", port, *flags, env=store)
        dispatcher.says("dispatching")
        worker = steps(f"{mode}_worker", f"{BESIDE}/{mode}_worker", 4, f"tcp://localhost:{port}", *PYTHON)
        assert worker.says(rf"worker, {mode} mode, (\d+) slots")[1] == "4"
        value, parent = service.value(service.execute(function_id, 10 + n))
        assert value == 2 * (10 + n)
        ran_below.add(parent)
        assert worker.stop() == 0 and dispatcher.stop() == 0
    assert len(ran_below) == 2, "each mode ran its task in its own worker"
    assert gateway.stop() == 0
    assert redis.cli("get", "nothing") == "", "Redis is as alive as before"


def test_a_function_that_never_ends_under_the_seed_s_pull_dispatcher(redis, steps):
    """`-t` of the dispatcher, with the seed's three programs; the seed's suite uses 12 s, here it is 2."""

    def forever():
        while True:
            pass

    store, port = {"TREADLE_STORE": redis.url}, free_port()
    service = Client()
    gateway = steps("gateway", "gateway", "--port", 0, env=store)
    service.port = int(gateway.says(r"listening on http://[^\s]*:(\d+)")[1])
    steps("pull", f"{BESIDE}/task_dispatcher", "-m", "pull", "-p", port, "-t", 2, env=store).says("dispatching")
    steps("pull_worker", f"{BESIDE}/pull_worker", 1, f"tcp://localhost:{port}", *PYTHON)
    error = service.failure(service.execute(service.register(forever)), 20)
    assert "Worker Failure" in str(error) and error.error_code == 500
    assert service.value(service.execute(service.register(double), 4))[0] == 8

"""Fixtures of the system tests. `server` is shared by the tests of one process; `serve` starts more, with flags."""

import itertools
import os
import sys

import pytest

import cluster
import openapi
from cluster import Cluster
from fleet import Fleet
from program import Redis, folder
from server import BIN, Server


def pytest_configure(config):
    config.addinivalue_line(
        "markers",
        "cells(*names, slow=False): runs on these forms of the service, or on all six; slow: on some only with --all",
    )


def pytest_sessionfinish(session):
    """What a process of xdist has counted goes to the one that reports."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["openapi"] = [[*key, number] for key, number in openapi.COUNTS.items()]


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node):
    for name, status, number in getattr(node, "workeroutput", {}).get("openapi", []):
        openapi.COUNTS[name, status] += number


def pytest_terminal_summary(terminalreporter):
    if openapi.COUNTS:
        terminalreporter.write_line(openapi.summary(openapi.COUNTS))


def pytest_generate_tests(metafunc):
    """Each test that uses `server` or `serve` runs on a cell: the one-process default, or those that its mark names."""
    if "cell" not in metafunc.fixturenames:
        return
    mark = metafunc.definition.get_closest_marker("cells")
    names = (mark.args or cluster.ALL) if mark else [cluster.DEFAULT]
    few = mark and mark.kwargs.get("slow")
    if few:
        names = [name if name in cluster.FEW else pytest.param(name, marks=pytest.mark.slow) for name in names]
    metafunc.parametrize("cell", names, indirect=True, scope="session")


@pytest.fixture(scope="session")
def cell(request):
    """The form of the service: store and mode."""
    return request.param


@pytest.fixture(scope="session", autouse=True)
def binary():
    if not os.access(BIN, os.X_OK):
        pytest.exit(f"no binary at {BIN}: build it (./dev build), or set TREADLE_BIN", returncode=2)


@pytest.fixture(scope="session")
def server(tmp_path_factory, binary, cell):
    """A service with 4 slots that all tests of this process and cell share; it must outlive them all."""
    shared = start_cell(tmp_path_factory.mktemp("shared"), cell, "-w", 4)
    pids = pids_of(shared)
    try:
        yield shared
        assert shared.alive and pids_of(shared) == pids, f"the shared server has died:\n{shared.log()[-5000:]}"
    finally:
        shared.close()


def start_cell(home, cell, *flags, **options):
    if cell == cluster.DEFAULT:
        return Server(home, *flags, **options)
    return Cluster(home, cell, *flags, **options).start()


@pytest.fixture(scope="session")
def starter():
    """start_cell, for modules that keep a service for themselves; `from conftest` may find python/tests' one."""
    return start_cell


def pids_of(service):
    return [service.pid] if isinstance(service, Server) else service.pids()


@pytest.fixture
def serve(tmp_path, binary, cell):
    """serve(*flags, **options of Server): a service of the test's own, in a folder of its own; ended after the test."""
    started = []
    numbers = itertools.count()

    def start(*flags, **options):
        home = options.pop("home", None) or tmp_path / f"server{next(numbers)}"
        home.mkdir(exist_ok=True)
        one = start_cell(home, cell, *flags, **options)
        started.append(one)
        return one

    yield start
    for one in started:
        one.close()


@pytest.fixture
def runs(tmp_path):
    """A file to which functions append one line for each time that they run."""
    path = tmp_path / "runs"
    path.touch()

    class Runs:
        name = str(path)

        def lines(self):
            return path.read_text().splitlines()

        def words(self):
            return [line.split() for line in self.lines()]

        def count(self, first):
            """How many lines begin with this word."""
            return sum(words[0] == str(first) for words in self.words())

    return Runs()


@pytest.fixture(scope="session")
def clean_python():
    """clean_python(code, stdin text) -> stdout of an isolated interpreter with dill and nothing of this process."""
    import subprocess

    def run(code, given="", interpreter=sys.executable, flags=("-I",)):
        done = subprocess.run(
            [interpreter, *flags, "-c", code], input=given, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@pytest.fixture
def redis(tmp_path):
    """A Redis of the test's own."""
    one = Redis(folder(tmp_path, "redis")).start()
    yield one
    one.close()


@pytest.fixture
def fleet(tmp_path, redis, binary):
    """Gateways, dispatchers and workers on that Redis, as many as the test begins."""
    one = Fleet(tmp_path, redis)
    yield one
    one.close()

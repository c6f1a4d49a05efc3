"""Fixtures of the system tests. `server` is shared by the tests of one process; `serve` starts more, with flags."""

import itertools
import os
import sys

import pytest

from server import BIN, Server


def pytest_configure(config):
    config.addinivalue_line("markers", "sleepy: waits most of the time, so that many can run side by side")


@pytest.fixture(scope="session", autouse=True)
def binary():
    if not os.access(BIN, os.X_OK):
        pytest.exit(f"no binary at {BIN}: build it (./dev build), or set TREADLE_BIN", returncode=2)


@pytest.fixture(scope="session")
def server(tmp_path_factory, binary):
    """A server with 4 slots that all tests of this process share; it must outlive them all."""
    shared = Server(tmp_path_factory.mktemp("shared"), "-w", 4)
    pid = shared.pid
    try:
        yield shared
        assert shared.alive and shared.pid == pid, f"the shared server has died:\n{shared.log()[-5000:]}"
    finally:
        shared.close()


@pytest.fixture
def serve(tmp_path, binary):
    """serve(*flags, **options of Server): a server of the test's own, in a folder of its own; ended after the test."""
    started = []
    numbers = itertools.count()

    def start(*flags, **options):
        home = options.pop("home", None) or tmp_path / f"server{next(numbers)}"
        home.mkdir(exist_ok=True)
        one = Server(home, *flags, start=False, **options)
        started.append(one)
        return one.start()

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

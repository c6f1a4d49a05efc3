"""The package's tests run against the real server; how it is started is the business of tests/system.

With TREADLE_TEST_URL they run against a server that is there already, with two slots and `--path` of this folder's parent;
those that start, stop or kill one are left out.
"""

import os
import pathlib
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "tests" / "system"))
REMOTE = os.environ.get("TREADLE_TEST_URL")


def pytest_collection_modifyitems(config, items):
    if REMOTE:
        kept = [item for item in items if "new_server" not in item.fixturenames]
        config.hook.pytest_deselected(items=[item for item in items if item not in kept])
        items[:] = kept


@pytest.fixture(scope="session")
def url(tmp_path_factory):
    if REMOTE:
        yield REMOTE
        return
    from server import BIN, Server

    if not os.access(BIN, os.X_OK):
        pytest.exit(f"no binary at {BIN}: build it (./dev build), or set TREADLE_BIN", returncode=2)
    # Functions that submit tasks of their own import the package; those tests need a slot more than they hold.
    server = Server(tmp_path_factory.mktemp("sdk"), "-w", 2, "--path", HERE.parent)
    yield server.url
    server.close()


@pytest.fixture
def new_server(tmp_path):
    """A server of the test's own, that may be killed and started again."""
    from server import Server

    server = Server(tmp_path, "-w", 1)
    yield server
    server.close()


class Gate:
    """Calls of until(gate.path, ...) run until the gate is opened: no test hangs on how long something takes."""

    def __init__(self, path):
        self.path = str(path)

    def open(self):
        with open(self.path, "w"):
            pass


@pytest.fixture
def gate(tmp_path):
    one = Gate(tmp_path / "gate")
    yield one
    one.open()


@pytest.fixture
def client(url):
    from treadle import Client

    with Client(url) as one:
        yield one


@pytest.fixture
def pool(url):
    from treadle import Executor

    with Executor(url) as one:
        yield one

"""Functions pickled by reference: the gateway takes what it cannot import, and the executor finds it."""

import struct
import sys
import textwrap

import pytest

import wire

pytestmark = pytest.mark.cells


def reference(module, name, protocol):
    """The pickle of a function of a module, without that module."""
    if protocol < 4:
        return b"\x80" + bytes([protocol]) + f"c{module}\n{name}\nq\x00.".encode()
    body = (
        b"".join(b"\x8c" + struct.pack("<B", len(word)) + word.encode() + b"\x94" for word in (module, name))
        + b"\x93\x94."
    )
    return b"\x80" + bytes([protocol]) + b"\x95" + struct.pack("<Q", len(body)) + body


def write_suite(folder):
    """A folder as a client's test suite has it: a package `tests` with a function in a test module."""
    package = folder / "tests"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "test_webservice.py").write_text(textwrap.dedent("""
        FACTOR = 2

        def double(x):
            return x * FACTOR

        class Number:
            def __init__(self, n):
                self.n = n
    """))
    return folder


@pytest.mark.parametrize("way", ["--path", "PYTHONPATH", "cwd"])
def test_module_is_found(serve, tmp_path, way):
    if way == "cwd":
        server = serve("-w", 1, home=write_suite(tmp_path / "home"))
    elif way == "PYTHONPATH":
        server = serve("-w", 1, env={"PYTHONPATH": write_suite(tmp_path / "code")})
    else:
        (tmp_path / "other").mkdir()
        server = serve("-w", 1, "--path", tmp_path / "other", "--path", write_suite(tmp_path / "code"))
    for protocol in (2, 3, 4, 5):
        function_id = server.register(reference("tests.test_webservice", "double", protocol))
        assert server.value(server.execute(function_id, 21)) == 42
    # A class by reference, called as a function; its instance refers to the module again.
    task_id = server.execute(server.register(reference("tests.test_webservice", "Number", 4)), 7)
    status, result = server.finished(task_id)
    assert status == "COMPLETED" and b"tests.test_webservice" in wire.bare(result)


def test_missing_module_is_named(server):
    function_id = server.register(reference("no_such_module_here", "double", 2))
    error = server.failure(server.execute(function_id, 21))
    assert isinstance(error, ModuleNotFoundError)
    for word in ("no_such_module_here", sys.executable, "--path"):
        assert word in str(error), str(error)


def test_import_inside_a_function_that_misses_a_module(server):
    def use():
        import another_missing_module

        return another_missing_module

    error = server.failure(server.execute(server.register(use)))
    assert isinstance(error, ModuleNotFoundError) and "another_missing_module" in str(error)


def test_missing_name_in_a_module(server):
    function_id = server.register(reference("string", "no_such_function", 4))
    error = server.failure(server.execute(function_id))
    assert isinstance(error, (AttributeError, ImportError)) and "no_such_function" in str(error)


def test_files_of_the_user_do_not_shadow_ours(serve, tmp_path):
    """A folder full of names that the executor or the standard library uses, as students have it."""
    home = tmp_path / "home"
    home.mkdir()
    for name in (
        "queue",
        "random",
        "json",
        "types",
        "socket",
        "pickle",
        "dill",
        "struct",
        "traceback",
        "logging",
        "io",
    ):
        (home / f"{name}.py").write_text("raise RuntimeError('the file of the user was imported')\n")
    for name in ("utils", "app", "client", "worker", "treadle", "serialize"):
        (home / f"{name}.py").write_text(f"WHO = 'the user\\'s {name}'\n")

    def whose():
        import app
        import client
        import serialize
        import utils
        import worker

        return [m.WHO for m in (utils, app, client, worker, serialize)]

    server = serve("-w", 1, home=home)
    assert server.run(whose) == [f"the user's {name}" for name in ("utils", "app", "client", "worker", "serialize")]

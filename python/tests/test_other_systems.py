"""Clients on systems that are not Linux: the package, and its tests, without what only Unix has."""

import os
import pathlib
import re
import subprocess
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent
PARTS = ("test_client.py", "test_executor.py", "test_values.py", "test_asyncio.py", "test_joblib.py")  # what needs no server of its own
LEAST = 80  # tests in them that need none


def without_unix(*command, url, **more):
    env = {key: value for key, value in os.environ.items() if not key.startswith(("TREADLE", "PYTEST"))}
    path = os.pathsep.join([str(HERE.parent), str(HERE)])
    return subprocess.run(
        [sys.executable, *command], env={**env, "PYTHONPATH": path, **more}, cwd=HERE.parents[1], capture_output=True, text=True, timeout=280
    )


def test_the_import_asks_for_nothing_of_unix(url):
    """Neither it nor a first call: not even in vain."""
    done = without_unix(
        "-c",
        "import asyncio, concurrent.futures, http.client, cloudpickle, without_unix\n"
        "asked = without_unix.Missing.asked\nasked.clear()\n"  # the standard library asks, and does without
        "import treadle, treadle.cli\n"
        f"with treadle.Executor({url!r}) as pool:\n"
        "    print(pool.submit(lambda x: x + 1, 41).result(60), list(pool.map(abs, [-1, 2], chunksize=2)), sorted(asked))\n",
        url=url,
    )
    assert done.stdout == "42 [1, 2] []\n", done.stderr


@pytest.mark.serial
def test_the_tests_pass_without_unix(url):
    """Against a server that is elsewhere, as for a client on Windows."""
    command = ["-m", "pytest", "-q", "-p", "without_unix", "-p", "no:xdist", "-p", "no:cacheprovider", "--timeout", "250"]
    done = without_unix(*command, *(str(HERE / part) for part in PARTS), url=url, TREADLE_TEST_URL=url)
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]
    counts = {what: int(n) for n, what in re.findall(r"(\d+) (passed|failed|skipped|deselected|error)", done.stdout.splitlines()[-1])}
    assert counts["passed"] >= LEAST and set(counts) <= {"passed", "deselected"}, counts


def test_the_command_line_without_unix(url):
    """doctor looks for open files only where there is such a limit."""
    verb = "import sys, without_unix\nfrom treadle.cli import main\nsys.exit(main(sys.argv[1:]))"
    done = without_unix("-c", verb, "workers", "--url", url, "--json", url=url)
    assert done.returncode == 0 and '"slots"' in done.stdout, done.stderr
    done = without_unix("-c", verb, "doctor", "--url", url, url=url)
    assert done.returncode == 0 and "server" in done.stdout and "open files" not in done.stdout, done.stdout + done.stderr

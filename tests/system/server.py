"""One `treadle serve` under test: started on a free port, stopped or killed, and searched for after its death.

TREADLE_BIN (or TREADLE) names the binary, default build/treadle. TREADLE_TEST_PATIENCE multiplies the times to wait
(sanitizer builds).
"""

import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import time
import uuid

import wire
from client import PATIENCE, Client, eventually

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = os.path.abspath(os.environ.get("TREADLE_BIN") or os.environ.get("TREADLE") or ROOT / "build" / "treadle")


def clean_env(**extra):
    """The environment without anything that would configure the server or its Python."""
    env = {k: v for k, v in os.environ.items() if not k.startswith(("TREADLE", "PYTHON", "PYTEST", "COV_"))}
    env.update({k: str(v) for k, v in extra.items()})
    return env


def run(*argv, seconds=20, cwd=None, env=None):
    """The binary with these arguments, to its end. Returns (exit code, stdout, stderr)."""
    done = subprocess.run(
        [BIN, *map(str, argv)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=seconds * PATIENCE,
        cwd=cwd,
        env=env or clean_env(),
    )
    return done.returncode, done.stdout, done.stderr


class StartFailed(AssertionError):
    pass


class Tree:
    """Processes that carry one mark in their environment, as everything does that they start."""

    mark = None

    def survivors(self):
        """(pid, command line) of each living process of the tree, found by the mark in its environment."""
        return list(marked(self.mark))

    def assert_gone(self, seconds=1.0):
        """Nothing of the tree is left after so many seconds."""
        eventually(lambda: not self.survivors(), seconds, every=0.01)
        assert self.survivors() == []

    def sweep(self, seconds=2):
        """Ends what is left after so many seconds."""
        eventually(lambda: not self.survivors(), seconds)
        for pid, _ in self.survivors():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass


class Server(Tree, Client):
    """`flags` are further flags of serve. `home` is its working directory and holds `data` and the log."""

    def __init__(self, home, *flags, python=sys.executable, env=None, wrap=(), data=None, port=0, start=True):
        self.home = pathlib.Path(home)
        self.data = pathlib.Path(data) if data else self.home / "data"
        self.mark = uuid.uuid4().hex
        self.log_path = self.home / "serve.log"
        self.wanted_port = port  # may be changed before a start; 0 = any free one
        self._argv = [*wrap, BIN, "serve", "--data-dir", str(self.data), "--python", python, *map(str, flags)]
        self._env = clean_env(**(env or {}), TREADLE_TEST_MARK=self.mark)
        self.process = None
        self.port = None
        if start:
            self.start()

    # -- life --------------------------------------------------------------------------------------------------------

    def start(self):
        """Returns when /readyz says yes. The log goes on in the same file."""
        assert self.process is None
        begun = self.log_path.stat().st_size if self.log_path.exists() else 0
        self.exec_time = time.monotonic()
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                [*self._argv, "--port", str(self.wanted_port)],
                cwd=self.home,
                env=self._env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.port = eventually(lambda: self._listening(begun), 20, every=0.005)
        if not self.port or not eventually(self._ready, 20, every=0.005):
            self.kill()
            raise StartFailed(f"{self._argv} did not become ready:\n{self.log()[begun:]}")
        self.started_at = begun
        return self

    def _listening(self, begun):
        if self.process.poll() is not None:
            raise StartFailed(f"{self._argv} ended with {self.process.returncode}:\n{self.log()[begun:]}")
        found = re.search(r"listening on http://[^\s]*:(\d+)", self.log()[begun:])
        return int(found.group(1)) if found else None

    def _ready(self):
        try:
            return wire.call(self.port, "GET", "/readyz").status == 200
        except OSError:
            return False

    @property
    def pid(self):
        return self.process.pid

    @property
    def alive(self):
        return self.process is not None and self.process.poll() is None

    def send_signal(self, number):
        self.process.send_signal(number)

    def stop(self, number=signal.SIGTERM, seconds=40):
        """Asks it to stop, waits for its end, and returns its exit code."""
        self.process.send_signal(number)
        return self.wait(seconds)

    def wait(self, seconds=40):
        code = self.process.wait(seconds * PATIENCE)
        self.process = None
        return code

    def kill(self):
        """kill -9 of serve alone; what is below it has to go by itself."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def close(self):
        """The end of a test: ends everything that it started, whatever state it is in."""
        self.kill()
        self.sweep()

    def log(self):
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def rss(self):
        """Resident bytes of the serve process."""
        return int(re.search(r"VmRSS:\s+(\d+)", pathlib.Path(f"/proc/{self.pid}/status").read_text()).group(1)) * 1024

    def open_files(self):
        """How many file descriptors the serve process has."""
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def children(self, of=None):
        """The pids whose parent is `of`; by default the serve process."""
        return sorted(pid for pid, _ in self.survivors() if parent(pid) == (of or self.pid))


def parent(pid):
    """The parent's pid; None if the process has just ended."""
    try:
        return int(re.search(r"PPid:\s+(\d+)", pathlib.Path(f"/proc/{pid}/status").read_text()).group(1))
    except OSError:
        return None


def marked(mark):
    """(pid, command line) of the living processes with this mark in their environment."""
    needle = f"TREADLE_TEST_MARK={mark}".encode()
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            if needle in pathlib.Path(f"/proc/{entry}/environ").read_bytes():
                yield int(entry), pathlib.Path(f"/proc/{entry}/cmdline").read_bytes().replace(b"\0", b" ").decode(
                    errors="replace"
                )
        except OSError:
            continue  # it has just ended, or is not ours to read


def other_interpreters():
    """Pythons of other minor versions: those named in TREADLE_TEST_PYTHONS, else what lies on PATH or was put there by
    pyenv.
    """
    named = os.environ.get("TREADLE_TEST_PYTHONS")
    if named:
        return named.split(":")
    others = [minor for minor in range(9, 16) if minor != sys.version_info.minor]
    found = {minor: shutil.which(f"python3.{minor}") for minor in others}
    for minor in others:
        for path in sorted(pathlib.Path.home().glob(f".pyenv/versions/3.{minor}.*/bin/python3")):
            found[minor] = str(path)
    return [path for path in found.values() if path and works(path)]


def works(path):
    return subprocess.run([path, "-c", ""], capture_output=True).returncode == 0

"""Programs that a test starts and ends by pid: roles of the binary, and a Redis of its own."""

import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile

from client import PATIENCE, eventually
from server import BIN, StartFailed, clean_env


class Program:
    """One process with its log. `argv` begins with the program; a word without a slash is a verb of the binary."""

    def __init__(self, home, name, *argv, env=None):
        self.home = pathlib.Path(home)
        self.name = name
        self.argv = [str(word) for word in argv]
        if "/" not in self.argv[0]:
            self.argv.insert(0, BIN)
        self.log_path = self.home / f"{name}.log"
        self._env = clean_env(**(env or {}))
        self.process = None
        self._begun = 0

    def start(self):
        """Begins it, and does not wait. The log goes on in the same file."""
        assert self.process is None
        self._begun = len(self.log())
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                self.argv,
                cwd=self.home,
                env=self._env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        return self

    def says(self, pattern, seconds=20):
        """The match of a pattern in what it has said since its last start, which must come within so many seconds."""

        def look():
            ended = self.process is None or self.process.poll() is not None
            found = re.search(pattern, self.fresh_log())
            if not found and ended:
                raise StartFailed(f"{self.argv} ended before it said {pattern!r}:\n{self.fresh_log()}")
            return found

        found = eventually(look, seconds, every=0.005)
        assert found, f"{self.argv} did not say {pattern!r} within {seconds} s:\n{self.fresh_log()}"
        return found

    def log(self):
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def fresh_log(self):
        return self.log()[self._begun :]

    @property
    def pid(self):
        return self.process.pid

    @property
    def alive(self):
        return self.process is not None and self.process.poll() is None

    def send_signal(self, number):
        self.process.send_signal(number)

    def wait(self, seconds=40):
        """Its exit code, once it has ended by itself."""
        code = self.process.wait(seconds * PATIENCE)
        self.process = None
        return code

    def stop(self, number=signal.SIGTERM, seconds=40):
        self.send_signal(number)
        return self.wait(seconds)

    def kill(self):
        """kill -9 of it alone; what is below it has to go by itself."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


class Redis:
    """A private redis-server on a socket file (and on a TCP port, if one is given), with further flags. Ended by pid."""

    def __init__(self, home, port=0, flags=(), env=None):
        self.home = pathlib.Path(home)
        # Not below `home`: the path of a socket file may have 107 bytes, and those of pytest are longer.
        self.folder = tempfile.mkdtemp(prefix="treadle-redis-")  # also where it keeps its files
        self.socket = f"{self.folder}/redis.sock"
        self.port = port
        program = shutil.which("redis-server")
        assert program, "no redis-server: ./dev test installs it (tools/packages.tsv)"
        where = ("--port", port, "--bind", "127.0.0.1", "--unixsocket", self.socket, "--dir", self.folder)
        self.program = Program(self.home, "redis", program, *where, "--save", "", *flags, env=env)

    @property
    def url(self):
        return f"redis://127.0.0.1:{self.port}/0" if self.port else f"unix://{self.socket}"

    def start(self):
        self.program.start().says("eady to accept connections")
        assert eventually(lambda: self.cli("ping") == "PONG", 10), self.program.log()
        return self

    @property
    def pid(self):
        return self.program.pid

    def cli(self, *words):
        """What redis-cli prints, without the last newline; an error answer is printed, too."""
        done = subprocess.run(
            ["redis-cli", "-s", self.socket, *map(str, words)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=20 * PATIENCE,
        )
        return done.stdout.removesuffix("\n")

    def lines(self, *words):
        """The items of a list answer."""
        return self.cli(*words).splitlines()

    def hash(self, key):
        """The fields of a hash, with their values as they are."""
        return json.loads(self.cli("-3", "--json", "hgetall", key))

    def kill(self):
        self.program.kill()

    def close(self):
        self.program.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


class Monitor:
    """MONITOR of a Redis, written to a file while a test runs: every command, also those within scripts."""

    def __init__(self, redis, path):
        self.path = pathlib.Path(path)
        self._out = open(self.path, "wb")
        self._process = subprocess.Popen(
            ["redis-cli", "-s", redis.socket, "monitor"], stdin=subprocess.DEVNULL, stdout=self._out
        )
        assert eventually(lambda: self.path.read_bytes().startswith(b"OK"), 10), "MONITOR did not begin"

    def close(self):
        if self._process.poll() is None:
            self._process.terminate()
            self._process.wait()
            self._out.close()

    def lines(self):
        return self.path.read_text(errors="replace").splitlines()


def folder(parent, name):
    """A folder below `parent`, made if need be."""
    path = pathlib.Path(parent) / name
    os.makedirs(path, exist_ok=True)
    return path

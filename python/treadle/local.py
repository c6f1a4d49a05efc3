"""A server of one's own: started from the `treadle` binary, on a free port, with its data in a temporary directory."""

from __future__ import annotations

import atexit
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time

from .errors import ServerUnreachable, TreadleError

_START = 30.0  # seconds for a server to say that it listens
_STOP = 10.0  # seconds for it to end, then it is killed
_KEPT = ("TREADLE_EXECUTOR", "TREADLE_LOG_LEVEL", "TREADLE_PRELOAD")  # of the environment; the rest would make it another server


def find_binary() -> str:
    """The `treadle` program: what TREADLE names, else what lies beside this package or its interpreter, else PATH's."""
    named = os.environ.get("TREADLE")
    if named:
        if not os.access(named, os.X_OK):
            raise TreadleError(f"TREADLE names {named}, which is not a program that can be run")
        return named
    here = pathlib.Path(__file__).resolve().parent
    places = [here / "bin" / "treadle", here.parents[1] / "build" / "treadle", pathlib.Path(sys.executable).parent / "treadle"]
    for place in places:
        # pip puts a launcher of the same name nowhere; a script in a venv would be of another package.
        if place.is_file() and os.access(place, os.X_OK):
            return str(place)
    found = shutil.which("treadle")
    if found is None:
        raise TreadleError(
            "there is no `treadle` program on PATH to start a local server with. Build it (./dev build) and name it: TREADLE=build/treadle"
        )
    return found


class LocalServer:
    """Listens when the constructor returns. `flags` are further ones of `treadle serve`. Functions run in this interpreter, or in `python`; dill
    must be installed there.
    """

    def __init__(self, *flags: str, slots: str | int = "", python: str = sys.executable):
        self.home = tempfile.mkdtemp(prefix="treadle-")
        self.log_path = os.path.join(self.home, "serve.log")
        command = [find_binary(), "serve", "--port", "0", "--data-dir", os.path.join(self.home, "data")]
        command += ["--durability", "fast", "--python", python, *flags]
        if slots:
            command += ["-w", str(slots)]
        env = {name: value for name, value in os.environ.items() if not name.startswith("TREADLE_") or name in _KEPT}
        with open(self.log_path, "wb") as log:
            self._process: subprocess.Popen[bytes] | None = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, env=env
            )
        atexit.register(self.stop)
        self._pid = os.getpid()
        try:
            self.url = self._listening()
        except BaseException:
            self.stop()
            raise

    def _listening(self) -> str:
        deadline = time.monotonic() + _START
        while time.monotonic() < deadline:
            found = re.search(r"listening on (http://\S+:\d+)", self.log())
            if found:
                return found.group(1)
            assert self._process is not None
            if self._process.poll() is not None:
                break
            time.sleep(0.01)
        raise ServerUnreachable("the local server did not start:\n" + self.log())

    def log(self) -> str:
        """What the server wrote so far."""
        with open(self.log_path, errors="replace") as log:
            return log.read()

    def stop(self) -> None:
        """Ends the server and removes its data. A child of fork() leaves it alone."""
        process, self._process = self._process, None
        if process is None or self._pid != os.getpid():
            return
        atexit.unregister(self.stop)
        process.terminate()
        try:
            process.wait(_STOP)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        shutil.rmtree(self.home, ignore_errors=True)

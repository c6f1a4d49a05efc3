"""A real Chromium without a window, told what to do by the DevTools protocol over two pipes."""

import json
import os
import select
import shutil
import subprocess
import tempfile
import time

from client import PATIENCE

PROGRAMS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")


def program():
    return next((path for path in map(shutil.which, PROGRAMS) if path), None)


class Browser:
    """One page at a time. Speaks JSON messages that end with a zero byte, on descriptors 3 and 4 of the browser."""

    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="treadle-browser-")
        to_read, self._out = os.pipe()
        self._in, to_write = os.pipe()
        argv = [program(), "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-extensions"]
        argv += ["--disable-background-networking", "--disable-dev-shm-usage", "--remote-debugging-pipe"]
        self.process = subprocess.Popen(
            ["bash", "-c", f'exec "$@" 3<&{to_read} 4>&{to_write}', "bash", *argv, f"--user-data-dir={self.folder}"],
            pass_fds=(to_read, to_write),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        os.close(to_read)
        os.close(to_write)
        self._left, self._number = b"", 0
        target = self._ask("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self._ask("Page.enable")

    def open(self, url):
        """Goes to a page, and returns when it was loaded."""
        found = self._ask("Page.navigate", url=url)
        assert "errorText" not in found, found
        self._await(lambda message: message.get("method") == "Page.loadEventFired")

    def run(self, script):
        """The value of an expression, once it is there if it is a promise. What it throws fails the test."""
        found = self._ask("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def close(self):
        for end in (self._in, self._out):
            os.close(end)
        self.process.kill()
        self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _ask(self, method, **params):
        self._number += 1
        number = self._number
        message = {"id": number, "method": method, "params": params}
        if getattr(self, "_session", None):
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        answer = self._await(lambda one: one.get("id") == number)
        assert "error" not in answer, (method, answer)
        return answer["result"]

    def _await(self, wanted, seconds=60):
        deadline = time.monotonic() + seconds * PATIENCE
        while True:
            while b"\0" in self._left:
                text, _, self._left = self._left.partition(b"\0")
                message = json.loads(text)
                if wanted(message):
                    return message
            ready, _, _ = select.select([self._in], [], [], max(deadline - time.monotonic(), 0))
            assert ready, f"the browser did not answer within {seconds} s"
            piece = os.read(self._in, 65536)
            assert piece, f"the browser has ended with {self.process.wait(5)}"
            self._left += piece

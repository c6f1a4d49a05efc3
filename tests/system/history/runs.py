"""Reads the append-only file of user code."""

import pathlib

from history.model import Run


class RunsFile:
    def __init__(self, path):
        self.path = pathlib.Path(path)
        self.path.touch()
        self._read = 0
        self._rest = b""
        self._by_nonce = {}
        self.runs = []

    def look(self):
        """All runs so far, in the order of their starts."""
        with open(self.path, "rb") as file:
            file.seek(self._read)
            data = file.read()
        self._read += len(data)
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            word, key, nonce, pid, at, attempt = line.decode().split()
            if word == "start":
                run = self._by_nonce[nonce] = Run(int(key), nonce, int(pid), int(at) / 1e9, attempt=int(attempt))
                self.runs.append(run)
            else:
                self._by_nonce[nonce].ended = int(at) / 1e9
        return self.runs

    def open(self):
        """The runs that have not ended; the process of some may have died."""
        return [run for run in self.look() if run.ended is None]

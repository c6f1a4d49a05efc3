"""JSON over HTTP/1.1 to one server, on one kept-alive connection per thread."""

from __future__ import annotations

import codecs
import http.client
import json
import os
import select
import socket
import threading
import urllib.parse
from collections.abc import Iterator
from typing import Any

from .errors import ServerUnreachable, refusal

_STREAM_BYTES = 64 << 10  # of one read


class Transport:
    """Safe to share between threads: each has its own connection, opened at its first request.

    `timeout` is in seconds, for connecting and for each read. Raises ServerUnreachable if there is no answer, and
    RequestRefused or one of its kinds for an answer of status 400 and above.
    """

    def __init__(self, url: str, timeout: float):
        parts = urllib.parse.urlsplit(url if "//" in url else "http://" + url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"{url!r} is not a server's URL; one looks like http://127.0.0.1:8000")
        self.url = f"{parts.scheme}://{parts.netloc}"
        self.prefix = parts.path.rstrip("/")
        self.scheme, self.host, self._port = parts.scheme, parts.hostname, parts.port
        self.netloc = parts.netloc
        self._timeout = timeout
        self._local = threading.local()
        self._pid = os.getpid()
        self._opened: list[http.client.HTTPConnection] = []  # of all threads, for close()
        self._lock = threading.Lock()

    def call(
        self, method: str, path: str, body: dict[str, Any] | None = None, *, wait: float = 0, repeatable: bool = True
    ) -> Any:
        """The decoded JSON of the answer. `wait`: seconds for which the server may hold its answer back.

        A request whose connection broke before an answer is sent once more if it is `repeatable`; another could have been
        carried out, so it is reported instead.
        """
        data = None if body is None else json.dumps(body).encode()
        connection, reused = self._connection(wait)
        try:
            return _checked(*self._exchange(connection, method, path, data))
        except ServerUnreachable:
            raise
        except (OSError, http.client.HTTPException) as error:
            if not (reused and repeatable):
                raise self._unanswered(method, path, error) from error
        connection, _ = self._connection(wait)
        try:
            return _checked(*self._exchange(connection, method, path, data))
        except ServerUnreachable:
            raise
        except (OSError, http.client.HTTPException) as error:
            raise self._unanswered(method, path, error) from error

    def stream(self, path: str, silence: float | None = None) -> Iterator[str]:
        """The text of an answer that comes bit by bit, over a connection of its own. `silence`: seconds that it may last; None: any."""
        kind = http.client.HTTPSConnection if self.scheme == "https" else http.client.HTTPConnection
        connection = kind(self.host, self._port, timeout=self._timeout)
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        try:
            connection.request("GET", self.prefix + path)
            response = connection.getresponse()
            if response.status >= 300:
                _checked(response.status, response.read())
            connection.sock.settimeout(silence)
            while data := response.read1(_STREAM_BYTES):
                yield decoder.decode(data)
            yield decoder.decode(b"", True)
        except (OSError, http.client.HTTPException) as error:
            raise self._unanswered("GET", path, error) from error
        finally:
            connection.close()

    @property
    def port(self) -> int:
        return self._port or (443 if self.scheme == "https" else 80)

    def close(self) -> None:
        """Closes the connections of all threads. A later call opens a new one."""
        with self._lock:
            opened, self._opened = self._opened, []
        for connection in opened:
            connection.close()

    def _connection(self, wait: float) -> tuple[http.client.HTTPConnection, bool]:
        """This thread's connection, open, and whether it served an earlier request."""
        if self._pid != os.getpid():  # forked: those connections are the parent's
            self._pid, self._local, self._opened = os.getpid(), threading.local(), []
            self._lock = threading.Lock()
        connection: http.client.HTTPConnection | None = getattr(self._local, "connection", None)
        if connection is not None and (connection.sock is None or _stale(connection)):
            self._drop(connection)
            connection = None
        timeout = self._timeout + wait
        if connection is not None:
            connection.sock.settimeout(timeout)
            return connection, True
        kind = http.client.HTTPSConnection if self.scheme == "https" else http.client.HTTPConnection
        connection = kind(self.host, self._port, timeout=timeout)
        try:
            connection.connect()
        except OSError as error:
            raise ServerUnreachable(
                f"no Treadle server at {self.url} ({error}). Start one with `treadle serve`, or name another: Client(url)"
            ) from error
        self._local.connection = connection
        with self._lock:
            self._opened.append(connection)
        return connection, False

    def _exchange(
        self, connection: http.client.HTTPConnection, method: str, path: str, data: bytes | None
    ) -> tuple[int, bytes]:
        headers = {"Accept": "application/json"}
        if data is not None:
            headers["Content-Type"] = "application/json"
        try:
            connection.request(method, self.prefix + path, body=data, headers=headers)
            response = connection.getresponse()
            return response.status, response.read()
        except socket.timeout as error:
            self._drop(connection)
            raise ServerUnreachable(
                f"{self.url} took longer than {connection.timeout:g} s to answer {method} {path}"
            ) from error
        except BaseException:
            self._drop(connection)  # half an answer may be left on it
            raise

    def _drop(self, connection: http.client.HTTPConnection) -> None:
        connection.close()
        self._local.connection = None
        with self._lock:
            if connection in self._opened:
                self._opened.remove(connection)

    def _unanswered(self, method: str, path: str, error: Exception) -> ServerUnreachable:
        return ServerUnreachable(
            f"{self.url} closed the connection without an answer to {method} {path} ({error}); "
            "whether it took the request is not known"
        )


def _stale(connection: http.client.HTTPConnection) -> bool:
    """Between two requests nothing is due from the server: a readable socket means that it has closed it."""
    if not hasattr(select, "poll"):  # Windows
        return bool(select.select([connection.sock], [], [], 0)[0])
    poll = select.poll()
    poll.register(connection.sock, select.POLLIN)
    return bool(poll.poll(0))


def _checked(status: int, answer: bytes) -> Any:
    try:
        value = json.loads(answer)
    except ValueError:
        value = None
    if status < 300 and (value is not None or not answer):
        return value
    detail = value.get("detail") if isinstance(value, dict) else None
    if detail is None:
        detail = "not an answer of a Treadle server: " + answer[:200].decode("utf-8", "replace")
    problem = value if isinstance(value, dict) else None
    raise refusal(status, detail if isinstance(detail, str) else json.dumps(detail), problem)

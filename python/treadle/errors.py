"""What can go wrong between a client and its server. An exception of the user's own function is raised as itself, not as one of these."""

from __future__ import annotations

import concurrent.futures
from typing import Any


class TreadleError(Exception):
    """Base of every error that this package raises on its own account."""


class ServerUnreachable(TreadleError, ConnectionError):
    """No answer from the server: not started, another URL, or gone for longer than `Client(retry_for=...)`."""


class RequestRefused(TreadleError):
    """The server answered with an error status. `detail` is its sentence about what was wrong, `problem` the whole answer."""

    def __init__(self, status: int, detail: str, problem: dict[str, Any] | None = None):
        super().__init__(status, detail, problem)
        self.status = status
        self.detail = detail
        self.problem = problem or {}

    def __str__(self) -> str:
        return f"{self.detail} (HTTP {self.status})"


class PayloadRefused(RequestRefused, ValueError):
    """The server did not take the function or its arguments: malformed (400) or over its size limit (413)."""


class NotFound(RequestRefused, LookupError):
    """The server has no such function or task; another server, another data directory, or past its retention."""


class NotPicklable(TreadleError, TypeError):
    """A function or its arguments hold something that cannot be sent (a lock, an open file, a generator); it says which."""


class TaskFailed(TreadleError):
    """The task ended FAILED; the text is what the server recorded, with the traceback in the worker.

    It is the `__cause__` of the exception that `Future.result` raises. It is raised itself where the original cannot be:
    an exception that would end the caller (SystemExit, KeyboardInterrupt), or one that cannot be decoded here.
    """

    def __init__(self, text: str, task_id: str | None = None):
        super().__init__(text)
        self.task_id = task_id

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.args[0], self.task_id)


class ResultUnreadable(TreadleError):
    """The task is COMPLETED, but its result cannot be unpickled in this process; `__cause__` says why."""


class ResultTimeout(TreadleError, concurrent.futures.TimeoutError):
    """The result was not there in time. The task goes on; ask again later."""


def refusal(status: int, detail: str, problem: dict[str, Any] | None = None) -> RequestRefused:
    """The exception for an error status of the server."""
    kind = {400: PayloadRefused, 404: NotFound, 413: PayloadRefused}.get(status, RequestRefused)
    return kind(status, detail, problem)

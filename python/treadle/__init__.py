"""Treadle from Python: send a function to a Treadle server, run it there, and take the result.

    from treadle import Client

    with Client("http://127.0.0.1:8000") as client:
        print(client.submit(pow, 2, 10).result())
        print(list(client.map(abs, [-1, -2])))

Results are unpickled on arrival, which can run code: connect only to a server that you trust.
"""

from .client import Client, Function, Future
from .errors import (
    NotFound,
    PayloadRefused,
    RequestRefused,
    ResultTimeout,
    ResultUnreadable,
    ServerUnreachable,
    TaskFailed,
    TreadleError,
)
from .inside import current_task, log

__all__ = [
    "Client",
    "Function",
    "Future",
    "NotFound",
    "PayloadRefused",
    "RequestRefused",
    "ResultTimeout",
    "ResultUnreadable",
    "ServerUnreachable",
    "TaskFailed",
    "TreadleError",
    "current_task",
    "log",
]

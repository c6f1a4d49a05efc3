"""Treadle from Python: send a function to a Treadle server, run it there, and take the result.

    import treadle

    with treadle.Executor("http://127.0.0.1:8000") as pool:
        print(pool.submit(pow, 2, 10).result())
        print(list(pool.map(abs, [-1, -2])))

Results are unpickled on arrival, which can run code: connect only to a server that you trust.
"""

from __future__ import annotations

from ._pickling import pickle_by_reference, pickle_by_value
from .aio import AsyncClient
from .client import Client, default_client
from .errors import (
    NotFound,
    NotPicklable,
    PayloadRefused,
    RequestRefused,
    ResultTimeout,
    ResultUnreadable,
    ServerUnreachable,
    TaskFailed,
    TreadleError,
)
from .function import Function, function
from .futures import Future
from .group import Group
from .inside import current_task, log, progress
from .pool import Executor

__all__ = [
    "AsyncClient",
    "Client",
    "Executor",
    "Function",
    "Future",
    "Group",
    "NotFound",
    "NotPicklable",
    "PayloadRefused",
    "RequestRefused",
    "ResultTimeout",
    "ResultUnreadable",
    "ServerUnreachable",
    "TaskFailed",
    "TreadleError",
    "current_task",
    "default_client",
    "function",
    "log",
    "pickle_by_reference",
    "pickle_by_value",
    "progress",
]

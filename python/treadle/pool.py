"""Executor: a concurrent.futures.Executor whose workers are those of a Treadle server."""

from __future__ import annotations

import concurrent.futures
import threading
import weakref
from typing import Any, Callable, Iterable, Iterator, TypeVar

from ._pickling import dumps_call
from .client import Client
from .function import Function, check_options, fields_of
from .futures import Call, Future, take_back

R = TypeVar("R")


class Executor(concurrent.futures.Executor):
    """In the place of ProcessPoolExecutor: `with treadle.Executor() as pool: pool.map(f, items)`.

    `client`: a Client or the URL of a server; without one, as Client(). `options` hold for every call (docs/api.md). There is no
    number of workers to give: that is the server's.
    """

    def __init__(self, client: Client | str | None = None, **options: Any):
        self._own = not isinstance(client, Client)
        self._client = client if isinstance(client, Client) else Client(client)
        self._options = check_options(options)
        self._fields = fields_of(self._options)
        self._futures: weakref.WeakSet[Future[Any]] = weakref.WeakSet()
        self._lock = threading.Lock()  # guards _futures and _shut
        self._shut = False

    @property
    def client(self) -> Client:
        """The Client that it calls through."""
        return self._client

    def submit(self, fn: Callable[..., R], /, *args: Any, **kwargs: Any) -> Future[R]:
        """Schedules fn(*args, **kwargs); see Client.submit."""
        self._open()
        function = self._client._registered(fn)
        fields = self._fields
        if function._options:
            fields = fields_of({**self._options, **function._options})
        future: Future[R] = Future(
            self._client, Call(function._id_at(self._client), dumps_call(args, kwargs, function.name), fields)
        )
        with self._lock:
            if self._shut:
                raise RuntimeError("cannot schedule new futures after shutdown")
            self._futures.add(future)
        self._client._engine.submit((future,))
        return future

    def map(
        self,
        fn: Callable[..., R],
        *iterables: Iterable[Any],
        timeout: float | None = None,
        chunksize: int = 1,
        buffersize: int | None = None,
        progress: bool = False,
    ) -> Iterator[R]:
        """Results in order, all calls submitted at once (or `buffersize` of them); see Client.map."""
        self._open()
        options = dict(self._options)
        if isinstance(fn, Function):
            options.update(fn._options)
        return self._client.map(
            fn, *iterables, timeout=timeout, chunksize=chunksize, buffersize=buffersize, progress=progress, **options
        )

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """No further calls. `wait`: returns when those that were submitted have ended. `cancel_futures`: those that no worker has
        begun are taken back. Without `wait` they go on at the server; their futures still get their results.
        """
        with self._lock:
            self._shut = True
            futures = [future for future in self._futures if not future.done()]
        if cancel_futures:
            take_back(self._client, futures)
        if wait:
            concurrent.futures.wait(futures)
            if self._own:
                self._client.close()

    def _open(self) -> None:
        if self._shut:
            raise RuntimeError("cannot schedule new futures after shutdown")

"""Client: sends functions and calls to a Treadle server, and gives futures for their results."""

from __future__ import annotations

import atexit
import base64
import collections
import itertools
import os
import threading
import time
import uuid
from typing import Any, Callable, Iterable, Iterator, TypeVar

from ._engine import Engine
from ._http import Transport
from ._pickling import dumps_call, dumps_function, loads
from ._progress import with_progress
from .errors import NotFound, refusal
from .function import Function, check_options, chunked, fields_of, name_of
from .futures import Call, Future, take_back
from .group import Group

R = TypeVar("R")

_KNOWN_FUNCTIONS = 256  # registrations that a client remembers
_PAGE = 1_000  # rows of a list that are asked for at a time, as many as the server gives
DEFAULT_URL = "http://127.0.0.1:8000"


class Client:
    """Runs Python functions on the Treadle server at `url`; without one, at TREADLE_URL, or else at http://127.0.0.1:8000.

    `Client("local:")` starts a server of its own, for as long as the client is open; `local:4` gives it four slots.

    Threads may share one client. `timeout`: seconds to wait for the server's answer to a request (not for a task). `retry_for`:
    seconds for which a server that is away is tried again; a call that was perhaps taken is sent with the same key, so it
    never becomes two tasks. Functions and classes of the user's own modules travel by value; see treadle.pickle_by_reference.
    """

    def __init__(self, url: str | None = None, *, timeout: float = 30.0, retry_for: float = 30.0):
        url = os.environ.get("TREADLE_URL", DEFAULT_URL) if url is None else url
        self._server = None
        if url.startswith("local:"):
            from .local import LocalServer

            self._server = LocalServer(slots=url.partition(":")[2])
            url = self._server.url
            atexit.register(self.close)  # before the server ends, which was registered before
        self._how = {"timeout": timeout, "retry_for": retry_for}
        self._transport = Transport(url, timeout)
        self._engine = Engine(self._transport, timeout, retry_for)
        # By pickle, oldest first.
        self._known: collections.OrderedDict[bytes, Function[Any]] = collections.OrderedDict()
        self._lock = threading.Lock()  # guards _known

    @property
    def url(self) -> str:
        """Of the server."""
        return self._transport.url

    # ---- functions ----

    def register(self, fn: Callable[..., R], *, name: str | None = None, **options: Any) -> Function[R]:
        """Sends the function now, once for many calls; `options` hold for all of them.

        Raises PayloadRefused if the server does not take it, NotPicklable if it cannot be sent.
        """
        if isinstance(fn, Function):
            return Function(fn._id_at(self), fn.name, fn=fn._fn, client=self, options={**fn._options, **options})
        return self._register(fn, dumps_function(fn), name or name_of(fn), check_options(options))

    def function(self, function_id: str, **options: Any) -> Function[Any]:
        """A function that was registered elsewhere or earlier. Raises NotFound if the server does not have it."""
        told = self._transport.call("GET", f"/v1/functions/{function_id}")
        return Function(told["function_id"], told["name"], client=self, options=options)

    # ---- calls ----

    def submit(self, fn: Callable[..., R] | Function[R], /, *args: Any, **kwargs: Any) -> Future[R]:
        """Queues one call and returns at once; `future.task_id` waits until the server has stored it.

        A plain function is pickled at each call, to see what it sees now, and sent only when that pickle is new; many calls are
        cheaper with a registered or decorated one. Raises NotPicklable, and PayloadRefused or ServerUnreachable when the function
        must be sent; what is wrong with the call itself is told by the future.
        """
        function = self._registered(fn)
        call = Call(function._id_at(self), dumps_call(args, kwargs, function.name), function._fields)
        future: Future[R] = Future(self, call)
        self._engine.submit([future])
        return future

    def map(
        self,
        fn: Callable[..., R] | Function[R],
        /,
        *iterables: Iterable[Any],
        timeout: float | None = None,
        chunksize: int = 1,
        buffersize: int | None = None,
        ordered: bool = True,
        progress: bool = False,
        **options: Any,
    ) -> Iterator[R]:
        """Like the builtin map, with all calls submitted at once and results in the order of the arguments.

        The first failed call raises its exception when its turn comes. `timeout`: seconds for all of them, from now. `chunksize`:
        items that make one task together. `buffersize`: as many tasks under way at most, and arguments are taken as results are.
        `ordered=False`: results as they come. `progress=True`: a bar on stderr (tqdm if it is installed). `options`: as for register.
        """
        if not iterables:
            raise TypeError("map() needs at least one iterable of arguments")
        if chunksize < 1 or (buffersize is not None and buffersize < 1):
            raise ValueError("chunksize and buffersize must be 1 or more")
        deadline = None if timeout is None else time.monotonic() + timeout
        if chunksize > 1:
            batches = _chunks(zip(*iterables), chunksize)
            results = self._map(self._chunked(fn), batches, options, deadline, buffersize, ordered)
            return with_progress(itertools.chain.from_iterable(results), iterables, progress)
        return with_progress(
            self._map(self._registered(fn), zip(*iterables), options, deadline, buffersize, ordered), iterables, progress
        )

    def submit_many(self, fn: Callable[..., R] | Function[R], calls: Iterable[tuple[Any, ...]], **options: Any) -> list[Future[R]]:
        """One future for each tuple of arguments; a group of them goes in one request."""
        function = self._registered(fn)
        return list(self._futures(function, calls, {**function._options, **check_options(options)}))

    def future(self, task_id: str) -> Future[Any]:
        """The future of a task that was submitted elsewhere or earlier; it fails with NotFound if the server has no such task."""
        future: Future[Any] = Future(self, task_id=task_id)
        try:
            task_id = str(uuid.UUID(task_id))
        except ValueError:
            future._fail(refusal(400, f"{task_id!r} is not the id of a task"))
            return future
        future._task_id = task_id
        return self._engine.watch(future, task_id)

    def futures(self, *, limit: int | None = None, **filters: str) -> list[Future[Any]]:
        """The futures of tasks that the server has, oldest first; filters as of tasks(). `map(..., group="night")` in a process that
        is gone since: `futures(group="night")` in another has all its results.
        """
        return [self.future(row["task_id"]) for row in self.tasks(limit=limit, **filters)][::-1]

    def group(self, name: str, cursor: str = "") -> Group:
        """The tasks that were submitted under this name, here or elsewhere: `for future in client.group("night").results()`."""
        return Group(self, name, cursor)

    def wait_accepted(self, timeout: float | None = None) -> bool:
        """Returns when the server has stored every call that was submitted; False after `timeout` seconds."""
        return self._engine.flush(timeout)

    # ---- what the server knows ----

    def tasks(self, *, limit: int | None = None, **filters: str) -> Iterator[dict[str, Any]]:
        """The tasks, newest first; filters: state, function_id, group."""
        return self._pages("/v1/tasks", "tasks", filters, limit)

    def functions(self, *, limit: int | None = None) -> Iterator[dict[str, Any]]:
        """The functions, oldest first."""
        return self._pages("/v1/functions", "functions", {}, limit)

    def workers(self) -> list[dict[str, Any]]:
        """The workers as their dispatchers last saw them."""
        return self._transport.call("GET", "/v1/workers")["workers"]  # type: ignore[no-any-return]

    def version(self) -> dict[str, Any]:
        """What runs there: version, mode, store, durability."""
        return self._transport.call("GET", "/version")  # type: ignore[no-any-return]

    # ---- the names of the seed's clients ----

    def register_function(self, fn: Callable[..., Any], name: str | None = None) -> str:
        """register(), for the id alone."""
        return self.register(fn, name=name).function_id

    def execute_function(self, function_id: str, *args: Any, **kwargs: Any) -> str:
        """One call of a registered function, for the id of its task."""
        return self.submit(Function(function_id), *args, **kwargs).task_id

    def get_status(self, task_id: str) -> str:
        """QUEUED, RUNNING, COMPLETED or FAILED."""
        return self._transport.call("GET", f"/status/{task_id}")["status"]  # type: ignore[no-any-return]

    def get_result(self, task_id: str, timeout: float | None = None) -> Any:
        """What the task returned, or its exception raised; waits for it."""
        return self.future(task_id).result(timeout)

    # ---- life ----

    def close(self) -> None:
        """Sends what was submitted and closes the connections. Tasks go on, unless the server is `local:`."""
        self._engine.close()
        self._transport.close()
        if self._server is not None:
            atexit.unregister(self.close)
            self._server.stop()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<treadle.Client {self.url}>"

    def _repr_html_(self) -> str:
        try:
            told = self.version()
            more = f"Treadle {told['version']}, {told['store']}, {len(self.workers())} workers"
        except Exception as error:
            more = str(error)
        return f'<b>treadle.Client</b> <a href="{self.url}/docs">{self.url}</a><br>{more}'

    def __reduce__(self) -> tuple[Any, ...]:
        return _client_at, (self.url, self._how["timeout"], self._how["retry_for"])

    # ---- inside ----

    def _registered(self, fn: Callable[..., R] | Function[R]) -> Function[R]:
        if isinstance(fn, Function):
            return fn
        return self._known_or_new(fn, dumps_function(fn))

    def _known_or_new(self, fn: Callable[..., R], body: bytes) -> Function[R]:
        with self._lock:
            known = self._known.get(body)
            if known is not None:
                self._known.move_to_end(body)
                return known
        function = self._register(fn, body, name_of(fn), {})
        with self._lock:
            self._known[body] = function
            if len(self._known) > _KNOWN_FUNCTIONS:
                self._known.popitem(last=False)
        return function

    def _chunked(self, fn: Callable[..., R] | Function[R]) -> Function[list[R]]:
        plain = fn._fn if isinstance(fn, Function) else fn
        if plain is None:
            raise ValueError("a function that is known by its id only cannot run in chunks: leave chunksize at 1")
        inner = chunked(plain)
        try:
            body = dumps_function(inner)
        except Exception:
            dumps_function(plain)  # its error names what the user wrote
            raise
        known = self._known_or_new(inner, body)
        options = fn._options if isinstance(fn, Function) else {}
        return known.options(**options) if options else known

    def _register(self, fn: Callable[..., R], body: bytes, name: str, options: dict[str, Any]) -> Function[R]:
        text = base64.b64encode(body).decode("ascii")
        answer = self._transport.call("POST", "/register_function", {"name": name, "payload": text})
        return Function(answer["function_id"], name, fn=fn, client=self, options=options)

    def _futures(
        self, function: Function[R], calls: Iterable[tuple[Any, ...]], options: dict[str, Any]
    ) -> Iterator[Future[R]]:
        """Submits as it is read."""
        function_id, name, fields = function._id_at(self), function.name, fields_of(options)
        engine = self._engine
        for args in calls:
            future: Future[R] = Future(self, Call(function_id, dumps_call(args, {}, name), fields))
            engine.submit((future,))
            yield future

    def _map(
        self,
        function: Function[R],
        calls: Iterable[tuple[Any, ...]],
        options: dict[str, Any],
        deadline: float | None,
        buffersize: int | None,
        ordered: bool,
    ) -> Iterator[R]:
        source = self._futures(function, calls, {**function._options, **check_options(options)})
        futures = collections.deque(itertools.islice(source, buffersize))
        return _results(futures, source, deadline, ordered)

    def _pages(self, path: str, member: str, filters: dict[str, str], limit: int | None) -> Iterator[dict[str, Any]]:
        import urllib.parse

        query = {**filters, "limit": str(min(_PAGE, limit or _PAGE))}
        left = limit
        while left is None or left > 0:
            page = self._transport.call("GET", f"{path}?{urllib.parse.urlencode(query)}")
            for row in page[member][:left]:
                yield row
            if left is not None:
                left -= len(page[member])
            if not page["next_cursor"]:
                return
            query["cursor"] = page["next_cursor"]


def _chunks(calls: Iterable[tuple[Any, ...]], size: int) -> Iterator[tuple[tuple[Any, ...], ...]]:
    calls = iter(calls)
    while True:
        chunk = tuple(itertools.islice(calls, size))
        if not chunk:
            return
        yield chunk


def _results(
    futures: collections.deque[Future[R]], source: Iterator[Future[R]], deadline: float | None, ordered: bool
) -> Iterator[R]:
    def left() -> float | None:
        return None if deadline is None else max(0.0, deadline - time.monotonic())

    try:
        while futures:
            if not ordered:
                _first_done_in_front(futures, left())
            value = futures.popleft().result(left())
            futures.extend(itertools.islice(source, 1))
            yield value
            del value
    finally:
        if futures:  # the iterator was given up
            take_back(futures[0]._client, futures)


def _first_done_in_front(futures: collections.deque[Future[R]], timeout: float | None) -> None:
    if futures[0].done():
        return
    import concurrent.futures

    done, _ = concurrent.futures.wait(futures, timeout, concurrent.futures.FIRST_COMPLETED)
    if not done:
        return
    ended = [future for future in futures if future in done]
    others = [future for future in futures if future not in done]
    futures.clear()
    futures.extend(ended + others)


# ---- one client for each server, for what comes out of a pickle and for decorated functions ------------------------

_clients: dict[tuple[Any, ...], Client] = {}
_clients_lock = threading.Lock()


def _client_at(url: str, timeout: float, retry_for: float) -> Client:
    key = (url, timeout, retry_for)
    with _clients_lock:
        if key not in _clients:
            _clients[key] = Client(url, timeout=timeout, retry_for=retry_for)
        return _clients[key]


def default_client() -> Client:
    """The client of decorated functions: at TREADLE_URL, or http://127.0.0.1:8000; one for the process."""
    return _client_at(os.environ.get("TREADLE_URL", DEFAULT_URL), 30.0, 30.0)

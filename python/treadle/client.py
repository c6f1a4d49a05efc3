"""Client: register functions, submit tasks, and futures for their results; over the four routes of the seed's API."""

from __future__ import annotations

import base64
import collections
import pickle
import threading
import time
from typing import Any, Callable, Generic, Iterable, Iterator, TypeVar

import cloudpickle

from ._http import Transport
from .errors import ResultTimeout, ResultUnreadable, TaskFailed

R = TypeVar("R")

_WAIT = 30.0  # seconds for which one request may wait at the server; it allows 60
_KNOWN_FUNCTIONS = 256  # registrations that a client remembers


class Function(Generic[R]):
    """A function that is registered at a server. `Client.register` makes it; the id stays valid for other clients of that server."""

    def __init__(self, function_id: str, name: str):
        self.function_id = function_id
        self.name = name

    def __repr__(self) -> str:
        return f"<treadle.Function {self.name} {self.function_id}>"


class Future(Generic[R]):
    """The result of a task, now or later. Behaves like concurrent.futures.Future where the names are the same."""

    def __init__(self, transport: Transport, task_id: str):
        self.task_id = task_id
        self._transport = transport
        self._answer: dict[str, Any] | None = None  # once terminal, as it never changes then

    def status(self) -> str:
        """QUEUED, RUNNING, COMPLETED or FAILED, as the server sees it now."""
        if self._answer is not None:
            return self._answer["status"]
        return self._transport.call("GET", f"/status/{self.task_id}")["status"]

    def done(self) -> bool:
        """Whether the task has ended, well or not."""
        return self.status() in ("COMPLETED", "FAILED")

    def result(self, timeout: float | None = None) -> R:
        """What the function returned; waits for it, at most `timeout` seconds (ResultTimeout).

        If the function raised, the same kind of exception is raised here, with a TaskFailed as its cause that carries the
        server's text. ResultUnreadable: the value cannot be unpickled here.
        """
        answer = self._wait(timeout)
        if answer["status"] == "FAILED":
            error, cause = self._failure(answer)
            raise error from cause
        try:
            return _loads(answer["result"])
        except Exception as error:
            raise ResultUnreadable(
                f"task {self.task_id} is COMPLETED, but its result cannot be unpickled here: {type(error).__name__}: {error}"
            ) from error

    def exception(self, timeout: float | None = None) -> Exception | None:
        """The exception that `result` would raise, None if the task is COMPLETED; waits like `result`."""
        answer = self._wait(timeout)
        if answer["status"] != "FAILED":
            return None
        error, cause = self._failure(answer)
        error.__cause__ = cause
        return error

    def __repr__(self) -> str:
        return f"<treadle.Future {self.task_id}>"

    def _wait(self, timeout: float | None) -> dict[str, Any]:
        deadline = None if timeout is None else time.monotonic() + timeout
        while self._answer is None:
            wait = _WAIT if deadline is None else min(_WAIT, max(0.0, deadline - time.monotonic()))
            answer = self._transport.call("GET", f"/result/{self.task_id}?wait={wait:.3f}", wait=wait)
            if answer["status"] in ("COMPLETED", "FAILED"):
                self._answer = answer
            elif deadline is not None and time.monotonic() >= deadline:
                raise ResultTimeout(f"task {self.task_id} is still {answer['status']} after {timeout} s")
        return self._answer

    def _failure(self, answer: dict[str, Any]) -> tuple[Exception, TaskFailed | None]:
        try:
            error = _loads(answer["result"])
        except Exception as unreadable:
            failed = TaskFailed(
                f"task {self.task_id} failed, and its exception cannot be unpickled here: {unreadable!r}"
            )
            return failed, None
        failed = TaskFailed(str(error))
        # SystemExit and the like, raised here, would end the caller for what the function did.
        return (error, failed) if isinstance(error, Exception) else (failed, None)


class Client:
    """Runs Python functions on the Treadle server at `url`.

    Threads may share one client. `timeout`: seconds to wait for the server's answer to a request (not for a task).
    Functions are sent with cloudpickle: those of a script or notebook by value, those of an importable module by name, so
    that the server must be able to import that module (`treadle serve --path DIR`).
    """

    def __init__(self, url: str = "http://127.0.0.1:8000", *, timeout: float = 30.0):
        self._transport = Transport(url, timeout)
        self._known: collections.OrderedDict[bytes, Function[Any]] = (
            collections.OrderedDict()
        )  # by pickle, oldest first
        self._lock = threading.Lock()  # guards _known

    @property
    def url(self) -> str:
        return self._transport.url

    def register(self, fn: Callable[..., R], *, name: str | None = None) -> Function[R]:
        """Sends the function once, for many calls. Raises PayloadRefused if the server does not take it."""
        return self._register(cloudpickle.dumps(fn), name or _name_of(fn))

    def submit(self, fn: Callable[..., R] | Function[R], /, *args: Any, **kwargs: Any) -> Future[R]:
        """Queues one call and returns at once; the server has stored the task then.

        A plain function is pickled at each call, to see what it sees now, and sent only when that pickle is new; many calls are
        cheaper with a registered one. Raises PayloadRefused, NotFound (a registration that this server does not have), or
        ServerUnreachable.
        """
        payload = _text(cloudpickle.dumps((args, kwargs)))
        return self._execute(self._registered(fn), payload)

    def map(
        self, fn: Callable[..., R] | Function[R], /, *iterables: Iterable[Any], timeout: float | None = None
    ) -> Iterator[R]:
        """Like the builtin map, with all calls submitted at once and results in the order of the arguments.

        The first failed call raises its exception when its turn comes. `timeout`: seconds for all of them, from now.
        """
        if not iterables:
            raise TypeError("map() needs at least one iterable of arguments")
        deadline = None if timeout is None else time.monotonic() + timeout
        function = self._registered(fn)
        futures = [self._execute(function, _text(cloudpickle.dumps((args, {})))) for args in zip(*iterables)]
        return self._results(futures, deadline)

    def future(self, task_id: str) -> Future[Any]:
        """The future of a task that was submitted elsewhere or earlier. Its methods raise NotFound if the server has no such task."""
        return Future(self._transport, task_id)

    def close(self) -> None:
        """Closes the connections. Tasks go on."""
        self._transport.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<treadle.Client {self.url}>"

    def _registered(self, fn: Callable[..., R] | Function[R]) -> Function[R]:
        if isinstance(fn, Function):
            return fn
        body = cloudpickle.dumps(fn)
        with self._lock:
            known = self._known.get(body)
            if known is not None:
                self._known.move_to_end(body)
                return known
        function = self._register(body, _name_of(fn))
        with self._lock:
            self._known[body] = function
            if len(self._known) > _KNOWN_FUNCTIONS:
                self._known.popitem(last=False)
        return function

    def _register(self, body: bytes, name: str) -> Function[Any]:
        answer = self._transport.call("POST", "/register_function", {"name": name, "payload": _text(body)})
        return Function(answer["function_id"], name)

    def _execute(self, function: Function[R], payload: str) -> Future[R]:
        request = {"function_id": function.function_id, "payload": payload}
        answer = self._transport.call("POST", "/execute_function", request, repeatable=False)
        return Future(self._transport, answer["task_id"])

    @staticmethod
    def _results(futures: list[Future[R]], deadline: float | None) -> Iterator[R]:
        for future in futures:
            yield future.result(None if deadline is None else max(0.0, deadline - time.monotonic()))


def _name_of(fn: Callable[..., Any]) -> str:
    return getattr(fn, "__name__", type(fn).__name__)


def _text(payload: bytes) -> str:
    return base64.b64encode(payload).decode("ascii")


def _loads(text: str) -> Any:
    """The object in a result. What names `__main__` can be read by dill only, if it is here."""
    payload = base64.b64decode(text)
    try:
        return pickle.loads(payload)
    except Exception:
        try:
            import dill
        except ImportError:
            dill = None
        if dill is None:
            raise
        return dill.loads(payload)

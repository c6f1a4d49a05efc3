"""Future: the result of a task, now or later. A concurrent.futures.Future that is also awaitable."""

from __future__ import annotations

import asyncio
import base64
import binascii
import concurrent.futures
import threading
from typing import TYPE_CHECKING, Any, Generator, Generic, Iterable, TypeVar

from ._pickling import loads
from .errors import NotFound, RequestRefused, ResultTimeout, ResultUnreadable, TaskFailed, TreadleError

if TYPE_CHECKING:
    from .client import Client

R = TypeVar("R")

_CANCEL = 5.0  # seconds that cancel() waits for the word of a worker
_LOOKUP = 5_000  # tasks of one request; the server allows 10,000
_UNDECODED: Any = object()


class Call:
    """What the server is asked for: a function, its pickled arguments in base64, and further fields as JSON text."""

    __slots__ = ("function_id", "payload", "fields")

    def __init__(self, function_id: str, payload: bytes, fields: str = ""):
        self.function_id = function_id
        self.payload = binascii.b2a_base64(payload, newline=False).decode("ascii")
        self.fields = fields

    def json(self) -> str:
        return f'{{"function_id":"{self.function_id}","payload":"{self.payload}"{self.fields}}}'


class Future(concurrent.futures.Future, Generic[R]):  # type: ignore[type-arg]
    """The result of one call. Works with concurrent.futures.wait and as_completed, and can be awaited.

    Pickled, it is an address: in another process it waits for the same task.
    """

    _sent = False
    _task_id: str | None = None
    _outcome: tuple[str, str | None, Any] | None = None  # status, error kind, result as it came
    _value: Any = _UNDECODED
    _error: BaseException | None = None

    def __init__(self, client: Client, call: Call | None = None, task_id: str | None = None):
        super().__init__()
        self._client = client
        self._engine = client._engine
        self._call: Any = call
        if task_id is not None:
            self._task_id, self._sent = task_id, True

    # ---- what concurrent.futures has ----

    def result(self, timeout: float | None = None) -> R:
        """What the function returned; waits for it, at most `timeout` seconds (ResultTimeout).

        If the function raised, the same exception is raised here, with a TaskFailed as its cause that has the traceback of
        the worker. ResultUnreadable: the value cannot be unpickled here. CancelledError: it was cancelled.
        """
        error = self.exception(timeout)
        if error is None:
            return self._value  # type: ignore[no-any-return]
        try:
            raise error
        finally:
            del error, self  # no cycle between the traceback and us

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """What `result` would raise, or None; waits like `result`."""
        if not self.done():
            self._engine.need()
        try:
            failed = super().exception(timeout)
        except concurrent.futures.TimeoutError:
            task = f"task {self._task_id}" if self._task_id else "a call that is being sent"
            raise ResultTimeout(f"{task} has not ended after {timeout} s") from None
        if self._outcome is None:
            return failed  # it never became a task
        with self._condition:
            if self._value is _UNDECODED and self._error is None:
                status, kind, text = self._outcome
                self._decode(status, kind, text)
                self._outcome = (status, kind, None)  # the text is not needed twice
        return self._error

    def cancel(self) -> bool:
        """Takes the call back, if no worker has begun it. True: it is cancelled. What runs goes on: see terminate()."""
        if self._cancel_unsent():
            return True
        if self.done():
            return False
        try:
            if self.status() != "QUEUED" or not self.terminate():
                return self.cancelled()
        except (TreadleError, concurrent.futures.CancelledError):
            return self.cancelled()
        if self._engine.here():
            return False
        concurrent.futures.wait([self], _CANCEL)
        return self.cancelled()

    def _cancel_unsent(self) -> bool:
        with self._engine.lock:
            unsent = not self._sent
            self._sent = True  # it is left out of the next request, or was cancelled before
        if unsent and super().cancel():
            super().set_running_or_notify_cancel()
        return self.cancelled()

    def running(self) -> bool:
        """Whether a worker runs it now, as the server sees it."""
        return not self.done() and self._task_id is not None and self.status() == "RUNNING"

    # ---- what Treadle has besides ----

    @property
    def task_id(self) -> str:
        """The id by which any client finds the task again: `client.future(task_id)`. Waits until the server has accepted the call."""
        while self._task_id is None:
            if self.done():
                raise self.exception() or TreadleError("the call was cancelled before it became a task")
            self._engine.need()
            with self._engine.accepted:
                if self._task_id is None and not self.done():
                    self._engine.accepted.wait(1.0)
        return self._task_id

    def status(self) -> str:
        """QUEUED, RUNNING, COMPLETED or FAILED, as the server sees it now."""
        if self._outcome is not None:
            return self._outcome[0]
        if self._task_id is None and not self.done():
            return "QUEUED"
        return self._client._transport.call("GET", f"/status/{self.task_id}")["status"]  # type: ignore[no-any-return]

    def terminate(self) -> bool:
        """Ends the task, also while it runs: its process and all that it started are killed. False: it had ended before."""
        try:
            self._client._transport.call("DELETE", f"/v1/tasks/{self.task_id}")
        except NotFound:
            raise
        except RequestRefused as error:
            if error.status != 409:
                raise
            return False
        return True

    def info(self) -> dict[str, Any]:
        """All that the server tells of the task: attempts, worker, time line, error (GET /v1/tasks/{id}, docs/api.md)."""
        return self._client._transport.call("GET", f"/v1/tasks/{self.task_id}")  # type: ignore[no-any-return]

    def logs(self) -> str:
        """The last 64 KiB that the task wrote to stdout and stderr; empty until it has ended."""
        return self.info()["output"]  # type: ignore[no-any-return]

    def __await__(self) -> Generator[Any, None, R]:
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[None] = loop.create_future()

        def wake() -> None:
            if not ended.done():
                ended.set_result(None)

        def tell(_: object) -> None:
            try:
                loop.call_soon_threadsafe(wake)
            except RuntimeError:
                pass  # the loop is closed: nobody awaits

        self._engine.need()
        self.add_done_callback(tell)
        try:
            yield from ended
        except asyncio.CancelledError:
            loop.run_in_executor(None, self.cancel)
            raise
        return self.result(0)

    def __repr__(self) -> str:
        state = self._outcome[0] if self._outcome else "cancelled" if self.cancelled() else "pending"
        return f"<treadle.Future {self._task_id or 'being sent'} {state}>"

    def _repr_html_(self) -> str:
        return f"<code>{self!r}</code>".replace("<treadle", "&lt;treadle")

    def __reduce__(self) -> tuple[Any, ...]:
        return _elsewhere, (self._client, self.task_id)

    # ---- the engine's side ----

    def _settle(self, status: str, kind: str | None, result: Any) -> None:
        """The task has ended. What came is decoded by whoever asks for it, not in the I/O thread."""
        if kind == "Cancelled":
            super().cancel()
            super().set_running_or_notify_cancel()
        elif isinstance(result, TreadleError):
            super().set_exception(result)
        else:
            self._outcome = (status, kind, result)
            if status == "FAILED":
                super().set_exception(TaskFailed("not decoded yet", self._task_id))
            else:
                super().set_result(None)

    def _fail(self, error: BaseException) -> None:
        if not self.done():
            super().set_exception(error)

    def _after_fork(self) -> None:
        self._condition = threading.Condition()
        self._engine = self._client._engine

    def _decode(self, status: str, kind: str | None, text: str) -> None:
        try:
            made = loads(base64.b64decode(text))
        except Exception as error:
            if status == "FAILED":
                self._error = TaskFailed(
                    f"task {self._task_id} failed ({kind}), and its exception cannot be unpickled here: {error!r}", self._task_id
                )
                return
            self._error = ResultUnreadable(
                f"task {self._task_id} is COMPLETED, but its result cannot be unpickled here: {type(error).__name__}: {error}"
            )
            self._error.__cause__ = error
            return
        if status == "FAILED":
            self._error = _failure(made, self._task_id)
        else:
            self._value = made


def _failure(made: Any, task_id: str | None) -> BaseException:
    """The exception to raise for a failure object (docs/decisions/0005-failure-object.md)."""
    failed = TaskFailed(str(made), task_id)
    original = getattr(made, "original", None)
    if isinstance(original, bytes):
        try:
            made = loads(original)
        except Exception:
            pass  # its class is not here; a kind of it is
    # SystemExit and the like, raised here, would end the caller for what the function did.
    if not isinstance(made, Exception):
        return failed
    made.__cause__ = failed
    return made


def take_back(client: Client, futures: Iterable[Future[Any]]) -> None:
    """cancel() for many, newest first, without waiting for what workers say."""
    sent = [future for future in reversed(list(futures)) if not future.done() and not future._cancel_unsent()]
    for begin in range(0, len(sent), _LOOKUP):
        part = sent[begin : begin + _LOOKUP]
        ids = [future.task_id for future in part if not future.done()]
        if not ids:
            continue
        told = client._transport.call("POST", "/v1/tasks:lookup", {"task_ids": ids})
        for row in told["tasks"]:
            if row["status"] == "QUEUED":
                try:
                    client._transport.call("DELETE", f"/v1/tasks/{row['task_id']}")
                except RequestRefused:
                    pass  # it has ended meanwhile


def _elsewhere(client: Client, task_id: str) -> Future[Any]:
    return client.future(task_id)

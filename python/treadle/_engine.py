"""The one I/O thread of a client: it submits calls in batches and waits for all that were submitted, in one request.

The thread starts with the first call, not at import, and ends with Client.close(). In a child process of os.fork() the
futures that the server had accepted go on, on a thread of the child's own; what was not yet sent stays the parent's.
"""

from __future__ import annotations

import asyncio
import atexit
import collections
import itertools
import json
import os
import threading
import time
import uuid
import weakref
from typing import TYPE_CHECKING, Any, Iterable

from ._http import Transport
from ._stream import Stream
from .errors import RequestRefused, ServerUnreachable, TreadleError, refusal

if TYPE_CHECKING:
    from .futures import Future

_BATCH_TASKS = 2_000  # calls of one request; the server allows 10,000
_BATCH_TEXT = 8 << 20  # characters of their payloads; the server allows 16 MiB
_BATCH_FUNCTIONS = 200  # different functions of one request; the server allows 256
_OF_ONE = (400, 404, 413)  # what one bad call brings upon its whole batch
_ALONE = 1 << 20  # characters of a payload that is sent in a request of its own
_QUEUED = 200_000  # calls that wait to be sent; then submit() blocks
_WAIT = 30.0  # seconds for which the server may hold a wait; it allows 60
_WAIT_SOME = 1.0  # the same while there are tasks that it does not name
_WINDOW = 1_000  # oldest tasks that every wait names: those end next, mostly
_SLICE = 250  # of the others, as many in turn
_WIDE_SLICE = 4_000  # the same after a wait that brought little
_LITTLE = 10
_BUSY = 200  # tasks under way, from which on answers are gathered
_GATHER = 0.01  # seconds between two waits then
_IDLE = 0.1  # seconds after a wait that brought nothing although it could have been held: the server stops
_OVERTAKE = 0.25  # seconds for a held wait to be released by the next one; else something between us keeps it
_SLOWEST_RETRY = 1.0  # seconds between two tries
_REST = 30.0  # seconds between two looks whether there is anything to do; after two without, the thread ends
_FLUSH = 10.0  # seconds that the end of the process waits for calls that were not sent yet

_engines: weakref.WeakSet[Engine] = weakref.WeakSet()
_left_to_parent: list[Any] = []  # loops and sockets of a parent process: not ours to close


class Engine:
    def __init__(self, transport: Transport, timeout: float, retry_for: float):
        self._transport = transport
        self._timeout = timeout
        self._retry_for = retry_for
        self._start_afresh()
        _engines.add(self)

    def _start_afresh(self) -> None:
        self.lock = threading.Lock()  # guards the queue, the thread, and whether a future was sent
        self.accepted = threading.Condition(self.lock)  # told when calls were sent, and when one has ended
        self._queue: collections.deque[Future[Any]] = collections.deque()
        self._sending: list[Future[Any]] = []
        self._pending: dict[str, Future[Any]] = {}  # accepted, not known to have ended; oldest first
        self._arrived = 0  # that were ever put there
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._asleep = False  # the submitting side waits for its event

    # ---- any thread ----

    def submit(self, futures: Iterable[Future[Any]]) -> None:
        """Queues calls. Blocks while too many wait; never in a callback of a future."""
        here = threading.current_thread()
        for future in futures:
            with self.lock:
                while len(self._queue) >= _QUEUED and here is not self._thread:
                    self._wake()
                    self.accepted.wait(1.0)
                self._queue.append(future)
                if self._thread is None or self._asleep:
                    self._wake()

    def watch(self, future: Future[Any], task_id: str) -> Future[Any]:
        """Waits for the end of a task that was submitted elsewhere or earlier. Returns the future that gets it."""
        with self.lock:
            watched = self._pending.setdefault(task_id, future)
            self._arrived += 1
            self._wake()
        return watched

    def need(self) -> None:
        """Somebody waits for a future: there must be a thread, also after close() and in a child process."""
        if self._thread is None:
            with self.lock:
                self._wake()

    def here(self) -> bool:
        """Whether this is the I/O thread, which must not wait for what only it can bring."""
        return threading.current_thread() is self._thread

    def flush(self, timeout: float | None = None) -> bool:
        """Returns when every call has been sent, or False after `timeout` seconds."""
        deadline = None if timeout is None else time.monotonic() + timeout
        with self.lock:
            while self._queue or self._sending:
                left = 1.0 if deadline is None else deadline - time.monotonic()
                if left <= 0:
                    return False
                if self._thread is None:
                    self._wake()
                self.accepted.wait(min(1.0, left))
        return True

    def close(self) -> None:
        """Sends what is queued and ends the thread. A later call starts another."""
        if self.here():
            return
        self.flush(_FLUSH)
        with self.lock:
            thread, loop = self._thread, self._loop
            if thread is not None and loop is not None:
                loop.call_soon_threadsafe(self._stop.set)
        if thread is not None:
            thread.join()

    def _wake(self) -> None:
        """With the lock held. Starts the thread, or tells it of news."""
        self._asleep = False
        if self._thread is None:
            self._ready = threading.Event()
            self._thread = threading.Thread(target=self._run, name="treadle-io", daemon=True)
            self._thread.start()
            self._ready.wait()
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._news)

    def after_fork(self) -> None:
        """In the child: the thread, its loop and its sockets are the parent's."""
        _left_to_parent.append((self._loop, self._thread, getattr(self, "_streams", None)))
        unsent = [*self._sending, *self._queue]
        pending = self._pending
        self._start_afresh()
        self._pending = pending
        for future in unsent + list(pending.values()):
            future._after_fork()
        lost = TreadleError("this call was still being sent by the parent process when it forked; only the parent knows its task")
        for future in unsent:
            future._fail(lost)

    # ---- the I/O thread ----

    def _run(self) -> None:
        asyncio.run(self._main())

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop, self._submit_due, self._wait_due = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._submits, self._waits, self._fetches = (Stream(self._transport) for _ in range(3))
        streams = self._streams = [self._submits, self._waits, self._fetches]
        self._idle = False  # at the last look
        self._turn = 0  # of the slices
        self._brought = _LITTLE  # by the last wait
        self._overtakes = True  # a wait that follows on the same connection releases the one before it
        self._ready.set()
        tasks = [asyncio.ensure_future(part()) for part in (self._submit_loop, self._wait_loop)]
        stop: asyncio.Future[Any] = asyncio.ensure_future(self._stop.wait())
        try:
            while not self._rests():
                done, _ = await asyncio.wait([*tasks, stop], timeout=_REST, return_when=asyncio.FIRST_COMPLETED)
                if stop in done:
                    break
                for task in done:
                    task.result()  # a mistake of ours: threading's hook shows it
        except Exception as error:
            self._fail_all(error)
            raise
        finally:
            await _end([*tasks, stop])
            for stream in streams:
                stream.close()
            with self.lock:
                if self.here():
                    self._thread = self._loop = None
                self.accepted.notify_all()

    def _rests(self) -> bool:
        """Whether there was nothing to do for so long that the thread may end; the next call starts another."""
        with self.lock:
            busy = self._queue or self._sending or self._pending
            idle, self._idle = self._idle, not busy
            if busy or not idle:
                return False
            self._thread = self._loop = None
            return True

    def _fail_all(self, error: Exception) -> None:
        with self.lock:
            futures = [*self._sending, *self._queue, *self._pending.values()]
            self._sending = []
            self._queue.clear()
            self._pending = {}
        for future in futures:
            future._fail(error)

    def _news(self) -> None:
        self._submit_due.set()
        self._wait_due.set()

    # -- submitting --

    def _take(self) -> list[Future[Any]]:
        """The calls of the next request, marked as sent; those that were cancelled meanwhile are left out."""
        batch: list[Future[Any]] = []
        text = 0
        functions = set()
        with self.lock:
            while self._queue and len(batch) < _BATCH_TASKS:
                future = self._queue[0]
                if future._sent:  # it was cancelled
                    self._queue.popleft()
                    continue
                size = len(future._call.payload)
                functions.add(future._call.function_id)
                full = text + size > _BATCH_TEXT or len(functions) > _BATCH_FUNCTIONS
                if batch and (full or size > _ALONE):
                    break
                self._queue.popleft()
                future._sent = True
                batch.append(future)
                text += size
                if size > _ALONE:
                    break
            self._sending = batch
            self._asleep = not batch
            self.accepted.notify_all()
        return batch

    async def _submit_loop(self) -> None:
        while True:
            self._submit_due.clear()
            batch = self._take()
            if not batch:
                await self._submit_due.wait()
                continue
            await self._send(batch)
            with self.lock:
                self._sending = []
                self.accepted.notify_all()
            self._wait_due.set()

    async def _send(self, batch: list[Future[Any]]) -> None:
        try:
            if len(batch) == 1:
                answer = await self._post("/v1/tasks", batch[0]._call.json())
                ids = [answer]
            else:
                body = '{"tasks":[' + ",".join([future._call.json() for future in batch]) + "]}"
                ids = (await self._post("/v1/tasks:batch", body))["tasks"]
        except TreadleError as error:
            if isinstance(error, RequestRefused) and error.status in _OF_ONE and len(batch) > 1:
                for future in batch:  # nothing of it was accepted; the good ones are, one by one
                    await self._send([future])
                return
            for future in batch:
                future._fail(error)
            return
        for future, row in zip(batch, ids):
            self._note(future, row)

    def _note(self, future: Future[Any], row: dict[str, Any]) -> None:
        if "task_id" not in row:
            return future._fail(refusal(row["error"]["status"], row["error"]["detail"]))
        future._task_id = row["task_id"]
        future._call = None  # its payload is at the server now
        self._pending[row["task_id"]] = future
        self._arrived += 1

    async def _post(self, path: str, body: str) -> Any:
        """Sent until there is an answer; the key sees to it that the calls are taken once."""
        data, headers = body.encode(), f"Idempotency-Key: {uuid.uuid4()}\r\n"
        patience = _Patience(self, self._submits)
        while True:
            try:
                status, fields, answer = await self._submits.call("POST", path, data, headers, self._timeout)
            except (OSError, asyncio.TimeoutError) as error:
                await patience.after(error)
                continue
            if status in (429, 502, 503):
                await patience.after_refusal(_refused(status, answer), fields)
                continue
            if status >= 300:
                raise _refused(status, answer)
            return json.loads(answer)

    # -- waiting --

    def _window(self) -> tuple[list[str], float]:
        """The tasks that the next wait names, and how long it may be held."""
        pending = self._pending
        some = _SLICE if self._brought >= _LITTLE else _WIDE_SLICE
        if len(pending) <= _WINDOW + some:
            return list(pending), _WAIT
        ids = list(itertools.islice(pending, _WINDOW))
        begin = self._turn % (len(pending) - _WINDOW)
        self._turn = begin + some
        ids += itertools.islice(pending, _WINDOW + begin, _WINDOW + begin + some)
        return ids, _WAIT_SOME

    async def _wait_loop(self) -> None:
        patience = _Patience(self, self._waits)
        while True:
            if not self._pending:
                self._wait_due.clear()
                if not self._pending:
                    await self._wait_due.wait()
                continue
            begun = time.monotonic()
            try:
                self._brought = await self._wait_once()
                patience = _Patience(self, self._waits)
                if self._brought == 0 and time.monotonic() - begun < _IDLE:
                    await asyncio.sleep(_IDLE)
            except (OSError, asyncio.TimeoutError) as error:
                self._waits.close()
                try:
                    await patience.after(error)
                except ServerUnreachable as gone:
                    self._fail_pending(gone)
                    patience = _Patience(self, self._waits)
            if len(self._pending) > _BUSY:
                await asyncio.sleep(_GATHER)

    def _fail_pending(self, error: Exception) -> None:
        pending, self._pending = self._pending, {}
        for future in pending.values():
            future._fail(error)

    async def _wait_once(self) -> int:
        """One wait to its end; returns how many tasks it brought. While it is held, news of further tasks make the next
        one overtake it.
        """
        brought = 0
        held = await self._ask()
        answer = asyncio.ensure_future(self._waits.receive())
        try:
            while True:
                self._wait_due.clear()
                if self._arrived > held:
                    self._wait_due.set()
                news = asyncio.ensure_future(self._wait_due.wait())
                done, _ = await asyncio.wait(
                    [answer, news], timeout=_WAIT + self._timeout, return_when=asyncio.FIRST_COMPLETED
                )
                news.cancel()
                if answer in done:
                    return brought + await self._take_in(answer.result())
                if not done:
                    raise TimeoutError(f"no answer within {_WAIT + self._timeout:g} s")
                if self._arrived <= held:
                    continue
                brought += 1  # to come back at once
                if not self._overtakes:
                    self._waits.close()
                    return brought
                held = await self._ask()
                done, _ = await asyncio.wait([answer], timeout=_OVERTAKE)
                if not done:  # a proxy that sends one request after the other
                    self._overtakes = False
                    self._waits.close()
                    return brought
                brought += await self._take_in(answer.result())
                if answer.result()[1].get("connection", "").lower() == "close":
                    return brought
                answer = asyncio.ensure_future(self._waits.receive())
        finally:
            answer.cancel()

    async def _ask(self) -> int:
        """Sends a wait; returns how many tasks had come by then."""
        arrived = self._arrived
        ids, wait = self._window()
        body = '{"results":true,"wait":%g,"task_ids":["%s"]}' % (wait, '","'.join(ids))
        await asyncio.wait_for(self._waits.send("POST", "/v1/tasks:wait", body.encode()), self._timeout)
        return arrived

    async def _take_in(self, answered: tuple[int, dict[str, str], bytes]) -> int:
        status, _, body = answered
        if status in (429, 502, 503):
            raise ConnectionError(_refused(status, body).detail)
        if status >= 300:
            self._fail_pending(_refused(status, body))
            return 1
        answer = json.loads(body)
        for row in answer["tasks"]:
            future = self._pending.pop(row["task_id"], None)
            if future is None:
                continue
            if row["result"] is None:
                row["result"] = await self._fetch(row["task_id"])
            future._settle(row["status"], row["error_kind"], row["result"])
        for task_id in answer["missing"]:
            future = self._pending.pop(task_id, None)
            if future is not None:
                future._fail(refusal(404, f"There is no task {task_id}."))
        return len(answer["tasks"]) + len(answer["missing"])

    async def _fetch(self, task_id: str) -> str | TreadleError:
        """The text of a result that is too large to come with others."""
        patience = _Patience(self, self._fetches)
        while True:
            try:
                status, _, body = await self._fetches.call("GET", f"/result/{task_id}", timeout=self._timeout * 10)
            except (OSError, asyncio.TimeoutError) as error:
                try:
                    await patience.after(error)
                except ServerUnreachable as gone:
                    return gone
                continue
            if status != 200:
                return _refused(status, body)
            text = json.loads(body)["result"]
            assert isinstance(text, str)
            return text


async def _end(parts: Iterable[asyncio.Future[Any]]) -> None:
    """Cancels until all have ended: wait_for up to Python 3.11 loses a cancel that comes together with its result."""
    left = set(parts)
    while left:
        for one in left:
            one.cancel()
        done, left = await asyncio.wait(left, timeout=0.05)
        await asyncio.gather(*done, return_exceptions=True)  # an exception was raised already, or comes too late to matter


class _Patience:
    """How long a request is tried again: `retry_for` seconds, but not at all at a server that never answered."""

    def __init__(self, engine: Engine, stream: Stream):
        self._engine = engine
        self._stream = stream
        self._deadline: float | None = None
        self._pause = 0.02

    async def _again(self, pause: float) -> bool:
        now = time.monotonic()
        if self._deadline is None:
            self._deadline = now + self._engine._retry_for
        if now + pause > self._deadline or self._engine._stop.is_set():
            return False
        await asyncio.sleep(pause)
        self._pause = min(_SLOWEST_RETRY, self._pause * 2)
        return True

    async def after(self, error: BaseException) -> None:
        url = self._engine._transport.url
        if isinstance(error, ConnectionRefusedError) and not any(stream.worked for stream in self._engine._streams):
            raise ServerUnreachable(f"no Treadle server at {url} ({error}). Start one with `treadle serve`") from error
        if not await self._again(self._pause):
            raise ServerUnreachable(
                f"{url} has not answered for {self._engine._retry_for:g} s ({error or type(error).__name__}). What was accepted goes on; "
                "client.future(task_id) waits for it again"
            ) from error

    async def after_refusal(self, error: RequestRefused, fields: dict[str, str]) -> None:
        try:
            asked = float(fields.get("retry-after", "0"))
        except ValueError:
            asked = 0.0
        if not await self._again(max(self._pause, asked)):
            raise error


def _refused(status: int, body: bytes) -> RequestRefused:
    try:
        detail = json.loads(body)["detail"]
    except (ValueError, KeyError, TypeError):
        detail = "not an answer of a Treadle server: " + body[:200].decode("utf-8", "replace")
    return refusal(status, str(detail))


def _flush_all() -> None:
    for engine in list(_engines):
        engine.flush(_FLUSH)


def _after_fork_all() -> None:
    for engine in list(_engines):
        engine.after_fork()


atexit.register(_flush_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_all)

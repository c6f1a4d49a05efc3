# Part 5 of 7: coroutine functions: tasks of one function run side by side, on an event loop that is kept from run to run.

# ---- tasks side by side --------------------------------------------------------------------------------------------

HERE = contextvars.ContextVar("treadle_task", default=None)  # the Coroutine in whose context something runs
WRITING = _thread.allocate_lock()  # a text and the mark behind it are not to be parted by another thread's
TIDY_SECONDS = 1.0                 # for what is cancelled, and for threads of run_in_executor, to end


class Coroutine:
    """One task, from its token to its answer."""

    def __init__(self, seq, body, big, begun):
        _, self.facts, task, attempt, _, limit_ms = TASK.unpack_from(body)
        self.seq, self.begun = seq, begun
        self.arguments = body[40:] if big is None else big
        self.identity = task, attempt, begun, limit_ms * 1_000_000, seq
        self.cancelled = self.answered = False
        self.handle = None


class SideBySide:
    """While it runs, the loop reads the socket. When no task is left it cancels what they left behind, puts back what they
    changed, and sends the last answer, which was held back for that."""

    def __init__(self, executor):
        self.executor = executor
        self.asyncio = self.loop = self.function = self.number = None
        self.running = {}
        # Without a buffer: half a line of one task would leave with another's.
        self.streams = [io.TextIOWrapper(file, "utf-8", "backslashreplace", write_through=True) for file in executor.surroundings.files]
        self.last = None     # the Coroutine whose answer is held back, and that answer
        self.problem = None  # ends the executor
        self.term = False    # the first one was asked to end before it ran

    def run(self, function, number, seq, body, big, begun):
        executor, self.term = self.executor, False
        loop = self._open(function)
        self.number, self.last = number, None
        for stream in executor.surroundings.streams:
            stream.flush()
        sys.stdout, sys.stderr = self.streams
        self._begin(seq, body, big, begun)
        if self.term:
            self._cancel(seq)
        if not TASK.unpack_from(body)[4] & CONCURRENT:
            executor.send(MSG_STARTED, seq)
        loop.add_reader(executor.sock, self._guarded, self._readable)
        loop.call_soon(self._guarded, self._take)
        while self.last is None and self.problem is None:
            try:
                loop.run_forever()
            except (SystemExit, KeyboardInterrupt):
                continue  # of a task that the function has started itself: who waits for that has got it too
        loop.remove_reader(executor.sock)
        if self.problem is not None:
            raise self.problem
        executor.worn = self._tidy() or executor.worn
        sys.stdout, sys.stderr = executor.surroundings.streams
        task, answer = self.last
        executor.answer(task.seq, *answer, executor.clean(task.begun, task.seq, 0, True), task.begun, task.identity[0])

    def alone(self, coroutine):
        """For a function that is none by its looks, and has returned a coroutine: the only task while that runs."""
        loop = self._open(None)
        main = loop.create_task(coroutine)
        try:
            return loop.run_until_complete(main)
        except BaseException:
            if not main.done():  # it was asked to end while the loop waited
                main.cancel()
                loop.run_until_complete(self.asyncio.wait([main]))
            raise
        finally:
            self.executor.worn = self._tidy() or self.executor.worn

    def on_term(self):
        """Only of a function that was not known to be async, which runs alone; else one task is named by a CANCEL."""
        self.term = not self.running  # it is on its way
        if len(self.running) == 1:
            self.loop.call_soon_threadsafe(self._cancel, next(iter(self.running)))

    # -- the loop --

    def _open(self, function):
        if self.asyncio is None:
            mine, sys.path[:] = sys.path[:], [p for p in sys.path if p not in self.executor.settings.get("paths", [])]
            try:
                self.asyncio = __import__("asyncio")
            finally:
                sys.path[:] = mine
        if self.loop is not None and (self.loop.is_closed() or function is not self.function):
            self._close()
        if self.loop is None:
            self.loop = self.asyncio.new_event_loop()
        self.function = function
        self.asyncio.set_event_loop(self.loop)
        return self.loop

    def _close(self):
        self.loop.close()
        self.loop = None

    def _guarded(self, act, *arguments):
        """The loop would log what goes wrong in our own code, and go on."""
        try:
            if _getpid() != self.executor.pid:
                _exit(0)  # the function has forked, and its child runs on with a copy of the loop
            act(*arguments)
        except BaseException as problem:
            self.problem = problem
            self.loop.stop()

    def _readable(self):
        self.executor.read()
        self._take()

    def _take(self):
        """Begins what may run now. What may not waits until all others are done; nothing is begun past it."""
        executor, kept = self.executor, []
        while executor.frames and self.last is None:
            seq, body, big = executor.frames.popleft()
            if body is False:
                self._cancel(seq)
            elif kept or body is None or not self._fits(body):
                kept.append((seq, body, big))
            elif executor.take_token():
                self._begin(seq, body, big, _now())
            else:
                executor.drop(seq)
        executor.frames.extendleft(kept[::-1])

    def _fits(self, body):
        number, _, _, _, flags, _ = TASK.unpack_from(body)
        return flags & CONCURRENT and number == self.number

    # -- one task --

    def _begin(self, seq, body, big, begun):
        task = self.running[seq] = Coroutine(seq, body, big, begun)
        task.handle = self.loop.create_task(self._main(task))
        task.handle.add_done_callback(lambda handle: self._guarded(self._done, task, handle))

    def _cancel(self, seq):
        task = self.running.get(seq)
        if task is not None:
            task.cancelled = True
            task.handle.cancel()

    async def _main(self, task):
        HERE.set(task)
        executor, function = self.executor, self.function
        try:
            if executor.around.secrets:
                executor.around.begin()
            data, task.arguments = task.arguments, None
            args, kwargs = load_arguments(task.facts, data, executor.picklers)
            del data
            value = await function.call(*args, **kwargs)
            return (COMPLETED, None) + executor.dump(value, function)
        except Failed as failed:
            return failed.kind, failed.error, b"", BY_PICKLE
        except BaseException as raised:
            return FUNCTION_FAILED, raised, b"", BY_PICKLE

    def _done(self, task, handle):
        if _gettrace() is not None:
            _settrace(None)
        task.answered = True
        del self.running[task.seq]
        # Cancelled before it ran at all: then nothing of _main did.
        answer = (FUNCTION_FAILED, self.asyncio.CancelledError(), b"", BY_PICKLE) if handle.cancelled() else handle.result()
        if self.running:
            return self.executor.answer(task.seq, *answer, 0, task.begun, task.identity[0])
        self.last = task, answer
        self.loop.stop()

    # -- at the end --

    def _tidy(self):
        """Ends what the tasks left on the loop. True: some of it does not end."""
        loop, left = self.loop, False
        try:
            if self.asyncio.all_tasks(loop) or getattr(loop, "_asyncgens", True):
                left = loop.run_until_complete(self._end_tasks())
            self.asyncio.set_event_loop(None)
            if getattr(loop, "_default_executor", None) is not None:
                self._close()  # which tells its threads to end
                until = _now() + TIDY_SECONDS * 1e9
                while _thread._count() > self.executor.surroundings.threads and _now() < until:
                    time.sleep(0.001)
            return left
        except BaseException:
            return True

    async def _end_tasks(self):
        asyncio = self.asyncio
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        if left:
            await asyncio.wait(left, timeout=TIDY_SECONDS)
        try:
            await asyncio.wait_for(self.loop.shutdown_asyncgens(), TIDY_SECONDS)
        except asyncio.TimeoutError:
            return True
        return not all(task.done() for task in left)

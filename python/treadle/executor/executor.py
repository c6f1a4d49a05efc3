# Part 7 of 7: the executor: frames, tasks, results (docs/executor-protocol.md, section 3).

# ---- the executor --------------------------------------------------------------------------------------------------


class Executor:
    def __init__(self, settings, picklers, sock, semaphore, stack):
        self.settings, self.picklers = settings, picklers
        self.pid = _getpid()
        self.sock, self.semaphore = socket.socket(fileno=sock), semaphore
        self.sending = _thread.allocate_lock()  # a thread that tells of progress may not cut a result in two
        self.stack = io.FileIO(stack, "w")
        self.mark = bytes.fromhex(settings["mark"])
        self.max_result = settings["max_result"]
        self.failures = Failures(settings["worker_id"])
        self.functions = collections.OrderedDict()
        self.read_into = [bytearray(READ_BYTES)]  # a new one for each read would be mapped and unmapped each time
        self.buffer = bytearray()
        self.fds = []
        self.frames = collections.deque()
        self.current = None      # whose __main__ is in place
        self.in_user_code = False
        self.task = self.asked_to_end = None  # (id, attempt, begun, time limit in ns, seq)
        sys.meta_path.append(TaskModule(self))
        self.since_check = 0
        self.cpu = _cpu_now()    # when the last result left
        self.worn = False        # something could not be put back: asks to be recycled with the next result
        self.around = Around(settings)
        self.surroundings = Surroundings()
        for file in self.surroundings.files:
            file.mark = self.mark
        self.beside = SideBySide(self)
        self._set_signals()

    def _set_signals(self):
        faulthandler.enable(self.stack, all_threads=True)
        faulthandler.register(signal.SIGUSR1, self.stack, all_threads=True, chain=False)
        signal.signal(signal.SIGTERM, self._on_term)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        self.surroundings.handlers = {number: _getsignal(number) for number in SIGNALS}

    def _on_term(self, *_):
        if self.in_user_code:
            self.asked_to_end = self.task
            raise SystemExit("the task was asked to end (SIGTERM)")
        self.beside.on_term()

    # -- frames --

    def send(self, kind, seq, body=b"", flags=0, memfd=-1):
        frame = HEADER.pack(len(body), kind, flags, 0, seq) + body
        with self.sending:
            if memfd < 0:
                return self.sock.sendall(frame)
            rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [memfd]))]
            self.sock.sendall(frame[self.sock.sendmsg([frame], rights):])

    def read(self):
        """Blocks for bytes, then takes all whole frames out of the buffer; functions go to their table at once."""
        size, ancillary, _, _ = self.sock.recvmsg_into(self.read_into, 256)
        if not size:
            _exit(0)
        for _, _, raw in ancillary:
            self.fds.extend(array.array("i", raw[: len(raw) - len(raw) % 4]))
        buffer = self.buffer
        buffer += memoryview(self.read_into[0])[:size]
        begin, end = 0, len(buffer)
        while end - begin >= 16:
            length, kind, flags, _, seq = HEADER.unpack_from(buffer, begin)
            if end - begin - 16 < length:
                break
            body = bytes(buffer[begin + 16: begin + 16 + length])
            begin += 16 + length
            if kind == MSG_TASK:
                self.frames.append((seq, body, self._memfd(body, 40) if flags & FLAG_MEMFD else None))
            elif kind == MSG_FUNCTION:
                number, facts = PAIR.unpack_from(body)
                self._keep_function(number, Function(facts, self._memfd(body, 8) if flags & FLAG_MEMFD else body[8:]))
            elif kind == MSG_CANCEL:
                self.frames.append((seq, False, None))
            elif kind == MSG_EXIT:
                self.frames.append((0, None, None))
        del buffer[:begin]

    def _memfd(self, body, at):
        size = SIZE.unpack_from(body, at)[0]
        fd = self.fds.pop(0)
        try:
            return mmap.mmap(fd, size, mmap.MAP_PRIVATE, mmap.PROT_READ) if size else b""
        finally:
            os.close(fd)

    def _keep_function(self, number, function):
        self.functions[number] = function
        self.functions.move_to_end(number)
        if len(self.functions) > FUNCTIONS_KEPT:
            self.functions.popitem(last=False)

    def take_token(self):
        try:
            _os_read(self.semaphore, 8)
            return True
        except BlockingIOError:
            return False

    # -- the loop --

    def run(self):
        self.send(MSG_READY, 0, READY.pack(1, self.pid, sys.version_info[0], sys.version_info[1], 0))
        fresh = self.settings.get("isolation") == "fresh"
        frames = self.frames
        try:
            while True:
                while not frames:
                    self.read()
                seq, body, big = frames.popleft()
                if body is None:
                    return self.around.leave()
                if body is False:
                    continue  # its task is over
                if not self.take_token():
                    self.drop(seq)
                    continue
                self.run_task(seq, body, big)
                if fresh:
                    return self.around.leave()
        except BaseException as error:
            if isinstance(error, OSError) and not isinstance(error, BlockingIOError):
                why = "its connection to the supervisor was closed or replaced by the function (%s)" % error
            else:
                why = "%s: %s" % (type(error).__name__, safe_text(error))
            try:
                self.send(MSG_GAVE_UP, 0, clip(why))
            except OSError:
                pass
            _exit(70)

    def drop(self, seq):
        """A recall: nothing that was read will run here."""
        kept = []
        for frame in self.frames:
            seq = max(seq, frame[0])
            if not isinstance(frame[1], bytes):
                kept.append(frame)
        self.frames.clear()
        self.send(MSG_IDLE, seq)
        self.frames.extend(kept)

    def _function(self, number, seq):
        function = self.functions.get(number)
        if function is None:
            self.send(MSG_NEED_FUNCTION, seq, PAIR.pack(number, 0))
            while number not in self.functions:
                self.read()
            function = self.functions[number]
        self.functions.move_to_end(number)
        return function

    def run_task(self, seq, body, big):
        begun = _now()
        number, facts, task, attempt, flags, limit_ms = TASK.unpack_from(body)
        self.task = task, attempt, begun, limit_ms * 1_000_000, seq
        function = self._function(number, seq)
        if function is not self.current:
            if self.current is not None:
                self.worn = self.surroundings.reset_all() or self.worn
            self.picklers.enter(function.main)
            self.current = function
            self.since_check = 0
        if function.is_async:
            return self.beside.run(function, number, seq, body, big, begun)
        if flags & MARK_OUTPUT:
            self._write_marks(seq, True)
        kind, error, value, made_by = COMPLETED, None, b"", BY_PICKLE
        try:
            try:
                if self.around.secrets:
                    self.around.begin()
                self.in_user_code = True
                if function.call is None:
                    function.load(self.picklers)
                if not function.is_async:
                    args, kwargs = load_arguments(facts, body[40:] if big is None else big, self.picklers)
                    value, made_by = self._call(function, args, kwargs)
            finally:
                if _gettrace() is not None:
                    _settrace(None)  # it would run, and raise, in our own code
                self.in_user_code = False
        except Failed as failed:
            kind, error = failed.kind, failed.error
        except BaseException as raised:
            kind, error = FUNCTION_FAILED, raised
        if _getpid() != self.pid:
            _exit(0)  # the function has forked, and its child came back here too
        if function.is_async and error is None:
            return self.beside.run(function, number, seq, body, big, begun)
        recycle = self.clean(begun, seq, flags, error is not None)
        self.answer(seq, kind, error, value, made_by, recycle, begun, task)

    def answer(self, seq, kind, error, value, made_by, recycle, begun, task):
        if error is None:
            self._send_result(seq, COMPLETED, made_by, recycle, (b"", b"", b""), begun, value)
        else:
            self._send_failure(seq, kind, error, recycle, begun, task)

    def _call(self, function, args, kwargs):
        value = function.call(*args, **kwargs)
        if _gettrace() is not None:
            _settrace(None)
        if isinstance(value, types.CoroutineType):
            value = self.beside.alone(value)
        return self.dump(value, function)

    def dump(self, value, function):
        try:
            data, made_by = self.picklers.dumps(value, function.from_sdk)
        except Exception as error:
            raise Failed(UNSERIALIZABLE, TypeError("the result, a %s, cannot be pickled: %s: %s"
                                                   % (type(value).__name__, type(error).__name__, safe_text(error))))
        if len(data) > self.max_result:
            own = self.settings.get("result_limit") == self.max_result
            raise Failed(TOO_LARGE, ValueError("the result is %d bytes when pickled, and the limit is %d: return less, write it to a "
                                               "file or object store and return the name, or %s" % (
                                                   len(data), self.max_result, "raise the function's option result_limit"
                                                   if own else "start the server with a larger --max-payload")))
        return data, made_by

    def clean(self, begun, seq, flags, failed):
        surroundings = self.surroundings
        try:
            surroundings.out.flush()
            surroundings.err.flush()
        except (Exception, SystemExit):
            return RECYCLE
        recycle = surroundings.reset() or self.around.clean()
        self.since_check += 1
        ran = _now() - begun
        if failed or ran > FULL_CHECK_NS or self.since_check >= FULL_CHECK_EVERY:
            self.since_check = 0
            recycle = surroundings.reset_all() or recycle
        elif ran > LIKELY_CHECK_NS:
            recycle = surroundings.reset_likely() or recycle
        elif sys.stdout is not surroundings.out or sys.stderr is not surroundings.err:
            sys.stdout, sys.stderr = surroundings.streams
        if flags & MARK_OUTPUT or surroundings.dirty():
            recycle = not self._write_marks(seq, False) or recycle
        return RECYCLE if recycle or self.worn else 0

    def _write_marks(self, seq, start):
        for file in self.surroundings.files:
            file.dirty = False
        mark = bytes([self.mark[0] ^ 128]) + self.mark[1:] if start else self.mark
        try:
            for fd in (1, 2):
                _os_write(fd, mark + SIZE.pack(seq))
            return True
        except OSError:
            return False

    def _send_failure(self, seq, kind, error, recycle, begun, task):
        if kind == FUNCTION_FAILED and isinstance(error, MemoryError) and self.settings.get("memory_limit"):
            kind = OUT_OF_MEMORY
        if kind == FUNCTION_FAILED and isinstance(error, OSError) and error.errno == EMFILE and self.settings.get("open_files"):
            kind = LIMIT_EXCEEDED
        name = type(error).__name__
        classes = class_names(error) if kind == FUNCTION_FAILED else ""
        message = self.around.hide(safe_text(error))
        if isinstance(error, ModuleNotFoundError):
            message += missing_module_note(error)
        try:
            lines = traceback.format_exception(type(error), error, user_part(error.__traceback__))
            trace = self.around.hide("".join(lines))
        except BaseException as problem:
            trace = "<no traceback: %s>" % type(problem).__name__
        head = "Function Failure: %s: %s" % (name, message)
        text = clip(head + "\n\n" + trace).decode("utf-8")
        identity = task_text(task)
        message = clip(message)
        original = self.picklers.original(error) if kind == FUNCTION_FAILED and self.current.from_sdk else b""
        stream = self.failures.stream(error, message.decode("utf-8"), text, identity, original)
        texts = (clip(name + "\n" + classes) if classes else clip(name), message, clip(trace))
        self._send_result(seq, kind, BY_TEXT, recycle, texts, begun, stream)

    def _send_result(self, seq, kind, made_by, flags, texts, begun, data):
        now, cpu = _now(), _cpu_now()
        peak = _getrusage(_SELF).ru_maxrss << 10 if kind or now - begun > FULL_CHECK_NS else 0
        head = RESULT.pack(kind, made_by, flags, len(texts[0]), len(texts[1]), len(texts[2]), begun, now, (cpu - self.cpu) // 1000, peak)
        self.cpu = cpu
        if len(data) <= MEMFD_ABOVE:
            return self.send(MSG_RESULT, seq, b"".join((head, texts[0], texts[1], texts[2], data)))
        memfd = os.memfd_create("result", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            view = memoryview(data)
            while view:
                view = view[_os_write(memfd, view):]
            fcntl.fcntl(memfd, F_ADD_SEALS, ALL_SEALS)
            self.send(MSG_RESULT, seq, head + SIZE.pack(len(data)) + b"".join(texts), FLAG_MEMFD, memfd)
        finally:
            os.close(memfd)


def class_names(error):
    """Its class and the bases of that, each with its module unless it is built in: what the option retry_on names."""
    names = []
    for base in type(error).__mro__:
        if base is BaseException or not issubclass(base, BaseException):
            continue
        module = base.__module__
        names.append(base.__qualname__ if module == "builtins" else "%s.%s" % (module, base.__qualname__))
    return " ".join(names)


def user_part(trace):
    """The traceback without the frames of this file above the user's code; all of it if there are no others."""
    part = trace
    while part is not None and part.tb_frame.f_globals is globals_of_this_file:
        part = part.tb_next
    return part or trace


globals_of_this_file = sys._getframe().f_globals

# Part 3 of 7: function bodies and arguments, and what a task may have left behind.

CO_COROUTINE = 0x80       # of co_flags
PICKLERS = ("dill", "dill._dill", "cloudpickle", "cloudpickle.cloudpickle")  # modules without which no other function can be loaded

# ---- functions -----------------------------------------------------------------------------------------------------


class Function:
    """A function body and, once loaded, the callable, in a __main__ of its own."""

    def __init__(self, facts, body):
        self.facts, self.body = facts, body
        self.call = None
        self.from_sdk = self.is_async = False
        self.main = types.ModuleType("__main__")
        self.main.__dict__["__builtins__"] = builtins

    def load(self, picklers):
        check_python(self.facts, "function")
        try:
            call = from_source(self.body, self.main) if self.facts & 15 == 1 else picklers.loads(self.body, self.facts & 16)
        except Exception as error:
            raise Failed(DESERIALIZE_FAILED, error)
        if not callable(call):
            raise TypeError("the registered payload is a %s, which cannot be called" % type(call).__name__)
        self.from_sdk = SDK_MARK in bytes(self.body[:64])
        self.call, self.body, self.is_async = call, None, is_coroutine_function(call)


def is_coroutine_function(call):
    """`async def`, a partial or a method of one, or an object with `async def __call__`."""
    while isinstance(call, functools.partial):
        call = call.func
    code = getattr(getattr(call, "__func__", call), "__code__", None) or getattr(getattr(type(call), "__call__", None), "__code__", None)
    return isinstance(code, types.CodeType) and code.co_flags & CO_COROUTINE != 0


def from_source(body, main):
    """Runs the text as a module; the function is the one that a first line `# treadle: NAME` names, else the last def."""
    text = bytes(body).decode("utf-8")
    exec(compile(text, "<function source>", "exec"), main.__dict__)
    first = text.partition("\n")[0]
    if first.startswith("# treadle:"):
        return main.__dict__[first.partition(":")[2].strip()]
    found = [value for value in main.__dict__.values() if isinstance(value, types.FunctionType) and value.__module__ == "__main__"]
    if not found:
        raise ValueError("the source defines no function")
    return found[-1]


def check_python(facts, what):
    """Bits 16 to 23 are the Pythons that can run it, 3.8 first; the last one stands for 3.15 and all later ones."""
    fitting = facts >> 16 & 255
    mine = sys.version_info[1]
    if not fitting or fitting >> min(mine, 15) - 8 & 1:
        return
    minors = ["3.%d" % minor for minor in range(8, 16) if fitting >> minor - 8 & 1]
    if fitting >> 7:
        minors[1:] = []
    names = ", ".join(minors[:-1]) + " or " * (len(minors) > 1) + minors[-1] + (" or later" if fitting >> 7 else "")
    raise Failed(PYTHON_MISMATCH, RuntimeError(
        "the %s holds bytecode of Python %s, and this worker runs %s (%s), which cannot execute it. Ways out: start the worker "
        "with --python python%s; pickle with Python 3.%d; or put the function in a module that both sides can import"
        % (what, names, sys.version.split()[0], sys.executable, minors[-1], mine)))


def load_arguments(facts, data, picklers):
    check_python(facts, "arguments")
    try:
        loaded = json.loads(bytes(data)) if facts & 15 == 2 else picklers.loads(data, facts & 16)
    except Exception as error:
        raise Failed(DESERIALIZE_FAILED, error)
    if isinstance(loaded, (tuple, list)) and len(loaded) == 2 and isinstance(loaded[0], (tuple, list)) and isinstance(loaded[1], dict):
        return loaded
    raise TypeError("the arguments payload must be a pickled pair (args, kwargs): a tuple and a dict. It is %s"
                    % clip(safe_text(loaded, repr))[:200].decode("utf-8", "replace"))


# ---- what a task may have left behind ------------------------------------------------------------------------------


class NotingFile(io.FileIO):
    """fd 1 or 2, which notes that something was written, and says at once whose it was while many tasks run."""
    dirty = False
    mark = b""

    def write(self, data):
        self.dirty = True
        task = HERE.get()
        if task is None or task.answered:
            return io.FileIO.write(self, data)
        rest = memoryview(bytes(data) + self.mark + SIZE.pack(task.seq))
        with WRITING:
            while rest:
                rest = rest[_os_write(self.fileno(), rest):]
        return len(bytes(data))


class Surroundings:
    """Puts back what a task changed. Cheap things after each task, all of them when a task ran long or was another function's."""

    def __init__(self):
        self.files = [NotingFile(fd, "w", closefd=False) for fd in (1, 2)]
        self.streams = [io.TextIOWrapper(io.BufferedWriter(f, 8192), "utf-8", "backslashreplace", line_buffering=True) for f in self.files]
        sys.stdout, sys.stderr = sys.__stdout__, sys.__stderr__ = self.streams
        self.out, self.err = self.streams
        self.environ = dict(os.environ._data)
        self.threads = _thread._count()
        self.cwd = os.getcwd()
        self.umask = os.umask(0o022)
        os.umask(self.umask)
        self.path = list(sys.path)
        self.recursion = sys.getrecursionlimit()
        self.locale = locale.setlocale(locale.LC_ALL)
        self.table, self.loaded = sys.modules, dict(sys.modules)
        picklers = [sys.modules[name] for name in PICKLERS if name in sys.modules]
        self.modules = [(one.__dict__, dict(one.__dict__)) for one in (builtins, os, time, signal, io, pickle, *picklers)]
        self.collector = gc.get_threshold()
        self.switch = sys.getswitchinterval()
        self.limits = [(which, resource.getrlimit(which)) for which in RLIMITS]
        self.handlers = {}
        self.children = self._open_children()

    def dirty(self):
        return self.files[0].dirty or self.files[1].dirty

    def reset(self):
        """After every task. True: something cannot be put back."""
        try:
            if os.environ._data != self.environ:
                self._reset_modules()  # what follows is Python code of os, which uses builtins
                os.environ.clear()
                os.environ.update({os.fsdecode(k): os.fsdecode(v) for k, v in self.environ.items()})
            return _thread._count() > self.threads
        except BaseException:
            return True

    def _reset_modules(self):
        """What was patched in builtins and in modules that nearly everything uses, and modules that are no longer in their table:
        importing one again makes another sys, and fails for many extension modules."""
        for now, then in self.modules:
            if now != then:
                now.clear()
                now.update(then)
        if sys.modules is not self.table or not self.loaded.items() <= self.table.items():
            sys.modules = self.table
            self.table.update(self.loaded)

    def _reset_limits(self):
        for which, limits in self.limits:
            if resource.getrlimit(which) != limits:
                resource.setrlimit(which, limits)  # a hard one that was lowered stays so: then it is replaced

    def reset_all(self):
        """The full check; builtins first, since the others use them. True: something cannot be put back."""
        try:
            self._reset_modules()
            self._reset_limits()
            for number in SIGNALS:
                if _getsignal(number) != self.handlers[number]:
                    signal.signal(number, self.handlers[number])
            sys.setrecursionlimit(self.recursion)
            if locale.setlocale(locale.LC_ALL) != self.locale:
                locale.setlocale(locale.LC_ALL, self.locale)
            sys.setswitchinterval(self.switch)
            gc.set_threshold(*self.collector)
            gc.enable()
            sys.settrace(None)
            sys.setprofile(None)
        except BaseException:
            return True
        return self.reset_likely()

    def reset_likely(self):
        """What functions do change, at half the cost of the full check. True: something cannot be put back."""
        try:
            signal.setitimer(signal.ITIMER_REAL, 0)
            if os.getcwd() != self.cwd:
                os.chdir(self.cwd)
            os.umask(self.umask)
            sys.stdout, sys.stderr = sys.__stdout__, sys.__stderr__ = self.streams
            if sys.path != self.path:
                sys.path[:] = self.path
            return self._has_children()
        except BaseException:
            return True

    @staticmethod
    def _open_children():
        """The kernel's list of our children; -1 where it keeps none. Reading it costs a quarter of a waitpid that raises."""
        try:
            fd = os.open("/proc/self/task/%d/children" % os.getpid(), os.O_RDONLY)
        except OSError:
            return -1
        high = high_fd(fd)
        if high != fd:
            os.close(fd)
        return high

    def _has_children(self):
        if self.children >= 0 and not os.pread(self.children, 1, 0):
            return False
        while True:
            try:
                if os.waitpid(-1, os.WNOHANG)[0] == 0:
                    return True  # one lives on
            except OSError:
                return False

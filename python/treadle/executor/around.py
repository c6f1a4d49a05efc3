# Part 4 of 7: what a task finds around it: its environment, its secrets, a folder for temporary files, and itself.

# ---- around a task -------------------------------------------------------------------------------------------------

SECRET_BYTES = 64 << 10
SHORTEST_HIDDEN = 4       # bytes of a secret that is looked for in texts: a shorter one is in many by chance


class Around:
    """Made before Surroundings, which take what they find for the state to put back after each task."""

    def __init__(self, settings):
        around = json.loads(settings.get("surroundings") or "{}")
        os.environ.update(around.get("env", {}))
        self.secrets = around.get("secrets", [])
        self.secrets_dir = settings.get("secrets_dir")
        self.values = []
        self.tmp = settings.get("tmp")
        if self.tmp:
            os.mkdir(self.tmp, 0o700)
            os.environ["TMPDIR"] = self.tmp
            self._forget_tmp_time()
            if "tempfile" in sys.modules:
                sys.modules["tempfile"].tempdir = None  # a preloaded module may have asked for it

    def begin(self):
        """Puts the secrets into the environment, as they are now. What was there is put back after the task."""
        self.values = []
        for name in self.secrets:
            value = self._secret(name)
            self.values.append((name, value))
            os.environ[name] = value

    def _secret(self, name):
        if not self.secrets_dir:
            raise Failed(ENVIRONMENT_FAILED, RuntimeError(
                "the function asks for the secret %s, and this worker has none: start it with --secrets-dir and a file of that name "
                "in that folder" % name))
        try:
            fd = os.open(self.secrets_dir + "/" + name, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
            try:
                value = _os_read(fd, SECRET_BYTES + 1)
            finally:
                os.close(fd)
        except OSError as error:
            raise Failed(ENVIRONMENT_FAILED, RuntimeError(
                "the secret %s cannot be read in the worker's --secrets-dir: %s" % (name, error.strerror)))
        text = os.fsdecode(value[:-1] if value[-1:] == b"\n" else value)
        if len(value) > SECRET_BYTES or "\0" in text:
            raise Failed(ENVIRONMENT_FAILED, RuntimeError(
                "the secret %s is longer than %d bytes or holds a NUL, and cannot be an environment variable" % (name, SECRET_BYTES)))
        return text

    def hide(self, text):
        """The text without values of secrets."""
        for name, value in self.values:
            if len(value) >= SHORTEST_HIDDEN:
                text = text.replace(value, "[secret %s]" % name)
        return text

    def clean(self):
        """After every task. Removes the temporary files that it left. True: some cannot be removed."""
        if not self.tmp:
            return False
        try:
            if _stat(self.tmp).st_mtime_ns == 0:
                return False
            for entry in list(os.scandir(self.tmp)):
                if entry.is_dir(follow_symlinks=False):
                    _rmtree(entry.path)
                else:
                    os.unlink(entry.path)
            self._forget_tmp_time()
            return False
        except BaseException:
            return True

    def _forget_tmp_time(self):
        """Any other time than zero says that something was made there: clocks of file systems are too coarse to compare."""
        os.utime(self.tmp, ns=(0, 0))

    def leave(self):
        """At the end of the executor; what is left then is removed by the worker."""
        try:
            if self.tmp:
                os.rmdir(self.tmp)
        except OSError:
            pass


# ---- `import treadle` inside a task --------------------------------------------------------------------------------


class CurrentTask:
    """What the running function may know of its own call. A copy: it does not change when the next task begins."""

    def __init__(self, executor):
        self._beside = HERE.get()
        self._executor, self._task = executor, self._beside.identity if self._beside else executor.task
        identity, self.attempt, self._begun, self._limit_ns, _ = self._task
        self.id = task_text(identity)

    @property
    def cancelled(self):
        """It was asked to end (cancelled, or over its time limit), and its process is killed when the grace is over."""
        return self._beside.cancelled if self._beside else self._executor.asked_to_end is self._task

    @property
    def deadline(self):
        """When its time limit ends, as time.time() tells it; None without a limit."""
        return time.time() + self.remaining() if self._limit_ns else None

    def remaining(self):
        """Seconds until then, at least 0; None without a limit."""
        return max(0.0, (self._begun + self._limit_ns - _now()) / 1e9) if self._limit_ns else None

    def __repr__(self):
        return "<treadle task %s, attempt %d>" % (self.id, self.attempt)


PROGRESS_NOTE = 1024      # bytes of a note that are kept
PROGRESS_EACH = 100_000_000   # ns: so often a task may tell how far it is ...
PROGRESS_BURST = 20       # ... and so many times at once; what is told above that is dropped
PROGRESS_TASKS = 1024     # whose rations are remembered


class Progress:
    """Sends how far tasks are. It never waits for anything but room in the socket, so it may be called from anywhere."""

    def __init__(self, executor):
        self.executor = executor
        self.rations = {}  # seq of a task: how many times it may tell now, and since when that counts

    def tell(self, fraction, note):
        ppm = -1 if fraction is None else parts_per_million(fraction)
        executor, beside = self.executor, HERE.get()
        task = beside.identity if beside else executor.task
        if task is None or _getpid() != executor.pid or not self.may(task[4]):
            return
        text = executor.around.hide(str(note)).encode("utf-8", "backslashreplace")
        text = text[:PROGRESS_NOTE].decode("utf-8", "ignore").encode("utf-8")
        frame = HEADER.pack(8 + len(text), MSG_PROGRESS, 0, 0, task[4]) + PAIR.pack(ppm & 0xFFFFFFFF, 0) + text
        if executor.sending.acquire(False):  # held: by a thread, or by what a signal handler has interrupted
            try:
                executor.sock.sendall(frame)
            finally:
                executor.sending.release()

    def may(self, seq):
        if seq not in self.rations and len(self.rations) >= PROGRESS_TASKS:
            self.rations.clear()
        now = _now()
        allowed, since = self.rations.get(seq, (PROGRESS_BURST, now))
        earned = (now - since) // PROGRESS_EACH
        allowed = min(PROGRESS_BURST, allowed + earned)
        self.rations[seq] = max(0, allowed - 1), since + earned * PROGRESS_EACH
        return allowed > 0


def parts_per_million(fraction):
    try:
        ppm = int(float(fraction) * 1_000_000 + 0.5)
    except Exception:  # it is no number, or NaN, or infinite
        ppm = -1
    if not 0 <= ppm <= 1_000_000:
        raise ValueError("progress takes a fraction from 0 to 1, or None; it was given %s" % clip(safe_text(fraction, repr))[:100].decode("utf-8", "replace"))
    return ppm


def task_text(identity):
    text = identity.hex()
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))


class TaskModule:
    """The module `treadle` where our package is not installed; one that is there is found first."""

    def __init__(self, executor):
        self.module = module = types.ModuleType("treadle", "What a task may ask about itself; the treadle package is not installed here.")

        def current_task():
            """The running task: id, attempt, deadline, remaining(), cancelled."""
            return CurrentTask(executor)

        def log(*values):
            """Writes a line with the time to the task's output."""
            now = time.time()
            print(time.strftime("%H:%M:%S", time.gmtime(now)) + ".%03d" % (now % 1 * 1000), *values)

        teller = Progress(executor)

        def progress(fraction=None, note=""):
            """Tells who looks at the task how far it is: a number from 0 to 1, or None, and a few words."""
            teller.tell(fraction, note)

        module.current_task, module.log, module.progress = current_task, log, progress
        sys.modules["_treadle_task"] = module  # for our package, where it is installed

    def find_spec(self, name, path=None, target=None):
        return importlib.machinery.ModuleSpec(name, self) if name == "treadle" else None

    def create_module(self, spec):
        return self.module

    def exec_module(self, module):
        pass

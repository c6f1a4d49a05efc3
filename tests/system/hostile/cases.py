"""What functions do by accident, and how each call must end. A case is the body of a function, as text.

`note(pid)` is there for all: a process that is told there must be gone afterwards. `result` is what the call returns.
"""

import textwrap
from dataclasses import dataclass, field

DIES = {"PoisonTask"}
RAISES = {"FunctionFailed"}
HANGS = {"Timeout"}
WELL = {"COMPLETED"}
LIMIT = {"LimitExceeded"}
MEMORY = {"OutOfMemory"}
NO_RESULT = {"Unserializable"}


@dataclass
class Case:
    name: str
    ends: set  # of its status or error kind
    body: str
    options: dict = field(default_factory=dict)
    words: str = ""  # in the error's message or traceback
    apart: bool = False  # the good calls around it are of another function: what it changes is put back between functions
    again: bool = False  # good calls that ran behind it, in a process that is not listened to any more, may run again


CASES = {}


def case(name, ends, body, words="", apart=False, again=False, **options):
    assert name not in CASES, name
    if ends is HANGS:
        options.setdefault("time_limit", 0.5)
    CASES[name] = Case(name, ends, textwrap.dedent(body).strip(), options, words, apart, again)


# ---- ends its process ----

case("_exit 0", DIES, "os._exit(0)", "exit")
case("_exit 7", DIES, "os._exit(7)", "code 7")
case("kills itself", DIES, "os.kill(os.getpid(), signal.SIGKILL)", "SIGKILL")
case("kills its group", DIES, "os.killpg(0, signal.SIGKILL)", "SIGKILL")
case("real segmentation fault", DIES, "import ctypes; ctypes.string_at(0)", "SIGSEGV")
case("SIGSEGV by itself", DIES, "os.kill(os.getpid(), signal.SIGSEGV)", "SIGSEGV")
case("SIGBUS", DIES, "os.kill(os.getpid(), signal.SIGBUS)", "SIGBUS")
case("abort", DIES, "os.abort()", "SIGABRT")
case("hangup", DIES, "signal.raise_signal(signal.SIGHUP)", "SIGHUP")
case("alarm", DIES, "signal.alarm(1); time.sleep(60)", "SIGALRM")
case("becomes another program", DIES, "os.execv('/bin/true', ['true'])", "exit")
case("stack overflow in C", DIES, """
    sys.setrecursionlimit(10 ** 9)
    nested = []
    for _ in range(10 ** 6):
        nested = [nested]
    repr(nested)
    """, "SIGSEGV")
case("closes all descriptors", DIES, "os.closerange(0, 4096)")
case("writes garbage to every descriptor", DIES, """
    for fd in range(3, 1024):
        try:
            os.write(fd, b'garbage ' * 10)
        except OSError:
            pass
    """, again=True)
case("puts /dev/null over every descriptor", DIES, """
    null = os.open('/dev/null', os.O_RDWR)
    for name in os.listdir('/proc/self/fd'):
        try:
            os.dup2(null, int(name))
        except OSError:
            pass
    """)

# ---- signals that do not end it ----

case("terminates itself", RAISES, "os.kill(os.getpid(), signal.SIGTERM); time.sleep(60)", "SystemExit")
case("interrupts itself", WELL, "os.kill(os.getpid(), signal.SIGINT)")
case("terminates its parent", WELL, "os.kill(os.getppid(), signal.SIGTERM); time.sleep(0.05)")
case("broken pipe", RAISES, "r, w = os.pipe(); os.close(r); os.write(w, b'x')", "BrokenPipeError")

# ---- memory ----

case("memory at once", MEMORY, "kept = bytearray(4 << 30)", memory_limit=64 << 20)
case("memory bit by bit", MEMORY, """
    kept = []
    while True:
        kept.append(bytearray(1 << 20))
        time.sleep(0.002)
    """, memory_limit=64 << 20)
case("shared memory", MEMORY, """
    import mmap
    kept = []
    while True:
        kept.append(mmap.mmap(-1, 4 << 20))
        kept[-1].write(bytes(4 << 20))
        time.sleep(0.01)
    """, memory_limit=64 << 20)
case("recursion that nothing stops but memory", MEMORY | DIES, """
    sys.setrecursionlimit(10 ** 9)
    f = lambda: f()
    f()
    """, memory_limit=64 << 20)
case("stack overflow in Python", RAISES, "f = lambda: f(); f()", "RecursionError")

# ---- processes and threads ----

case("fork bomb", LIMIT, """
    for _ in range(8):
        if os.fork() == 0:
            note(os.getpid())
    time.sleep(60)
    """, "process_limit", process_limit=20)
case("fork bomb without a limit", HANGS, """
    for _ in range(6):
        if os.fork() == 0:
            note(os.getpid())
    time.sleep(60)
    """)
case("daemon by two forks", WELL, """
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            note(os.getpid())
            time.sleep(60)
        os._exit(0)
    os.wait()
    """)
case("child in a session of its own", WELL, """
    import subprocess
    note(subprocess.Popen(['sleep', '60'], start_new_session=True).pid)
    """)
case("tree of shells", HANGS, """
    import subprocess
    child = subprocess.Popen('sleep 61 & (sleep 62 & sleep 63) & wait', shell=True)
    note(child.pid)
    child.wait()
    """)
case("child that ignores SIGTERM", HANGS, """
    pid = os.fork()
    if pid == 0:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        note(os.getpid())
        while True:
            time.sleep(1)
    os.waitpid(pid, 0)
    """)
case("child that returns too", WELL, "note(os.fork())")
case("child that raises too", RAISES, "note(os.fork()); raise ValueError('both of them')", "both of them")
case("children that nobody waits for", WELL, """
    for _ in range(50):
        if os.fork() == 0:
            os._exit(0)
    """)
case("multiprocessing left running", WELL, """
    import multiprocessing
    child = multiprocessing.get_context('fork').Process(target=time.sleep, args=(60,))
    child.start()
    note(child.pid)
    """)
case("a thousand threads", WELL, """
    import threading
    for _ in range(1000):
        threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
    """)
case("a thread that nobody joins", WELL, """
    import threading
    threading.Thread(target=time.sleep, args=(60,)).start()
    """)
case("a thread that raises", WELL, """
    import threading
    thread = threading.Thread(target=lambda: 1 / 0)
    thread.start()
    thread.join()
    """)

# ---- output and descriptors ----

case("a GiB with no newline", WELL, """
    for _ in range(1024):
        os.write(1, b'x' * (1 << 20))
    """, time_limit=60)
case("output over its limit", LIMIT, "while True: sys.stdout.write('y' * 10000)", "output_limit", output_limit=1 << 20)
case("output that is no text", WELL, "os.write(1, os.urandom(1 << 20)); os.write(2, bytes(range(256)))")
case("asks for input", RAISES, "input('your name? ')", "EOFError")
case("closes stdout", WELL, "sys.stdout.close()")
case("closes descriptors 1 and 2", WELL, "os.close(1); os.close(2)")
case("opens without end", LIMIT, "kept = [open('/dev/null') for _ in range(10**6)]", "Too many open files", file_limit=64)

# ---- hangs ----

case("sleeps", HANGS, "time.sleep(60)")
case("spins", HANGS, "while True: pass")
case("ignores SIGTERM", HANGS, """
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    while True: pass
    """)
case("blocks all signals", HANGS, """
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    while True: pass
    """)
case("swallows every exception", HANGS, """
    while True:
        try:
            time.sleep(60)
        except BaseException:
            pass
    """)
case("never ends its finally", HANGS, """
    try:
        time.sleep(60)
    finally:
        time.sleep(60)
    """)
case("deadlock", HANGS, """
    import threading
    lock = threading.Lock()
    lock.acquire()
    lock.acquire()
    """)
case("blocks in C", HANGS, "import ctypes; ctypes.CDLL(None).sleep(60)")
case("blocks in C with the interpreter's lock", HANGS, "import ctypes; ctypes.PyDLL(None).sleep(60)")
case("computes in C without a check", HANGS, "7 ** (10 ** 8)")
case("a pattern without end", HANGS, "import re; re.match(r'(a+)+$', 'a' * 60 + 'b')")
case("stops itself", HANGS, "os.kill(os.getpid(), signal.SIGSTOP)")
case("burns CPU", LIMIT, "while True: pass", "cpu_limit", cpu_limit=0.3)
case("hangs while its result is pickled", HANGS, """
    class Slow:
        def __reduce__(self):
            time.sleep(60)
    result = Slow()
    """)

# ---- results ----

case("returns a lambda", WELL, "result = lambda: 5")
case("returns a generator", NO_RESULT, "result = (x for x in [1])")
case("returns a frame", NO_RESULT, "result = sys._getframe()")
case("returns 200 MB", {"ResultTooLarge"}, "result = bytes(200 << 20)", "bytes when pickled")
case("returns more than its limit", {"ResultTooLarge"}, "result = bytes(20000)", "result_limit", result_limit=10000)
case("exits while its result is pickled", DIES, """
    class Exits:
        def __reduce__(self):
            os._exit(3)
    result = Exits()
    """, "code 3")
case("raises while its result is pickled", NO_RESULT, """
    class Raises:
        def __reduce__(self):
            raise RuntimeError('not me')
    result = Raises()
    """, "not me")
case("leaves by SystemExit while its result is pickled", RAISES, """
    class Leaves:
        def __reduce__(self):
            sys.exit(4)
    result = Leaves()
    """, "SystemExit")
case("returns what cannot be loaded", WELL, """
    class Broken:
        def __reduce__(self):
            return int, ('no number',)
    result = Broken()
    """)
case("returns itself inside itself", WELL, "result = []; result.append(result)")
case("returns lists nested without end", NO_RESULT | DIES, """
    result = []
    for _ in range(10 ** 6):
        result = [result]
    """)

# ---- exceptions ----

case("raises what cannot be pickled", RAISES, """
    class Held(Exception): pass
    error = Held('has a lock')
    error.lock = __import__('threading').Lock()
    raise error
    """, "has a lock")
case("raises what cannot be loaded", RAISES, """
    class Three(Exception):
        def __init__(self, a, b, c):
            super().__init__('three of them')
    raise Three(1, 2, 3)
    """, "three of them")
case("raises SystemExit", RAISES, "sys.exit(5)", "SystemExit")
case("raises KeyboardInterrupt", RAISES, "raise KeyboardInterrupt", "KeyboardInterrupt")
case("raises StopIteration", RAISES, "raise StopIteration(5)", "StopIteration")
case("raises GeneratorExit", RAISES, "raise GeneratorExit", "GeneratorExit")
case("raises a group", RAISES, "raise ExceptionGroup('many', [ValueError(1), OSError(2)])", "many")
case("raises what cannot be shown", RAISES, """
    class Mute(Exception):
        def __str__(self): raise RuntimeError('no words')
        __repr__ = __str__
    raise Mute
    """, "Mute")
case("exits while its exception is shown", DIES, """
    class Exits(Exception):
        def __str__(self): os._exit(9)
    raise Exits
    """, "code 9")
case("raises 100 MB of text", RAISES, "raise ValueError('x' * (100 << 20))", "xxx")
case("raises a long chain", RAISES, """
    error = None
    for number in range(5000):
        last, error = error, ValueError(number)
        error.__cause__ = last
    raise error
    """, "4999")

# ---- changes what is around it ----

case("changes builtins", WELL, """
    import builtins
    builtins.len = builtins.isinstance = builtins.open = builtins.getattr = None
    builtins.__import__ = None
    """, apart=True)
case("clears builtins", WELL, "import builtins; builtins.__dict__.clear()", apart=True)
case("changes its folder and removes it", WELL, """
    import tempfile
    os.chdir(tempfile.mkdtemp())
    os.rmdir(os.getcwd())
    """, apart=True)
case("clears the environment", WELL, "os.environ.clear(); os.environ['LD_PRELOAD'] = '/no/such.so'")
case("changes the locale", WELL, "import locale; locale.setlocale(locale.LC_ALL, 'C')", apart=True)
case("changes all signal handlers", WELL, """
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(number, lambda *_: os._exit(1))
    """, apart=True)
case("loses stdout", WELL, "sys.stdout = sys.stderr = sys.__stdout__ = None")
case("writes through a broken stdout", WELL, """
    class Broken:
        def __getattr__(self, name): raise RuntimeError('broken')
    sys.stdout = sys.stderr = Broken()
    """)
case("leaves work for the exit", WELL, "import atexit; atexit.register(os._exit, 5); atexit.register(time.sleep, 60)")
case("patches pickle", WELL, """
    import pickle
    pickle.dumps = pickle.loads = pickle.Pickler = pickle.Unpickler = None
    """, apart=True)
case("patches dill", WELL, "import dill; dill.dumps = dill.loads = dill._dill.Pickler = None", apart=True)
case("patches os and time", WELL, """
    os._exit = os.read = os.write = os.getpid = time.monotonic_ns = time.process_time_ns = lambda *_: 1 / 0
    """, apart=True)
case("clears sys.modules", WELL, "sys.modules.clear()", apart=True)
case("clears sys.path", WELL, "del sys.path[:]", apart=True)
case("sets a trace function that raises", WELL, "sys.settrace(lambda *_: 1 / 0)", apart=True)
case("lowers the recursion limit", WELL, "sys.setrecursionlimit(80)", apart=True)
case("takes away all rights of its files", WELL, "os.umask(0o777)", apart=True)
case("lowers its own limits", WELL, """
    import resource
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    """, apart=True)
case("stops the collector", WELL, "import gc; gc.disable(); gc.set_threshold(0)", apart=True)
case("sets a timer", WELL, "signal.setitimer(signal.ITIMER_REAL, 0.05)", apart=True)
case("changes the switch interval", WELL, "sys.setswitchinterval(1000)", apart=True)

# Part 1 of 7 of the module _treadle_executor (README.md): what all parts use, and the warm process that executors are forked from.
#
# The parts are put behind one another and compiled as one source on any Python from 3.8 on. Nothing of Treadle needs to be
# installed where they run, and no name is imported that a user may have as a file of their own: sys.path holds only the
# interpreter's own directories until everything below is loaded.
#
# What is imported from builtins here is bound for good: a task that changes `builtins` changes nothing for this module.

from builtins import (AttributeError, BaseException, BlockingIOError, Exception, ImportError, KeyError, KeyboardInterrupt, MemoryError,
                      ModuleNotFoundError, OSError, RuntimeError, SystemExit, TypeError, ValueError, all, bool, bytearray, bytes, callable,
                      compile, dict, exec, float, getattr, hasattr, int, isinstance, issubclass, iter, len, list, map, max, memoryview,
                      min, next, print, property, repr, set, sorted, str, tuple, type)
import _signal
import _thread
import array
import builtins
import collections
import contextvars
import ctypes
import faulthandler
import fcntl
import functools
import gc
import importlib.machinery
import io
import json
import locale
import mmap
import os
import pickle
import pickletools
import resource
import shutil
import signal
import socket
import struct
import sys
import time
import traceback
import types
import warnings

HEADER = struct.Struct("<IBBHQ")
TASK = struct.Struct("<II16sIIQ")
RESULT = struct.Struct("<BBHIIIQQQQ")
PAIR = struct.Struct("<II")
READY = struct.Struct("<IIHHI")
SIZE = struct.Struct("<Q")

MSG_TASK, MSG_FUNCTION, MSG_CANCEL, MSG_EXIT = 1, 2, 3, 5
MSG_READY, MSG_RESULT, MSG_IDLE, MSG_NEED_FUNCTION, MSG_PROGRESS, MSG_STARTED, MSG_GAVE_UP = 129, 130, 131, 132, 133, 134, 135
FLAG_MEMFD = 1

# Numbers of core::ErrorKind.
COMPLETED, FUNCTION_FAILED, DESERIALIZE_FAILED, PYTHON_MISMATCH, ENVIRONMENT_FAILED = 0, 1, 8, 9, 10
OUT_OF_MEMORY, LIMIT_EXCEEDED, UNSERIALIZABLE, TOO_LARGE = 11, 12, 13, 14
BY_PICKLE, BY_DILL, BY_CLOUDPICKLE, BY_TEXT = 1, 2, 3, 4

MARK_OUTPUT, CONCURRENT = 1, 4  # task_flags
RECYCLE = 1               # result_flags
READ_BYTES = 256 << 10    # of one read from the supervisor: a whole batch of small tasks
MEMFD_ABOVE = 1 << 20
FUNCTIONS_KEPT = 256
TEXT_KEPT = 16 << 10      # of a message or traceback
ORIGINAL_KEPT = 64 << 10  # of the pickle of an exception
SDK_MARK = b"treadle-client"  # near the begin of a function's pickle: its client has cloudpickle
FULL_CHECK_EVERY = 64     # tasks
FULL_CHECK_NS = 20_000_000    # of a task's run; the check takes 15 us, and after a sleep, with cold caches, 150
LIKELY_CHECK_NS = 1_000_000
HIGH_FD = 900             # our descriptors, out of the way of user code that closes or counts its own
MEMORY_MARGIN = 64 << 20
EMFILE = 24               # errno: too many open files
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
F_ADD_SEALS, ALL_SEALS = 1033, 15
PLAIN = frozenset((bytes, bytearray, str, int, float, bool, type(None)))
SIGNALS = tuple(n for n in (getattr(signal, name, None) for name in ("SIGHUP", "SIGINT", "SIGQUIT", "SIGALRM", "SIGCHLD",
                "SIGTERM", "SIGUSR2", "SIGPIPE", "SIGVTALRM", "SIGPROF", "SIGCONT", "SIGWINCH", "SIGIO")) if n is not None)

RLIMITS = (resource.RLIMIT_NOFILE, resource.RLIMIT_FSIZE, resource.RLIMIT_CPU, resource.RLIMIT_DATA, resource.RLIMIT_AS, resource.RLIMIT_NPROC)

_pickle_dumps, _pickle_loads = pickle.dumps, pickle.loads
_os_read, _os_write, _exit, _now, _getpid = os.read, os.write, os._exit, time.monotonic_ns, os.getpid
_stat, _rmtree = os.stat, shutil.rmtree
_gettrace, _settrace = sys.gettrace, sys.settrace
_cpu_now, _getrusage, _SELF = time.process_time_ns, resource.getrusage, resource.RUSAGE_SELF
_getsignal = _signal.getsignal  # signal's own builds an enum each time: 1.5 us, cold 7
_libc = ctypes.CDLL(None, use_errno=True)


def _import_optional(name):
    try:
        return __import__(name)
    except ImportError:
        return None


# ---- the zygote ----------------------------------------------------------------------------------------------------


def zygote_main():
    control = socket.socket(fileno=3)
    config = json.loads(sys.argv[1])
    sys.argv[:] = [""]
    sys.modules.pop("_treadle_executor", None)
    try:
        if config.get("lock"):
            hold_environment(config["lock"])
        pickler = Picklers()
        report = preload(config)
    except Exception as error:
        control.send(b"E" + ("%s: %s" % (type(error).__name__, error)).encode()[:4000])
        _exit(1)
    report.update(version="%d.%d.%d" % sys.version_info[:3], executable=sys.executable, **pickler.versions())
    gc.collect()
    gc.freeze()
    control.send(b"R" + json.dumps(report).encode())
    guard = os.getppid()
    while True:
        message, ancillary, _, _ = control.recvmsg(1 << 16, socket.CMSG_SPACE(5 * 4))
        if not message:
            _exit(0)
        fds = array.array("i")
        for _, _, data in ancillary:
            fds.frombytes(data[: len(data) - len(data) % 4])
        fork_executor(control, guard, config, pickler, message[1:9], json.loads(message[9:]), list(fds))


def preload(config):
    """Imports the modules asked for, one by one. One that leaves a thread behind would make every later fork unsafe, so the
    zygote starts itself again without it."""
    done, left_out = [], dict(config.get("left_out", {}))
    for name in config.get("preload", []):
        if name in left_out:
            continue
        try:
            __import__(name)
        except BaseException as error:
            left_out[name] = "%s: %s" % (type(error).__name__, error)
            continue
        if len(os.listdir("/proc/self/task")) > 1:
            left_out[name] = "it leaves a thread behind, and a process with threads cannot be forked safely"
            with open("/proc/self/cmdline", "rb") as line:
                argv = line.read().rstrip(b"\0").split(b"\0")
            argv[-1] = json.dumps(dict(config, left_out=left_out)).encode()
            os.execv(sys.executable, argv)
        done.append(name)
    return {"preloaded": done, "left_out": left_out, "threads": len(os.listdir("/proc/self/task"))}


def fork_executor(control, guard, config, pickler, identity, settings, fds):
    """Through a middle child, so that the executor becomes the guard's child; the middle child tells the guard its pid."""
    middle = os.fork()
    if middle == 0:
        pid = os.fork()
        if pid == 0:
            status = 70
            try:
                become_executor(guard, config, pickler, settings, fds)
                status = 0
            except BaseException:
                traceback.print_exc()
            finally:
                _exit(status)
        control.send(b"P" + identity + struct.pack("<I", pid))
        _exit(0)
    os.waitpid(middle, 0)
    for fd in fds:
        os.close(fd)


def become_executor(guard, config, pickler, settings, fds):
    while os.getppid() not in (guard, 1):  # until the middle child is gone: PDEATHSIG would take its end for the guard's
        time.sleep(0.0001)
    os.setsid()
    _libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    _libc.prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    if os.getppid() != guard:
        _exit(70)
    sock, semaphore, out, err, stack = fds
    os.dup2(out, 1)
    os.dup2(err, 2)
    high = [high_fd(fd) for fd in (sock, semaphore, stack)]
    for name in os.listdir("/proc/self/fd"):
        if int(name) > 2 and int(name) not in high:
            try:
                os.close(int(name))
            except OSError:
                pass  # the descriptor of the listing itself
    reseed()
    if "build" in settings:
        code = build_environment(settings["build"])
        return sys.stdout.flush() or _exit(code)
    if "pythonpath" in config:
        os.environ["PYTHONPATH"] = config["pythonpath"]
    if settings.get("cwd"):
        os.chdir(settings["cwd"])
    sys.path[:0] = [path for path in settings.get("paths", []) if path not in sys.path]
    limit = settings.get("memory_limit", 0)
    if limit:
        with open("/proc/self/status") as status:
            data = next(int(line.split()[1]) << 10 for line in status if line.startswith("VmData"))
        resource.setrlimit(resource.RLIMIT_DATA, (data + limit + MEMORY_MARGIN, resource.RLIM_INFINITY))
    files = settings.get("open_files", 0)
    if files:  # the descriptors of ours are above it, and stay
        resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
    Executor(settings, pickler, *high).run()


def high_fd(fd):
    for least in (HIGH_FD, 200, 50):
        try:
            return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, least)
        except OSError:
            continue
    return fd


def reseed():
    """Every fork of one zygote would draw the same numbers: `random` reseeds itself, these do not."""
    numpy = sys.modules.get("numpy")
    if numpy is not None and hasattr(numpy, "random"):
        numpy.random.seed()
    torch = sys.modules.get("torch")
    if torch is not None and hasattr(torch, "manual_seed"):
        torch.manual_seed(int.from_bytes(os.urandom(7), "little"))

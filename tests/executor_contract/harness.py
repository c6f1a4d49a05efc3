"""A guard and a supervisor of fifty lines each, to speak docs/executor-protocol.md with the real Python side."""
import array
import ctypes
import json
import os
import pathlib
import select
import signal
import socket
import struct
import sys
import uuid

ROOT = pathlib.Path(__file__).resolve().parents[2]
PARTS = ("zygote.py", "pickling.py", "functions.py", "around.py", "side_by_side.py", "environment.py", "executor.py")
STUB = """
import sys, os
sys.path[:] = [p for p in sys.path if p]
module = type(sys)('_treadle_executor')
sys.modules['_treadle_executor'] = module
exec(compile(os.pread(4, os.fstat(4).st_size, 0), '<treadle executor>', 'exec'), module.__dict__)
module.zygote_main()
"""
HEADER = struct.Struct("<IBBHQ")
TASK, FUNCTION, CANCEL, EXIT = 1, 2, 3, 5
READY, RESULT, IDLE, NEED_FUNCTION, PROGRESS, STARTED, GAVE_UP = 129, 130, 131, 132, 133, 134, 135
CONCURRENT = 4  # flag of a task
PR_SET_CHILD_SUBREAPER = 36


def source():
    return b"".join((ROOT / "python/treadle/executor" / part).read_bytes() for part in PARTS)


class Zygote:
    """Started as the guard starts it; this process is the subreaper that executors come to."""

    def __init__(self, python=sys.executable, preload=()):
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        self.control, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        memfd = os.memfd_create("source")
        os.write(memfd, source())
        self.pid = os.fork()
        if self.pid == 0:
            os.dup2(other.fileno(), 53)
            os.dup2(memfd, 54)
            os.dup2(53, 3)
            os.dup2(54, 4)
            os.closerange(5, 256)
            os.execv(python, [python, "-c", STUB, json.dumps({"preload": list(preload)})])
        other.close()
        os.close(memfd)
        said = self.control.recv(1 << 16)
        assert said[:1] == b"R", said
        self.report = json.loads(said[1:])
        self.spawned = 0

    def spawn(self, **settings):
        self.spawned += 1
        return Executor(self, self.spawned, settings)

    def close(self):
        self.control.close()
        os.waitpid(self.pid, 0)


class Executor:
    def __init__(self, zygote, number, settings):
        self.sock, theirs = socket.socketpair()
        self.tokens = os.eventfd(0, os.EFD_SEMAPHORE | os.EFD_NONBLOCK)
        out, err = os.pipe(), os.pipe()
        self.out, self.err = out[0], err[0]
        self.stack = os.memfd_create("stack")
        for fd in (self.out, self.err):
            os.set_blocking(fd, False)
        self.mark = os.urandom(16)
        settings = {"worker_id": str(uuid.UUID(int=9)), "executor": number, "paths": [], "cwd": "/", "max_result": 128 << 20,
                    "mark": self.mark.hex(), "isolation": "reuse", "memory_limit": 0, **settings}
        request = b"F" + struct.pack("<Q", number) + json.dumps(settings).encode()
        socket.send_fds(zygote.control, [request], [theirs.fileno(), self.tokens, out[1], err[1], self.stack])
        for fd in (out[1], err[1]):
            os.close(fd)
        theirs.close()
        said = zygote.control.recv(100)
        assert said[:1] == b"P"
        self.pid = struct.unpack_from("<I", said, 9)[0]
        self.seq, self.buffer, self.fds = 0, b"", []
        kind, _, body = self.frame()
        assert kind == READY and struct.unpack_from("<I", body)[0] == 1

    # -- down --

    def function(self, number, body, facts=0):
        self._send(FUNCTION, 0, struct.pack("<II", number, facts) + body)

    def tasks(self, number, arguments, facts=0, flags=0, time_limit_ms=0):
        """Sends them as one write; gives the numbers."""
        first, frames = self.seq + 1, []
        for data in arguments:
            self.seq += 1
            body = struct.pack("<II16sIIQ", number, facts, uuid.UUID(int=self.seq).bytes, 1, flags, time_limit_ms) + data
            frames.append(HEADER.pack(len(body), TASK, 0, 0, self.seq) + body)
        os.eventfd_write(self.tokens, len(frames))
        self.sock.sendall(b"".join(frames))
        return range(first, self.seq + 1)

    def recall(self, count):
        taken = 0
        while taken < count:
            try:
                os.read(self.tokens, 8)
            except BlockingIOError:
                break
            taken += 1
        return taken

    def cancel(self, seq):
        self._send(CANCEL, seq, b"")

    def leave(self):
        self._send(EXIT, 0, b"")

    def _send(self, kind, seq, body):
        self.sock.sendall(HEADER.pack(len(body), kind, 0, 0, seq) + body)

    # -- up --

    def frame(self, seconds=10):
        """(kind, seq, body) of the next frame; a result comes as kind, seq, Result."""
        while True:
            if len(self.buffer) >= 16:
                length, kind, flags, _, seq = HEADER.unpack_from(self.buffer)
                if len(self.buffer) >= 16 + length:
                    body, self.buffer = self.buffer[16:16 + length], self.buffer[16 + length:]
                    return kind, seq, Result(body, flags, self.fds) if kind == RESULT else body
            if not select.select([self.sock], [], [], seconds)[0]:
                raise TimeoutError(f"nothing came; stderr: {self.read(self.err)}")
            data, ancillary, _, _ = self.sock.recvmsg(1 << 20, 256)
            for _, _, raw in ancillary:
                self.fds.extend(array.array("i", raw))
            if not data:
                raise EOFError
            self.buffer += data

    def results(self, count):
        return [self.frame()[2] for _ in range(count)]

    def run(self, number, arguments, **more):
        self.tasks(number, [arguments], **more)
        return self.results(1)[0]

    @staticmethod
    def read(fd):
        try:
            return os.read(fd, 1 << 20)
        except BlockingIOError:
            return b""

    def kill(self, number=signal.SIGKILL):
        os.kill(self.pid, number)

    def wait(self):
        return os.waitpid(self.pid, 0)[1]

    def cpu_seconds(self):
        fields = open(f"/proc/{self.pid}/stat").read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Result:
    def __init__(self, body, flags, fds):
        self.kind, self.made_by, self.flags, *sizes, self.start, self.end, self.cpu_us, self.peak_rss = struct.unpack_from("<BBHIIIQQQQ", body)
        at = 48
        size = None
        if flags & 1:
            size = struct.unpack_from("<Q", body, at)[0]
            at += 8
        texts = []
        for length in sizes:
            texts.append(body[at:at + length].decode())
            at += length
        names, self.message, self.traceback = texts
        self.type, _, self.classes = names.partition("\n")
        if size is None:
            self.data = body[at:]
        else:
            fd = fds.pop(0)
            self.data = os.pread(fd, size, 0)
            os.close(fd)

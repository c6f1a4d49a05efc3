# A small executor for the tests of the supervisor's side: it speaks docs/executor-protocol.md, and runs function bodies
# that are Python source with `run(args, api)`. `api` gives a test what user code could get hold of by force: the socket,
# the semaphore, the mark. TREADLE_EXECUTOR points the pool here; the product never does.
import array, faulthandler, json, os, signal, socket, struct, sys, time

HEADER = struct.Struct('<IBBHQ')
SEMAPHORE_TOKEN = 8


def zygote_main():
    control = socket.socket(fileno=3)
    config = json.loads(sys.argv[1])
    if 'refuse' in config['preload']:
        control.send(b'E' + b'this interpreter refuses')
        sys.exit(1)
    if 'hang' in config['preload']:
        time.sleep(1000)
    report = {'version': '%d.%d.%d' % sys.version_info[:3], 'executable': sys.executable, 'preloaded': config['preload'],
              'source': os.fstat(4).st_size, 'pythonpath': config.get('pythonpath')}
    control.send(b'R' + json.dumps(report).encode())
    while True:
        message, ancillary, flags, address = control.recvmsg(1 << 16, socket.CMSG_SPACE(64))
        if not message:
            os._exit(0)
        fds = array.array('i')
        for level, kind, data in ancillary:
            fds.frombytes(data)
        identity = message[1:9]
        middle = os.fork()
        if middle == 0:
            parent = os.getpid()
            pid = os.fork()
            if pid == 0:
                while os.getppid() == parent:  # reported by then; a zygote that dies before takes its middle child along
                    time.sleep(0.0002)
                control.close()
                os.close(4)
                if 'die' in config['preload']:
                    os._exit(5)
                try:
                    Executor(json.loads(message[9:]), *fds).run()
                finally:
                    os._exit(70)
            control.send(b'P' + identity + struct.pack('<I', pid))
            os._exit(0)
        os.waitpid(middle, 0)
        for fd in fds:
            os.close(fd)


class Executor:
    def __init__(self, settings, sock, semaphore, out, err, stack):
        import ctypes
        ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)
        self.settings = settings
        self.mark = bytes.fromhex(settings['mark'])
        self.sock = socket.socket(fileno=sock)
        self.semaphore = semaphore
        os.dup2(out, 1)
        os.dup2(err, 2)
        os.close(out)
        os.close(err)
        self.stack = os.fdopen(stack, 'w')
        faulthandler.enable(self.stack)
        faulthandler.register(signal.SIGUSR1, self.stack)
        signal.signal(signal.SIGTERM, self.on_term)
        self.in_user_code = False
        self.read = b''
        self.fds = []
        self.functions = {}
        self.waiting = []

    def on_term(self, *ignored):
        if self.in_user_code:
            raise SystemExit('terminated')

    def frame(self, kind, seq, body=b'', flags=0):
        self.sock.sendall(HEADER.pack(len(body), kind, flags, 0, seq) + body)

    def result(self, seq, payload, kind=0, made_by=1, flags=0, texts=(b'', b'', b'')):
        now = time.monotonic_ns()
        body = struct.pack('<BBHIIIQQQQ', kind, made_by, flags, *map(len, texts), self.started, now, 0, 0)
        if len(payload) <= 1 << 20:
            return self.frame(130, seq, body + b''.join(texts) + payload)
        import fcntl
        memfd = os.memfd_create('result', os.MFD_ALLOW_SEALING | os.MFD_CLOEXEC)
        os.truncate(memfd, len(payload))
        os.pwrite(memfd, payload, 0)
        fcntl.fcntl(memfd, 1033, 15)
        body += struct.pack('<Q', len(payload)) + b''.join(texts)
        data = HEADER.pack(len(body), 130, 1, 0, seq) + body
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', [memfd]))]
        sent = self.sock.sendmsg([data], rights)
        self.sock.sendall(data[sent:])
        os.close(memfd)

    def receive(self):
        data, ancillary, flags, address = self.sock.recvmsg(1 << 18, socket.CMSG_SPACE(64))
        for level, kind, raw in ancillary:
            self.fds.extend(array.array('i', raw))
        if not data:
            os._exit(0)
        self.read += data

    def need(self, size):
        while len(self.read) < size:
            self.receive()

    def take_token(self):
        try:
            return len(os.read(self.semaphore, SEMAPHORE_TOKEN)) == SEMAPHORE_TOKEN
        except BlockingIOError:
            return False

    def next_frame(self):
        self.need(16)
        length, kind, flags, zero, seq = HEADER.unpack_from(self.read)
        self.need(16 + length)
        body, self.read = self.read[16:16 + length], self.read[16 + length:]
        raw = body[{1: 40, 2: 8}.get(kind, 0):]
        if flags & 1:
            memfd = self.fds.pop(0)
            raw = os.pread(memfd, struct.unpack('<Q', raw)[0], 0)
            os.close(memfd)
        if kind == 2:
            scope = {}
            exec(raw.decode(), scope)
            self.functions[struct.unpack_from('<I', body)[0]] = scope['run']
        return kind, seq, body, raw

    def run(self):
        self.frame(129, 0, struct.pack('<IIHHI', 1, os.getpid(), *sys.version_info[:2], 0))
        while True:
            kind, seq, body, raw = self.waiting.pop(0) if self.waiting else self.next_frame()
            if kind == 5:
                os._exit(0)
            if kind == 1:
                self.task(seq, body, raw)

    def task(self, seq, body, args):
        function, facts, task, attempt, task_flags, limit = struct.unpack('<II16sIIQ', body[:40])
        if not self.take_token():
            return self.frame(131, seq)
        self.started = time.monotonic_ns()
        if function not in self.functions:
            self.frame(132, seq, struct.pack('<II', function, 0))
            while function not in self.functions:
                self.waiting.append(self.next_frame())
        self.seq, self.uuid, self.attempt, self.limit, self.silent = seq, task, attempt, limit, False
        if task_flags & 1:
            for fd in (1, 2):
                os.write(fd, bytes([self.mark[0] ^ 128]) + self.mark[1:] + struct.pack('<Q', seq))
        self.dirty = bool(task_flags & 1)
        try:
            self.in_user_code = True
            answer = self.functions[function](args, self)
            self.in_user_code = False
            failure = None
        except BaseException as e:
            self.in_user_code = False
            failure = e
        if self.dirty:
            for fd in (1, 2):
                os.write(fd, self.mark + struct.pack('<Q', seq))
        if self.silent:
            return
        if failure is None:
            return self.result(seq, answer)
        self.result(seq, b'', 1, 4, 0, (type(failure).__name__.encode(), str(failure).encode(), b'traceback'))

    def say(self, text, fd=1):
        self.dirty = True
        os.write(fd, text if isinstance(text, bytes) else text.encode())

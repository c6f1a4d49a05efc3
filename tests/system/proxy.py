"""A TCP proxy of our own between two programs: it delays, cuts into single bytes, resets, or swallows everything."""

import contextlib
import random
import select
import socket
import struct
import threading
import time

BURST = 2048  # bytes that are sent one by one; what is behind them in the same read follows whole


class Proxy:
    """127.0.0.1:port leads to 127.0.0.1:target. Its fields may be changed while it runs."""

    def __init__(self, target, seed=1):
        self.target = target
        self.delay = 0.0  # seconds that each piece waits, half to one and a half of it
        self.single_bytes = False
        self.hole = False  # nothing passes, no connection ends: a partition
        self.resets = self.connections = self.pieces = self.swallowed = 0
        self._chance = random.Random(seed)
        self._lock = threading.Lock()
        self._pairs = set()
        self._closed = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(0.2)
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while not self._closed.is_set():
            try:
                one, _ = self._listener.accept()
            except TimeoutError:
                continue
            except OSError:
                return
            threading.Thread(target=self._open, args=(one,), daemon=True).start()

    def _open(self, one):
        while self.hole and not self._closed.is_set():
            time.sleep(0.02)  # a SYN into a partition
        try:
            other = socket.create_connection(("127.0.0.1", self.target), timeout=5)
        except OSError:
            one.close()
            return
        self.connections += 1
        pair = (one, other)
        for end in pair:
            end.settimeout(None)
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with self._lock:
            self._pairs.add(pair)
        for source, sink in (pair, pair[::-1]):
            threading.Thread(target=self._pump, args=(pair, source, sink), daemon=True).start()

    def _pump(self, pair, source, sink):
        try:
            while not self._closed.is_set():
                if self.hole:
                    self.swallowed += bool(select.select([source], [], [], 0.02)[0])
                    time.sleep(0.02)
                    continue
                if not select.select([source], [], [], 0.2)[0]:
                    continue
                data = source.recv(65536)
                if not data:
                    break
                self._pass_on(sink, data)
        except (OSError, ValueError):
            pass
        self._close(pair)

    def _pass_on(self, sink, data):
        self.pieces += 1
        if self.delay:
            time.sleep(self.delay * self._chance.uniform(0.5, 1.5))
        self.swallowed += self.hole
        while self.hole and not self._closed.is_set():
            time.sleep(0.02)
        if self.single_bytes:
            for n in range(min(len(data), BURST)):
                sink.sendall(data[n : n + 1])
            data = data[BURST:]
        sink.sendall(data)

    def _close(self, pair):
        with self._lock:
            self._pairs.discard(pair)
        for end in pair:
            with contextlib.suppress(OSError):
                end.close()

    def reset(self):
        """Ends a connection with RST, both ways; what was on the way is lost. Returns how many it ended: 0 or 1."""
        with self._lock:
            pair = self._chance.choice(sorted(self._pairs, key=id)) if self._pairs else None
        if pair is None:
            return 0
        for end in pair:
            with contextlib.suppress(OSError):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                end.shutdown(socket.SHUT_RD)  # wakes the pump
        self._close(pair)
        self.resets += 1
        return 1

    def close(self):
        self._closed.set()
        self._listener.close()
        with self._lock:
            pairs = list(self._pairs)
        for pair in pairs:
            self._close(pair)

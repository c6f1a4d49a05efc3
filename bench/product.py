#!/usr/bin/python3
"""The built product as a thing to measure: a service of its own, with its store and its worker, on free ports of loopback.

    product.py STORE MODE WORKERS PORT     a load.py target: prints READY URL, stops everything on SIGTERM

STORE: strict | fast (SQLite durability) | redis | redis-always. PUSH and PULL use one worker program with WORKERS slots.
TREADLE names the binary, TREADLE_PYTHON the interpreter of the functions, TMPDIR the disk of the store.
"""
import http.client
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

READY_WITHIN = 20  # seconds
STOP_WITHIN = 10


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def binary():
    path = os.environ.get("TREADLE", "")
    if not os.access(path, os.X_OK):
        raise SystemExit(f"product.py: TREADLE is '{path}', which is no program; set it to the path of the built treadle")
    return os.path.abspath(path)


def cpu_ns(pid):
    """CPU time of all threads that a process has now, in nanoseconds."""
    total = 0
    for thread in os.listdir(f"/proc/{pid}/task"):
        try:
            total += int(pathlib.Path(f"/proc/{pid}/task/{thread}/schedstat").read_text().split()[0])
        except OSError:  # it has ended
            continue
    return total


def cpu_of(product):
    """CPU seconds so far of each program of a product, and of the executors below serve and worker together."""
    used = {name: cpu_ns(process.pid) / 1e9 for name, process in product.processes().items()}
    own = {process.pid for process in product.processes().values()}
    parents = {}
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            parents[int(entry)] = int(pathlib.Path(f"/proc/{entry}/stat").read_text().rsplit(")", 1)[1].split()[1])
        except OSError:
            continue
    used["executors"] = 0
    for pid in parents:
        up = pid
        while up in parents and up not in own:
            up = parents[up]
        if up in own and pid not in own:
            try:
                used["executors"] += cpu_ns(pid) / 1e9
            except OSError:
                continue
    return used


def memory_kib(pid, what="VmRSS"):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(what + ":"):
            return int(line.split()[1])
    raise ValueError(f"/proc/{pid}/status has no {what}")


class Product:
    """A context manager; url, and the processes serve, worker and redis (None where there is none)."""

    def __init__(self, store, mode, workers, port=0, worker=True):
        self.store, self.mode, self.workers, self.with_worker = store, mode, workers, worker
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.python = os.environ.get("TREADLE_PYTHON", "/usr/bin/python3")
        self.serve = self.worker = self.redis = None
        self.dir = None

    def __enter__(self):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="treadle-bench-"))
        try:
            self.start_serve()
            if self.mode != "local" and self.with_worker:
                self.start_worker()
            self.wait_ready()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for process in (self.worker, self.serve, self.redis):
            if process and process.poll() is None:
                process.terminate()
                try:
                    process.wait(STOP_WITHIN)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
        shutil.rmtree(self.dir, ignore_errors=True)

    def run(self, name, command):
        with open(self.dir / f"{name}.log", "wb") as log:
            return subprocess.Popen(command, cwd=self.dir, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def where(self):
        if self.store in ("strict", "fast"):
            return ["--data-dir", str(self.dir / "data"), "--durability", self.store]
        port = free_port()
        fsync = "always" if self.store == "redis-always" else "everysec"
        self.redis = self.run("redis", ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "yes",
                                        "--appendfsync", fsync, "--dir", str(self.dir)])
        end = time.monotonic() + READY_WITHIN
        while True:
            with socket.socket() as s:
                if s.connect_ex(("127.0.0.1", port)) == 0:
                    break
            if time.monotonic() > end or self.redis.poll() is not None:
                raise SystemExit("product.py: redis-server does not start: " + self.log("redis"))
            time.sleep(0.02)
        return ["--store", f"redis://127.0.0.1:{port}/0"]

    def start_serve(self):
        command = [binary(), "serve", "--port", str(self.port), "-m", self.mode, *self.where()]
        if self.mode == "local":
            command += ["-w", str(self.workers), "--python", self.python]
        else:
            self.link_port = free_port()
            command += ["-p", str(self.link_port)]
        self.command = command
        self.serve = self.run("serve", command)

    def start_again(self):
        """After serve has ended: on the same store and ports."""
        self.serve = self.run("serve", self.command)

    def processes(self):
        """By name: those that this object started and that are there."""
        named = {"serve": self.serve, "worker": self.worker, "redis": self.redis}
        return {name: process for name, process in named.items() if process and process.poll() is None}

    def start_worker(self):
        self.worker = self.run("worker", [binary(), "worker", self.mode, str(self.workers), f"tcp://127.0.0.1:{self.link_port}",
                                          "--python", self.python])

    def wait_ready(self):
        end = time.monotonic() + READY_WITHIN
        while not self.ready():
            for name in ("serve", "worker"):
                process = getattr(self, name)
                if process and process.poll() is not None:
                    raise SystemExit(f"product.py: {name} ended: {self.log(name)}")
            if time.monotonic() > end:
                raise SystemExit(f"product.py: not ready after {READY_WITHIN} s: {self.log('serve')}")
            time.sleep(0.01)

    def ready(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            # Ready means that workers are there; where none shall be, it is enough that it answers.
            connection.request("GET", "/readyz" if self.with_worker else "/livez")
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()

    def log(self, name):
        return (self.dir / f"{name}.log").read_text(errors="replace").strip()[-500:]


def main():
    if len(sys.argv) != 5:
        raise SystemExit("product.py takes STORE MODE WORKERS PORT, e.g. fast local 2 8100")
    store, mode, workers, port = sys.argv[1:]
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    with Product(store, mode, int(workers), int(port)) as product:
        print("READY", product.url, flush=True)
        while product.serve.poll() is None:
            time.sleep(0.2)
        raise SystemExit("product.py: serve ended: " + product.log("serve"))


if __name__ == "__main__":
    main()

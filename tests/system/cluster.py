"""The service in each of its six forms: SQLite or Redis, local, push or pull, as the processes that people start."""

import sys
import uuid

from client import Client, eventually
from program import Program, Redis, folder
from server import Tree

STORES = ("sqlite", "redis")
MODES = ("local", "push", "pull")
ALL = [f"{store}-{mode}" for store in STORES for mode in MODES]
DEFAULT = "sqlite-local"  # one process; what a test runs on that does not say `cells`
FEW = ["sqlite-local", "redis-push", "redis-pull"]  # where slow rows run without --all

EXECUTOR_FLAGS = {"-w", "--preload", "--path", "--async-slots", "--queue", "--label"}  # of the program that runs the functions
DISPATCHER_FLAGS = {"-t"}  # of the one that sees to time limits; all others are the gateway's


class Cluster(Tree, Client):
    """`flags` are those of serve; each goes to the program that it is meant for. All programs share one mark."""

    def __init__(self, home, cell, *flags, env=None, python=sys.executable):
        self.store, self.mode = cell.split("-")
        self.home = home
        self.mark = uuid.uuid4().hex
        self._env = {**(env or {}), "TREADLE_TEST_MARK": self.mark}
        self._python = python
        self._flags = {"executor": [], "dispatcher": [], "gateway": []}
        for name, value in zip(flags[::2], flags[1::2], strict=True):
            owner = "executor" if name in EXECUTOR_FLAGS else "dispatcher" if name in DISPATCHER_FLAGS else "gateway"
            self._flags[owner] += [name, value]
        self.redis = None
        self.programs = []
        self.gateway = self.dispatcher = self.worker = None

    def start(self):
        try:
            self._start_redis() if self.store == "redis" else self._start_serve()
            if self.mode != "local":
                self._start_worker()
            assert eventually(lambda: self.get("/readyz").status == 200, 20, every=0.005), self.log()
        except BaseException:
            self.close()
            raise
        return self

    def _start_serve(self):
        assert self.mode != "local", "that is a Server"
        ports = ("--port", 0, "-p", 0)
        flags = ["--data-dir", self.home / "data", *self._flags["gateway"], *self._flags["dispatcher"]]
        self.gateway = self.dispatcher = self._begin("serve", "serve", "-m", self.mode, *ports, *flags)
        self._read_port()

    def _start_redis(self):
        self.redis = Redis(folder(self.home, "redis")).start()
        store = ("--store", self.redis.url)
        self.gateway = self._begin("gateway", "gateway", "--port", 0, *store, *self._flags["gateway"])
        mode = ("-m", self.mode) if self.mode == "local" else ("-m", self.mode, "-p", 0)
        flags = [*mode, *store, *self._flags["dispatcher"]]
        if self.mode == "local":
            flags += ["--python", self._python, *self._flags["executor"]]
        self.dispatcher = self._begin("dispatcher", "dispatcher", *flags)
        self._read_port()
        self.dispatcher.says("dispatching")

    def _start_worker(self):
        endpoint = self.dispatcher.says(r"workers: treadle worker \w+ SLOTS (tcp://\S+)")[1]
        flags = self._flags["executor"]
        self.worker = self._begin("worker", "worker", self.mode, endpoint, "--python", self._python, *flags)
        self.worker.says("worker.registered")

    def _begin(self, name, *argv):
        program = Program(self.home, name, *argv, env=self._env)
        self.programs.append(program)
        return program.start()

    def _read_port(self):
        self.port = int(self.gateway.says(r"listening on http://[^\s]*:(\d+)")[1])

    @property
    def alive(self):
        return all(program.alive for program in self.programs)

    def pids(self):
        return [program.pid for program in self.programs]

    def log(self):
        return "".join(f"--- {program.name}\n{program.log()}" for program in self.programs)

    def kill(self):
        """kill -9 of every program; what is below them has to go by itself. Redis stays."""
        for program in self.programs:
            program.kill()

    def close(self):
        self.kill()
        self.sweep()
        if self.redis:
            self.redis.close()

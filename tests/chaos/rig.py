"""The service under chaos: roles on fixed ports, so that whoever is killed comes back at the same place."""

import contextlib
import os
import pathlib
import signal
import socket
import sys
import time
import uuid

from client import Client, client_at, eventually
from history import redis_side, sqlite_side
from program import Program, Redis, folder
from redis_topology import RedisCluster, SentinelGroup
from server import BIN, Tree, parent

SLOTS = 4  # of each worker
OPTIONS = {
    "gateways": 1,
    "dispatchers": 1,
    "workers": 2,  # of each dispatcher, in push and pull
    "appendfsync": "everysec",  # "" = no append-only file
    "durability": "strict",  # of SQLite
    "topology": None,  # of TOPOLOGIES: that instead of one Redis
    "redis_flags": (),
    "redis_folder": None,  # where Redis keeps its files, if not below its own folder
    "data": None,  # the data directory, if not below home
    "store_link": None,  # link(port, n) -> the port by which the nth program (gateways first) reaches Redis
    "worker_link": None,  # link(port, n) -> the port by which the nth worker reaches its dispatcher
    "worker_host": "127.0.0.1",  # the address on which dispatchers await workers
    "worker_wrap": None,  # wrap(n) -> words that go before those of the nth worker
    "env": {},  # role -> environment
    "flags": {},  # role -> flags
}
TOPOLOGIES = {
    "sentinel": lambda home, settings: SentinelGroup(home, replicas=2, settings=settings),
    "cluster": lambda home, settings: RedisCluster(home, masters=3, settings=settings),
}


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


class Rig(Tree, Client):
    """Programs by role: serve, gateway, dispatcher, worker, redis. `holders` run user code below themselves."""

    def __init__(self, home, cell, **options):
        unknown = set(options) - set(OPTIONS)
        assert not unknown, unknown
        self.store, self.mode = cell.split("-")
        self.home = pathlib.Path(home)
        self.o = {**OPTIONS, **options}
        self.mark = uuid.uuid4().hex
        self.roles = {"serve": [], "gateway": [], "dispatcher": [], "worker": []}
        self.ports = []
        self.worker_ports = []  # of dispatchers
        self.redis = None
        self.data = pathlib.Path(self.o["data"] or self.home / "data")
        self._planned = []  # in the order of their starts
        self.restarts = []  # when the embedded store began
        self.port = None

    # -- start and end -----------------------------------------------------------------------------------------------

    def start(self):
        try:
            self._plan_redis() if self.store == "redis" else self._plan_serve()
            if self.store == "sqlite":
                self._install_log()
            for program in self._planned:
                self.begin(program)
            self.wait_ready()
        except BaseException:
            self.close()
            raise
        return self

    def _plan_serve(self):
        self._plan_gateway("serve", "--data-dir", self.data, "--durability", self.o["durability"], *self._mode_flags())
        if self.mode != "local":
            self._plan_workers(0)

    def _plan_redis(self):
        flags = list(self.o["redis_flags"])
        if self.o["appendfsync"]:
            flags += ["--appendonly", "yes", "--appendfsync", self.o["appendfsync"], *redis_side.LOG_FLAGS]
        if self.o["redis_folder"]:
            flags += ["--dir", self.o["redis_folder"]]
        home, env = folder(self.home, "redis"), self.o["env"].get("redis")
        if self.o["topology"]:
            self.redis = TOPOLOGIES[self.o["topology"]](home, flags).start()
        else:
            self.redis = Redis(home, port=free_port(), flags=flags, env=env).start()
        for n in range(self.o["gateways"]):
            self._plan_gateway("gateway", "--store", self._store(n))
        for n in range(self.o["dispatchers"]):
            store = self._store(self.o["gateways"] + n)
            self._plan("dispatcher", "dispatcher", "--store", store, *self._mode_flags())
            if self.mode != "local":
                self._plan_workers(n)

    def _store(self, n):
        if self.o["topology"]:
            return self.redis.url
        link = self.o["store_link"]
        return f"redis://127.0.0.1:{link(self.redis.port, n) if link else self.redis.port}/0"

    def _mode_flags(self):
        if self.mode == "local":
            return ("-m", "local", "--python", sys.executable, "-w", 2 * SLOTS)
        self.worker_ports.append(free_port())
        flags = ("-m", self.mode, "-p", self.worker_ports[-1])
        host = self.o["worker_host"]
        if host == "127.0.0.1":
            return flags
        return (*flags, "--dispatcher-host" if self.store == "sqlite" else "--host", host, "--insecure-public")

    def _plan_gateway(self, role, *argv):
        port = free_port()
        self.ports.append(port)
        self.port = self.port or port
        self._plan(role, role, "--port", port, *argv)

    def _plan_workers(self, n):
        for _ in range(self.o["workers"]):
            link, wrap, port = self.o["worker_link"], self.o["worker_wrap"], self.worker_ports[n]
            number = len(self.roles["worker"])
            port = link(port, number) if link else port
            before = wrap(number) if wrap else ()
            argv = ("worker", self.mode, SLOTS, f"tcp://{self.o['worker_host']}:{port}", "--python", sys.executable)
            self._plan("worker", *((*before, BIN) if before else ()), *argv)

    def _plan(self, role, *argv):
        name = f"{role}{len(self.roles[role])}"
        env = {"TREADLE_TEST_MARK": self.mark, **self.o["env"].get(role, {})}
        program = Program(folder(self.home, name), name, *argv, *self.o["flags"].get(role, ()), env=env)
        program.role = role
        self.roles[role].append(program)
        self._planned.append(program)
        return program

    def _install_log(self):
        """The table that only grows has to be there before the first task."""
        serve = self.roles["serve"][0]
        self.begin(serve)
        self.wait_ready(path="/livez")
        code = serve.stop(signal.SIGTERM)
        assert code in (0, 130, 143), f"serve ended with {code} at SIGTERM\n{serve.log()}"
        sqlite_side.install_log(self.data / "treadle.db")

    def begin(self, program):
        """Starts it, or starts it again, and waits until it says that it works."""
        if program.role == "serve":
            self.restarts.append(time.monotonic())
        program.start().says(READY[program.role], 60)

    def wait_ready(self, seconds=60, path="/readyz"):
        for port in self.ports:
            assert eventually(lambda c=client_at(port): answers_yes(c, path), seconds, every=0.02), self.log()

    def close(self):
        for program in reversed(self._planned):
            if program.process is not None:
                with contextlib.suppress(ProcessLookupError):
                    program.send_signal(signal.SIGCONT)
                program.kill()
        self.sweep()
        if self.redis:
            self.redis.close()

    # -- who is there ------------------------------------------------------------------------------------------------

    @property
    def programs(self):
        return self._planned

    @property
    def holders(self):
        """Those below which user code runs."""
        if self.roles["worker"]:
            return self.roles["worker"]
        return self.roles["serve"] or self.roles["dispatcher"]

    @property
    def dispatchers(self):
        return self.roles["dispatcher"] or self.roles["serve"]

    @property
    def gateways(self):
        return self.roles["gateway"] or self.roles["serve"]

    def pids_below(self, program):
        """All processes of its tree, itself among them."""
        return [pid for pid, _ in self.survivors() if is_below(pid, program.pid)]

    def unplanned_deaths(self):
        return [program.name for program in self._planned if not program.alive]

    def log(self):
        return "".join(f"--- {program.name}\n{program.log()[-2000:]}" for program in self._planned)

    # -- what the store says -----------------------------------------------------------------------------------------

    def history(self):
        """(changes, finals): the log that only grew, and the dump. SQLite's after the end of all."""
        if self.store == "sqlite":
            return sqlite_side.read(self.data / "treadle.db")
        if self.o["topology"]:
            return redis_side.of_masters(self.redis.masters_now())
        files = self.o["redis_folder"] or self.redis.folder
        return redis_side.changes(files), redis_side.finals(self.redis.socket)


READY = {"serve": "listening on", "gateway": "listening on", "dispatcher": "dispatching", "worker": "worker.registered"}


def answers_yes(client, path):
    try:
        return client.get(path).status == 200
    except OSError:
        return False


def is_below(pid, ancestor):
    while pid and pid > 1 and pid != ancestor:
        pid = parent(pid)
    return pid == ancestor


def continue_tree(pids):
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)

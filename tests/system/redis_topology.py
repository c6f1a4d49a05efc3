"""Redis in its larger forms, on loopback: a master with replicas and Sentinels, a Cluster, several masters.

Each has `url` (for --store), `start()`, `kill_master()` and `close()`; it goes where a `program.Redis` goes, e.g.
`Fleet(home, SentinelGroup(home).start())`. Only processes that it started are ended, by pid.
"""

import pathlib
import shutil
import socket
import subprocess
import tempfile

from client import PATIENCE, eventually
from program import Program, folder

MASTER = "mymaster"
DOWN_AFTER_MS = 1000  # silence after which Sentinels and cluster nodes call a node dead
BUS = 10_000  # a cluster node's second port is so far above its first


def free_ports(count, bus=False):
    """Ports of loopback that were free a moment ago; with `bus`, those of the cluster bus too."""
    held, ports = [], []
    try:
        while len(ports) < count:
            first = socket.socket()
            held.append(first)
            first.bind(("127.0.0.1", 0))
            port = first.getsockname()[1]
            if bus:
                if port + BUS > 65_535:
                    continue
                second = socket.socket()
                held.append(second)
                try:
                    second.bind(("127.0.0.1", port + BUS))
                except OSError:
                    continue
            ports.append(port)
    finally:
        for one in held:
            one.close()
    return ports


class Node:
    """A redis-server on a TCP port, with a folder of its own. `settings` are lines of redis.conf without their dashes."""

    def __init__(self, home, name, port, *settings):
        self.port = port
        self._folder = tempfile.mkdtemp(prefix="treadle-redis-")
        program = shutil.which("redis-server")
        assert program, "no redis-server: ./dev test installs it (tools/packages.tsv)"
        where = ("--port", port, "--bind", "127.0.0.1", "--dir", self._folder, "--save", "")
        self.program = Program(folder(home, name), name, program, *where, *settings)

    def start(self):
        self.program.start()
        assert eventually(lambda: self.cli("ping") == "PONG", 10), self.program.log()
        return self

    @property
    def folder(self):
        return self._folder

    @property
    def pid(self):
        return self.program.pid

    @property
    def alive(self):
        return self.program.alive

    def cli(self, *words):
        """What redis-cli prints, without the last newline; an error answer is printed, too."""
        return cli(self.port, *words)

    def info(self, section):
        lines = (line.split(":", 1) for line in self.cli("info", section).splitlines() if ":" in line)
        return {name: value.strip() for name, value in lines}

    def kill(self):
        self.program.kill()

    def close(self):
        self.kill()
        shutil.rmtree(self._folder, ignore_errors=True)


def cli(port, *words, seconds=20):
    done = subprocess.run(
        ["redis-cli", "-p", str(port), *map(str, words)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=seconds * PATIENCE,
    )
    return done.stdout.removesuffix("\n")


class Sentinel:
    def __init__(self, home, name, port, master_port, quorum):
        self.port = port
        self._folder = tempfile.mkdtemp(prefix="treadle-sentinel-")
        conf = pathlib.Path(self._folder) / "sentinel.conf"
        conf.write_text(
            f"port {port}\nbind 127.0.0.1\ndir {self._folder}\n"
            f"sentinel monitor {MASTER} 127.0.0.1 {master_port} {quorum}\n"
            f"sentinel down-after-milliseconds {MASTER} {DOWN_AFTER_MS}\n"
            f"sentinel failover-timeout {MASTER} 6000\nsentinel parallel-syncs {MASTER} 1\n"
        )
        self.program = Program(folder(home, name), name, shutil.which("redis-server"), str(conf), "--sentinel")

    def start(self):
        self.program.start()
        assert eventually(lambda: cli(self.port, "ping") == "PONG", 10), self.program.log()
        return self

    def field(self, name):
        words = cli(self.port, "sentinel", "master", MASTER).splitlines()
        return dict(zip(words[::2], words[1::2], strict=False)).get(name, "")

    def master_port(self):
        lines = cli(self.port, "sentinel", "get-master-addr-by-name", MASTER).splitlines()
        return int(lines[1]) if len(lines) == 2 else 0

    def kill(self):
        self.program.kill()

    def close(self):
        self.kill()
        shutil.rmtree(self._folder, ignore_errors=True)


class SentinelGroup:
    """One master, `replicas` of it, and Sentinels that need a majority of themselves to make another the master."""

    def __init__(self, home, replicas=1, sentinels=3, settings=("--appendonly", "yes")):
        ports = free_ports(1 + replicas + sentinels)
        self.nodes = [Node(home, "redis0", ports[0], *settings)]
        for i in range(1, 1 + replicas):
            self.nodes.append(Node(home, f"redis{i}", ports[i], *settings, "--replicaof", f"127.0.0.1 {ports[0]}"))
        quorum = sentinels // 2 + 1
        self.sentinels = [
            Sentinel(home, f"sentinel{i}", port, ports[0], quorum) for i, port in enumerate(ports[1 + replicas :])
        ]

    @property
    def url(self):
        places = ",".join(f"127.0.0.1:{sentinel.port}" for sentinel in self.sentinels)
        return f"redis+sentinel://{places}/{MASTER}/0"

    def start(self):
        for node in self.nodes:
            node.start()
        up = lambda node: node.info("replication").get("master_link_status") == "up"  # noqa: E731
        assert eventually(lambda: all(up(node) for node in self.nodes[1:]), 20), "the replicas do not come up"
        for sentinel in self.sentinels:
            sentinel.start()
        others, replicas = str(len(self.sentinels) - 1), str(len(self.nodes) - 1)
        ready = lambda s: s.field("num-other-sentinels") == others and s.field("num-slaves") == replicas  # noqa: E731
        assert eventually(lambda: all(ready(s) for s in self.sentinels), 30), "the Sentinels do not find each other"
        return self

    def master(self):
        """The node that most Sentinels name."""
        ports = [sentinel.master_port() for sentinel in self.sentinels if sentinel.program.alive]
        port = max(set(ports), key=ports.count)
        return next(node for node in self.nodes if node.port == port)

    def masters_now(self):
        """{prefix of keys: the node that has them}"""
        return {"": self.master()}

    def kill_master(self):
        node = self.master()
        node.kill()
        return node

    def failed_over(self, dead, seconds=20):
        """The new master, once the Sentinels name one and it takes writes."""

        def look():
            node = self.master()
            return node if node is not dead and node.info("replication").get("role") == "master" else None

        return eventually(look, seconds)

    def close(self):
        for one in (*self.sentinels, *self.nodes):
            one.close()


class RedisCluster:
    """`masters` nodes with slots and one replica of each."""

    def __init__(self, home, masters=3, settings=("--appendonly", "yes")):
        own = ("--cluster-enabled", "yes", "--cluster-node-timeout", DOWN_AFTER_MS, *settings)
        ports = free_ports(2 * masters, bus=True)
        self.nodes = [Node(home, f"node{i}", port, *own) for i, port in enumerate(ports)]
        self.masters = masters

    @property
    def url(self):
        return "redis+cluster://" + ",".join(f"127.0.0.1:{node.port}" for node in self.nodes[:3])

    def start(self):
        for node in self.nodes:
            node.start()
        places = [f"127.0.0.1:{node.port}" for node in self.nodes]
        made = cli(
            self.nodes[0].port, "--cluster", "create", *places, "--cluster-replicas", 1, "--cluster-yes", seconds=60
        )
        assert "All 16384 slots covered" in made, made
        assert eventually(lambda: all(self.is_whole(node) for node in self.nodes), 30), "the cluster does not form"
        up = lambda node: node.info("replication").get("master_link_status") == "up"  # noqa: E731
        replicas = [node for node in self.nodes if node.info("replication").get("role") == "slave"]
        assert len(replicas) == self.masters
        assert eventually(lambda: all(up(node) for node in replicas), 30), "the replicas do not come up"
        return self

    def is_whole(self, node):
        known = node.cli("cluster", "nodes").splitlines()
        return "cluster_state:ok" in node.cli("cluster", "info") and len(known) == len(self.nodes)

    def living(self):
        return [node for node in self.nodes if node.alive]

    def master_of(self, key):
        """The node that has a key's slot, as the living ones say."""
        seen = self.living()[0]
        slot = int(seen.cli("cluster", "keyslot", key))
        for line in seen.cli("cluster", "nodes").splitlines():
            words = line.split()
            if "master" not in words[2] or "fail" in words[2].split(","):
                continue
            for span in words[8:]:
                first, _, last = span.partition("-")
                if first.isdigit() and int(first) <= slot <= int(last or first):
                    port = int(words[1].split("@")[0].rsplit(":", 1)[1])
                    return next(node for node in self.nodes if node.port == port)
        return None

    def masters_now(self, partitions=16):
        """{prefix of keys: the node that has them}"""
        prefixes = [f"{{p{n:02}}}:" for n in range(partitions)]
        return {prefix: self.master_of(prefix) for prefix in prefixes}

    def kill_master(self, key="{p00}"):
        """Kills the one that has this key."""
        node = self.master_of(key)
        node.kill()
        return node

    def failed_over(self, dead, key="{p00}", seconds=20):
        """The new master of the key, once all living nodes call the cluster whole again."""

        def look():
            node = self.master_of(key)
            whole = all("cluster_state:ok" in one.cli("cluster", "info") for one in self.living())
            return node if node and node is not dead and whole else None

        return eventually(look, seconds)

    def close(self):
        for node in self.nodes:
            node.close()


class ManyRedis:
    """Servers that know nothing of each other, which share a store in partitions."""

    def __init__(self, home, count=2, settings=("--appendonly", "yes")):
        self.nodes = [Node(home, f"redis{i}", port, *settings) for i, port in enumerate(free_ports(count))]

    @property
    def url(self):
        return "redis://" + ",".join(f"127.0.0.1:{node.port}" for node in self.nodes) + "/0"

    def start(self):
        for node in self.nodes:
            node.start()
        return self

    def close(self):
        for node in self.nodes:
            node.close()

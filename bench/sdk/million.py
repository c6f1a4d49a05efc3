#!/usr/bin/env python3
"""One map call of very many no-ops: how fast it is accepted, what the server's memory does, and whether a client that is killed with -9
can be taken up by the group's name with every result there exactly once. One JSON line.

    TREADLE=build/treadle PYTHONPATH=python bench/sdk/million.py --n 1000000

A server of its own, LOCAL with 2 slots, SQLite with --durability fast. The first client is killed when it has read 30 % of the results; a second
one, which knows only the group's name, reads the stream of the group.
"""

import argparse
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import threading
import time

import treadle
from treadle.local import LocalServer

GROUP = "million"
FIRST = """
import os, sys, time, treadle
url, n, path = sys.argv[1], int(sys.argv[2]), sys.argv[3]
seen = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
client = treadle.Client(url)
begun = time.monotonic()
results = client.map(lambda n: n, range(n), group="million", ordered=False)
client.wait_accepted()
print("accepted", time.monotonic() - begun, flush=True)
for value in results:
    os.write(seen, value.to_bytes(4, "little"))
print("all", flush=True)
"""


class Memory(threading.Thread):
    """The most that the server's process had resident."""

    def __init__(self, pid):
        super().__init__(daemon=True)
        self.pid, self.most, self.stop = pid, 0, threading.Event()

    def now(self):
        for line in pathlib.Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS"):
                return int(line.split()[1]) << 10
        return 0

    def run(self):
        while not self.stop.wait(0.05):
            self.most = max(self.most, self.now())


def values_of(path):
    data = path.read_bytes()
    return [int.from_bytes(data[at : at + 4], "little") for at in range(0, len(data) // 4 * 4, 4)]


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--n", type=int, default=1_000_000)
    options.add_argument("--kill-at", type=float, default=0.3, help="share of the results after which the client is killed")
    options = options.parse_args()
    n = options.n
    server = LocalServer(slots=2)
    try:
        with treadle.Client(server.url) as client, tempfile.TemporaryDirectory() as folder:
            client.submit(abs, -1).result()
            memory = Memory(server._process.pid)
            idle = memory.now()
            memory.start()
            path = pathlib.Path(folder) / "seen"
            path.touch()
            begun = time.monotonic()
            first = subprocess.Popen([sys.executable, "-c", FIRST, server.url, str(n), str(path)], stdout=subprocess.PIPE, text=True)
            accepted = float(first.stdout.readline().split()[1])
            while path.stat().st_size < 4 * n * options.kill_at and first.poll() is None:
                time.sleep(0.01)
            killed = first.poll() is None
            first.send_signal(signal.SIGKILL)
            first.wait()
            before = values_of(path)
            ended = {future.task_id: future.result() for future in client.group(GROUP).results()}
            took = time.monotonic() - begun
            memory.stop.set()
    finally:
        server.stop()
    line = {"bench": "sdk-million", "n": n, "accepted_s": round(accepted, 2), "tasks_per_s": round(n / took), "killed_at": len(before) if killed else None}
    line["server_idle_mib"], line["server_most_mib"] = idle >> 20, memory.most >> 20
    line["union"], line["tasks"] = len(set(before) | set(ended.values())), len(ended)
    line["load_after"] = round(os.getloadavg()[0], 2)
    print(json.dumps(line), flush=True)
    right = killed and sorted(ended.values()) == list(range(n)) and set(before) <= set(ended.values()) and len(set(before)) == len(before)
    return 0 if right else 1


if __name__ == "__main__":
    sys.exit(main())

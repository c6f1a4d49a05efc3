#!/usr/bin/python3
"""Every figure of docs/BENCHMARKS.md, over stores and modes, in turn: one JSON line for each, appended to a results file.

    TREADLE=build/treadle bench/matrix.py --out bench/results/DATE.jsonl [--reps 3] [--only noop,batch] [--cells fast:local,redis:push]
                                          [--scale 0.1] [--long] [--peers]

--scale    multiplies the number of tasks: to see that all works, not to measure
--long     also 1,000,000 waiting tasks, throughput over 1,000,000 finished ones, with 5 % failing ones, and with 200,000
--core BIN also treadle_scale_bench, which is BIN: the dispatcher core with many workers
--peers    also the seed design and the peers of bench/peers, within every repetition; PEER_PYTHON has their packages
The first line of a run tells the machine, the versions and the parameters; the others carry its number.
"""
import argparse
import json
import os
import pathlib
import signal
import subprocess
import sys
import time
import traceback

import figures
import load
import machine
from product import Product, binary

HERE = pathlib.Path(__file__).resolve().parent
STORES, MODES = ("strict", "fast", "redis"), ("local", "push", "pull")
PEERS = [  # program and arguments in bench/peers
    ["procpool.py", "throughput", "stream", "latency", "payload", "sleep"],
    ["celery_bench.py", "pickle", "fast"],
    *(["celery_bench.py", "pickle", "sleep", str(w)] for w in figures.WIDTHS),
    ["dask_bench.py", "throughput", "latency", "payload", "sleep"],
    ["rq_bench.py", "simple", "throughput", "latency", "payload"],
]
SEED = [  # mode, and arguments of load.py: PUSH is its best mode, but its pauses between polls make LOCAL the fair one for latency
    ("push", "throughput --n 6000"), ("push", "payload"), ("push", "status-poll --seconds 2"), ("push", "sleep --ms 10,100 --workers 1,4,16 --scaling weak"),
    ("local", "throughput --n 6000"), ("local", "latency --n 300 --poll-us 0"),
]


def of_cell(driver):
    """name: function of a product, for what is measured of one product after another; the first figure meets a fresh store."""
    table = {"noop": figures.noop, "batch": figures.batch, "latency": figures.latency, "invoke": figures.invoke, "status": figures.status, "mixed": figures.mixed}
    plan = {name: lambda p, f=f: f(driver, p) for name, f in table.items()}
    for size in figures.SIZES:
        for raw in (False, True):
            plan[f"echo-{'raw' if raw else 'base64'}-{size}"] = lambda p, s=size, r=raw: figures.echo(driver, p, s, r)
    return plan


class Run:
    def __init__(self, a):
        self.a, self.number, self.broken = a, time.strftime("%Y%m%dT%H%M%S"), 0
        self.driver = figures.Driver(a.scale)
        parameters = {"reps": a.reps, "scale": a.scale, "long": a.long, "peers": a.peers, "only": a.only, "cells": [":".join(c) for c in a.cells]}
        self.write({"run": self.number, "machine": machine.describe(binary(), os.environ.get("TREADLE_PYTHON", "/usr/bin/python3")), **parameters,
                    "command": "bench/matrix.py " + " ".join(sys.argv[1:])})

    def write(self, line):
        text = json.dumps(line)
        with open(self.a.out, "a") as out:
            out.write(text + "\n")

    def wants(self, name):
        return not self.a.only or any(name == o or name.startswith(o + "-") for o in self.a.only)

    def figure(self, name, measure, **where):
        """Measures and writes one line; a failure is a line too, and does not end the run."""
        begun = time.time()
        try:
            line = measure()
        except (Exception, SystemExit) as e:
            traceback.print_exc()
            line = {"error": f"{type(e).__name__}: {e}"[:300]}
        line = {"figure": name, "run": self.number, **where, "time": round(begun, 1), "took_s": round(time.time() - begun, 2), **line}
        self.broken += bool("error" in line or line.get("errors") or line.get("unfinished"))
        self.write(line)
        key = next((k for k in ("error", "MBps", "fetched_per_s", "tasks_per_s", "calls_per_s", "rps", "efficiency", "p50_us", "task_ns", "rss_mb", "rss_mib", "first_task_s") if k in line), "")
        print(f"{name:22} {':'.join(str(v) for k, v in where.items() if k in ('store', 'mode', 'workers')):16} {key} {line.get(key)}", flush=True)

    def cell(self, rep, store, mode):
        plan = {name: f for name, f in of_cell(self.driver).items() if self.wants(name)}
        where = {"store": store, "mode": mode, "workers": 2, "rep": rep}
        if plan:
            idle = load.quiet(3)
            with Product(store, mode, 2) as product:
                for name, measure in plan.items():
                    self.figure(name, lambda: measure(product), **where, idle_before=idle)
        if self.wants("idle") and rep == 0:
            with Product(store, mode, 2) as product:
                self.figure("idle", lambda: figures.idle(self.driver, product), **where)
        if self.wants("start") and mode == "local":
            self.figure("start", lambda: figures.first_task(self.driver, store, mode), **where)
        if self.wants("sleep") and store == "strict":
            for width in figures.WIDTHS:
                for ms in figures.SLEEPS:
                    self.figure(f"sleep-{ms}ms", lambda: figures.sleeping(self.driver, store, mode, width, ms), **{**where, "workers": width})

    def of_store(self, rep, store):
        where = {"store": store, "mode": "push", "workers": 2, "rep": rep}
        if self.wants("queued"):
            for n in (100_000, 1_000_000) if self.a.long else (100_000,):
                if n < 1_000_000 or rep == 0:
                    self.figure(f"queued-{n}", lambda: figures.queued(self.driver, store, n), **where)
        if not self.a.long:
            return
        where["mode"] = "local"
        for name, measure in (("failing", figures.failing), ("noop-200000", lambda d, p: figures.noop(d, p, 200_000))):
            if self.wants(name):
                with Product(store, "local", 2) as product:
                    self.figure(name, lambda: measure(self.driver, product), **where)
        if self.wants("noop-over-finished") and rep == 0:
            self.figure("noop-over-finished", lambda: figures.after_finished(self.driver, store, 1_000_000), **where)

    def peers(self, rep):
        python = os.environ.get("PEER_PYTHON", sys.executable)
        for words in PEERS:
            self.foreign(rep, [python, *words], HERE / "peers", words[0])
        for mode, words in SEED:
            target = f"seed-{mode}={sys.executable} seedref/launch.py --mode {mode} --workers {{workers}} --port {{port}}"
            self.foreign(rep, [sys.executable, "load.py", *words.split(), "--reps", "1", "--target", target, "--lock", os.devnull], HERE, f"seed-{mode}")

    def core(self):
        p = subprocess.run([self.a.core, "--tasks", str(self.driver.count(1_000_000, 1000))], capture_output=True, text=True)
        lines = [json.loads(raw) for raw in p.stdout.splitlines()]
        if p.returncode or not lines:
            lines = [{"mode": "push", "error": f"treadle_scale_bench ended with {p.returncode}: {p.stderr.strip()[-200:]}"}]
        for line in lines:
            name = "core-growth" if line.pop("bench", "") == "scale-growth" else "core"
            where = {key: line.pop(key) for key in ("mode", "workers") if key in line}
            self.figure(name, lambda: line, **where)

    def foreign(self, rep, command, cwd, name):
        """What a peer's program prints, as lines of this run."""
        env = dict(os.environ, BENCH_REPS="1", BENCH_LOCK=os.devnull, PYTHONDONTWRITEBYTECODE="1", PYTHONWARNINGS="ignore", BENCH_SCALE=str(self.a.scale))
        p = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=900)
        lines = [json.loads(raw) for raw in p.stdout.splitlines() if raw.startswith("{")]
        lines = [line for line in lines if "workload" in line]
        if not lines:
            lines = [{"workload": "all", "server": name, "error": (p.stderr.strip() or p.stdout.strip())[-300:]}]
        for line in lines:
            where = {"peer": line.pop("server"), "workers": line.pop("workers", None), "rep": rep}
            line.pop("rep", None)
            self.figure(line.pop("workload"), lambda: line, **where)


def names(text):
    return text.split(",")


def cells(text):
    chosen = [tuple(word.split(":")) for word in text.split(",")]
    for cell in chosen:
        if len(cell) != 2 or cell[0] not in STORES or cell[1] not in MODES:
            raise argparse.ArgumentTypeError(f"'{':'.join(cell)}' is no cell: STORE:MODE of {', '.join(STORES)} and {', '.join(MODES)}")
    return chosen


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--out", required=True)
    p.add_argument("--reps", type=int, default=3, help="0: only what --core measures")
    p.add_argument("--scale", type=float, default=1.0)
    p.add_argument("--only", type=names, default=[])
    p.add_argument("--cells", type=cells, default=[(s, m) for s in STORES for m in MODES])
    p.add_argument("--long", action="store_true")
    p.add_argument("--peers", action="store_true")
    p.add_argument("--core", metavar="BIN")
    a = p.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    pathlib.Path(a.out).parent.mkdir(parents=True, exist_ok=True)
    run = Run(a)
    for rep in range(a.reps):
        for store, mode in a.cells if rep % 2 == 0 else reversed(a.cells):
            run.cell(rep, store, mode)
        for store in dict.fromkeys(store for store, _ in a.cells):
            run.of_store(rep, store)
        if a.peers:
            run.peers(rep)
    if a.core:
        run.core()
    print(f"run {run.number}: lines in {a.out}; {run.broken} of them not sound")
    return 1 if run.broken else 0


if __name__ == "__main__":
    sys.exit(main())

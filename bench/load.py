#!/usr/bin/python3
"""Load driver for any server of the FaaS HTTP API. Prints one JSON line per run, then one 'summary' line per workload.

    load.py throughput  --url a=http://127.0.0.1:8100 --url b=http://127.0.0.1:8200 --reps 5
    load.py sleep       --target push='/usr/bin/python3 seedref/launch.py --mode push --workers {workers} --port {port}'

--url NAME=URL     a server that already runs.
--target NAME=CMD  a server that this program starts afresh for every run: CMD gets {workers} and {port}, stays in the
                   foreground, prints 'READY <url>' on stdout and stops everything it started on SIGTERM.
Several servers are measured in turn within every repetition (a b, b a, a b ...), so that a ratio taken between them
does not suffer from a machine whose speed drifts; the summary holds the median of each and the median of the per-repetition
ratios to the first server named. A workload holds an exclusive lock on --lock while it runs (--lock /dev/null: none).
cpu_us is the CPU time that a server's processes (under --target, or --pid NAME=PID) spent per task, by program: it holds up
better than wall time on a busy machine.
The HTTP work is done by loadgen.cpp (compiled on first use); client_cpu_s in each line tells what it cost.
"""
import argparse
import base64
import fcntl
import json
import os
import pathlib
import shlex
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import types

import dill

HERE = pathlib.Path(__file__).resolve().parent


def noop():
    return None


def sometimes_fails(share):
    import random
    if random.random() < share:
        raise ValueError("one of the failing share")


def nap(seconds):
    import time
    time.sleep(seconds)
    return seconds


def echo(data):
    return data


def text(obj):
    return base64.b64encode(dill.dumps(obj, recurse=True)).decode()


def body_of(f):
    """The JSON that registers it. As a function of __main__, so that it travels whole even when this module was imported."""
    whole = types.FunctionType(f.__code__, {"__builtins__": __builtins__}, f.__name__)
    whole.__module__ = "__main__"
    return {"name": f.__name__, "payload": text(whole)}


class Payloads:
    def __init__(self):
        self.dir = tempfile.TemporaryDirectory(prefix="treadle-load-")
        self.n = 0

    def file(self, content):
        self.n += 1
        p = os.path.join(self.dir.name, f"p{self.n}")
        pathlib.Path(p).write_text(content)
        return p

    def fn(self, f):
        return self.file(json.dumps(body_of(f)))

    def args(self, *a):
        return self.file(text((a, {})))

    def drop(self, *paths):
        for path in paths:
            os.unlink(path)


def loadgen_path():
    out = pathlib.Path(os.environ.get("LOADGEN", HERE.parent / "build" / "bench" / "loadgen"))
    newest = max((HERE / name).stat().st_mtime for name in ("loadgen.cpp", "loadgen_http.h", "loadgen_v1.h"))
    if not out.exists() or out.stat().st_mtime < newest:
        out.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(["g++", "-std=c++20", "-O2", "-o", str(out), str(HERE / "loadgen.cpp")], check=True)
    return str(out)


def loadgen_words(gen, mode, url, fn, args, **options):
    cmd = [gen, mode, "--url", url, "--fn", fn, "--args", args]
    for name, value in options.items():
        cmd += [f"--{name}", str(value)]
    return cmd


def run_loadgen(gen, mode, url, fn, args, **options):
    """The line that loadgen printed, or one with "error"."""
    p = subprocess.run(loadgen_words(gen, mode, url, fn, args, **options), capture_output=True, text=True)
    try:
        line = json.loads(p.stdout)
    except ValueError:
        return {"error": (p.stderr or p.stdout).strip()[:300] or f"loadgen ended with {p.returncode}"}
    if p.stderr:
        line["complaint"] = p.stderr.strip()[:300]
    return line


def idle_share(seconds=0.2):
    def read():
        v = [int(x) for x in open("/proc/stat").readline().split()[1:]]
        return v[3] + v[4], sum(v[:8])
    i0, t0 = read()
    time.sleep(seconds)
    i1, t1 = read()
    return round((i1 - i0) / max(1, t1 - t0), 2)


def quiet(limit=10):
    """Waits a little for the rest of the machine to go quiet; the idle share is recorded with the run."""
    end = time.time() + limit
    while (share := idle_share()) < 0.9 and time.time() < end:
        time.sleep(0.3)
    return share


def cpu_by_role(root):
    """CPU seconds so far of a process and all below it, by role: the program's name, '+' for a pool process below its like."""
    procs = {}
    for d in os.listdir("/proc"):
        if d.isdigit():
            try:
                f = open(f"/proc/{d}/stat").read().rsplit(")", 1)[1].split()
                cmd = open(f"/proc/{d}/cmdline").read().split("\0")
            except OSError:
                continue
            procs[int(d)] = (int(f[1]), sum(int(x) for x in f[11:15]) / os.sysconf("SC_CLK_TCK"), cmd)
    out = {}
    for pid, (parent, secs, cmd) in procs.items():
        up = pid
        while up in procs and up != root:
            up = procs[up][0]
        if up != root:
            continue
        words = [os.path.basename(w) for w in cmd if w and not w.startswith("-")]
        name = next((w for w in words if not w.startswith("python")), words[0] if words else "?").split()[0]
        if parent in procs and procs[parent][2][:3] == cmd[:3]:
            name += "+"
        out[name] = out.get(name, 0) + secs
    return out


class Server:
    """A context manager that yields the URL."""

    def __init__(self, name, url=None, cmd=None, workers=2, port=8100):
        self.name, self.url, self.cmd, self.workers, self.port = name, url, cmd, workers, port
        self.proc = None

    def __enter__(self):
        if self.cmd:
            cmd = self.cmd.format(workers=self.workers, port=self.port)
            self.proc = subprocess.Popen(shlex.split(cmd), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True, cwd=HERE)
            while True:
                line = self.proc.stdout.readline()
                if not line:
                    raise SystemExit(f"{self.name}: ended before READY")
                if line.startswith("READY"):
                    return line.split()[1]
        return self.url

    def __exit__(self, *_):
        if self.proc:
            self.proc.send_signal(signal.SIGTERM)
            try:
                self.proc.wait(15)
            except subprocess.TimeoutExpired:
                os.killpg(self.proc.pid, signal.SIGKILL)


class Bench:
    def __init__(self, a):
        self.a = a
        self.out = open(a.out, "a") if a.out else None
        self.pay = Payloads()
        self.gen = loadgen_path()
        self.servers = [("url", *u.split("=", 1)) for u in a.url] + [("target", *t.split("=", 1)) for t in a.target]
        self.pids = {k: int(v) for k, v in (x.split("=", 1) for x in a.pid)}
        if not self.servers:
            raise SystemExit("name at least one --url or --target")

    def emit(self, line):
        s = json.dumps(line)
        print(s, flush=True)
        if self.out:
            self.out.write(s + "\n")
            self.out.flush()

    def run(self, cells, workers):
        """cells: dicts with workload, mode, fn, args, opts, key and perhaps calc, better. One server start serves them all."""
        for c in cells:
            c["files"] = (self.pay.fn(c["fn"]), self.pay.args(*c["args"]))
            c["series"] = {s[1]: [] for s in self.servers}
        with open(self.a.lock, "w") as lk:
            fcntl.flock(lk, fcntl.LOCK_EX)
            for rep in range(self.a.reps):
                order = self.servers if rep % 2 == 0 else list(reversed(self.servers))
                for kind, name, where in order:
                    server = Server(name, **({"url": where} if kind == "url" else {"cmd": where, "port": self.a.port}), workers=workers)
                    with server as url:
                        idle = quiet()
                        for c in cells:
                            root = server.proc.pid if server.proc else self.pids.get(name)
                            before = cpu_by_role(root) if root else {}
                            line = self.one(url, c)
                            if root and "error" not in line:  # the few warm-up tasks are in it as well
                                per = max(1, line.get("n") or round(line.get("rps", 0) * line.get("seconds", 0)))
                                line["cpu_us"] = {k: round((v - before.get(k, 0)) / per * 1e6, 1) for k, v in cpu_by_role(root).items()}
                            self.emit({"workload": c["workload"], "server": name, "workers": workers, "rep": rep, "time": round(time.time(), 1), "idle_before": idle, **line})
                            c["series"][name].append(line.get(c["key"]))
        first = self.servers[0][1]
        for c in cells:
            base = c["series"][first]
            for name, v in c["series"].items():
                ok = [x for x in v if x is not None]
                pairs = [x / y for x, y in zip(v, base) if x is not None and y]
                self.emit({"summary": c["workload"], "server": name, "workers": workers, "metric": c["key"], "runs": len(ok),
                           "median": round(statistics.median(ok), 4) if ok else None, "min": round(min(ok), 4) if ok else None, "max": round(max(ok), 4) if ok else None,
                           "ratio_to_" + first: round(statistics.median(pairs), 4) if pairs else None, "better": c.get("better", "high")})

    def one(self, url, c):
        opts = {"wait": self.a.wait, **c["opts"]} if self.a.wait else c["opts"]
        line = run_loadgen(self.gen, c["mode"], url, *c["files"], timeout=self.a.timeout, **opts)
        if c.get("calc") and "error" not in line:
            line.update(c["calc"](line))
        return line


def throughput(b, a):
    common = {"mode": "tasks", "opts": {"n": a.n, "conns": a.conns, "warm": a.warm}, "key": a.metric or "tasks_per_s"}
    cells = [{"workload": "throughput", "fn": noop, "args": (), **common}]
    if a.failing:  # beside the plain run of the same server, so that the two can be compared
        cells.append({"workload": f"throughput-failing-{a.failing:g}", "fn": sometimes_fails, "args": (a.failing,), **common})
    b.run(cells, a.workers[0])


def latency(b, a):
    b.run([{"workload": f"latency-c{a.conns}-poll{us}", "mode": "latency", "fn": noop, "args": (), "key": a.metric or "p50_us", "better": "low",
            "opts": {"n": a.n, "conns": a.conns, "poll-us": us, "warm": a.warm}} for us in a.poll_us], a.workers[0])


def sleep(b, a):
    for w in a.workers:
        cells = []
        for ms in a.ms:
            for scaling in a.scaling:
                n = w * a.per_worker[ms] if scaling == "weak" else a.strong_total[ms]
                ideal = max(1, n / w) * ms / 1000
                if ideal > a.max_ideal:
                    continue
                cells.append({"workload": f"sleep-{ms}ms-{scaling}-W{w}", "mode": "tasks", "fn": nap, "args": (ms / 1000,), "key": "efficiency",
                              "opts": {"n": n, "conns": min(16, n), "warm": min(w, 8), "poll-us": 500},
                              "calc": lambda l, i=ideal: {"ideal_s": i, "efficiency": round(i / l["done_s"], 4)}})
        b.run(cells, w)


def payload(b, a):
    cells = []
    for size in a.sizes:
        n = max(3, min(a.n, a.volume // size))
        cells.append({"workload": f"payload-{size}", "mode": "tasks", "fn": echo, "args": (b"x" * size,), "key": "MBps",
                      "opts": {"n": n, "conns": min(a.conns, n), "warm": 3},
                      "calc": lambda l, s=size: {"MBps": round(l["fetched_per_s"] * s / 1e6, 3)}})
    b.run(cells, a.workers[0])


def status_poll(b, a):
    b.run([{"workload": f"status-poll-c{a.conns}", "mode": "status", "fn": noop, "args": (), "key": "rps",
            "opts": {"seconds": a.seconds, "conns": a.conns}}], a.workers[0])


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    sub = p.add_subparsers(dest="what", required=True)

    def cmd(name, fn, **defaults):
        s = sub.add_parser(name)
        s.set_defaults(do=fn)
        s.add_argument("--url", action="append", default=[], metavar="NAME=URL")
        s.add_argument("--target", action="append", default=[], metavar="NAME=CMD")
        s.add_argument("--pid", action="append", default=[], metavar="NAME=PID", help="the root process of a --url server, to account for its CPU time")
        s.add_argument("--reps", type=int, default=3)
        s.add_argument("--workers", type=lambda v: [int(x) for x in v.split(",")], default=defaults.get("workers", [2]))
        s.add_argument("--conns", type=int, default=defaults.get("conns", 16))
        s.add_argument("--n", type=int, default=defaults.get("n", 2000))
        s.add_argument("--warm", type=int, default=20)
        s.add_argument("--timeout", type=float, default=60)
        s.add_argument("--metric", default=None, help="the figure to summarise")
        s.add_argument("--wait", default="", help="query string for /result on a server with long polling, e.g. wait=5")
        s.add_argument("--port", type=int, default=8100)
        s.add_argument("--out", default=None, help="also append the lines to this file")
        s.add_argument("--lock", default="/tmp/bench.lock")
        return s

    s = cmd("throughput", throughput)
    s.add_argument("--failing", type=float, default=0, metavar="SHARE", help="also run with this share of the tasks raising an exception")
    s = cmd("latency", latency, n=300, conns=1)
    s.add_argument("--poll-us", type=lambda v: [int(x) for x in v.split(",")], default=[0, 1000], help="pauses between polls of /result; 0 polls again at once")
    s = cmd("sleep", sleep, workers=[1, 2, 4, 8, 16])
    s.add_argument("--ms", type=lambda v: [int(x) for x in v.split(",")], default=[10, 100, 1000])
    s.add_argument("--scaling", type=lambda v: v.split(","), default=["weak", "strong"])
    s.add_argument("--max-ideal", type=float, default=10, help="leave out runs whose ideal time is longer (seconds)")
    s.set_defaults(per_worker={10: 750, 100: 10, 1000: 2}, strong_total={10: 320, 100: 48, 1000: 16})
    s = cmd("payload", payload, n=500, conns=4)
    s.add_argument("--sizes", type=lambda v: [int(x) for x in v.split(",")], default=[1 << 10, 1 << 16, 1 << 20, 8 << 20])
    s.add_argument("--volume", type=int, default=32 << 20, help="bytes of arguments per run, roughly")
    s = cmd("status-poll", status_poll)
    s.add_argument("--seconds", type=float, default=3)
    a = p.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    signal.signal(signal.SIGINT, lambda *_: sys.exit(130))
    a.do(Bench(a), a)


if __name__ == "__main__":
    sys.exit(main())

"""The figures that matrix.py measures. Each takes a running product and gives a line: what the driver said, and its parameters."""
import http.client
import json
import math
import subprocess
import time

import load
from product import Product, cpu_ns, cpu_of, memory_kib

SIZES = {"1KiB": 1 << 10, "64KiB": 1 << 16, "1MiB": 1 << 20, "8MiB": 8 << 20, "64MiB": 64 << 20}
ECHOES = {"1KiB": (2000, 4), "64KiB": (600, 4), "1MiB": (100, 4), "8MiB": (16, 4), "64MiB": (4, 2)}  # calls, connections
SLEEPS = {10: 100, 100: 10}  # ms: tasks for each slot, so that the ideal is 1 s
WIDTHS = (1, 4, 16)
IDLE_SECONDS = 4
SETTLE_SECONDS = 1.5


class Driver:
    """Runs loadgen against one product at a time."""

    def __init__(self, scale=1.0):
        self.scale, self.payloads, self.gen = scale, load.Payloads(), load.loadgen_path()
        self.noop, self.none = self.payloads.fn(load.noop), self.payloads.args()

    def count(self, n, least=1):
        return max(least, math.ceil(n * self.scale))

    def run(self, product, mode, fn, args, timeout=120, **options):
        cpu = cpu_of(product)
        line = load.run_loadgen(self.gen, mode, product.url, fn, args, timeout=timeout, **options)
        if "error" not in line and line.get("n"):
            after = cpu_of(product)
            line["cpu_us"] = {name: round((after[name] - cpu.get(name, 0)) / line["n"] * 1e6, 2) for name in after}
        return line


# ---- each of a product that has 2 slots ----

def noop(d, product, n=20000):
    return d.run(product, "tasks", d.noop, d.none, n=d.count(n, 100), conns=16, warm=20)


def failing(d, product, n=20000):
    fn, args = d.payloads.fn(load.sometimes_fails), d.payloads.args(0.05)
    return d.run(product, "tasks", fn, args, n=d.count(n, 100), conns=16, warm=20)


def batch(d, product, n=60000):
    n = max(1000, round(d.count(n) / 1000) * 1000)
    return d.run(product, "batch", d.noop, d.none, n=n, conns=5, batch=1000, window=10000, warm=20)


def latency(d, product):
    return d.run(product, "latency", d.noop, d.none, n=d.count(2000, 50), conns=1, warm=50, **{"poll-us": 0})


def invoke(d, product):
    return d.run(product, "invoke", d.noop, d.none, n=d.count(2000, 50), conns=1, warm=50)


def status(d, product):
    return d.run(product, "status", d.noop, d.none, seconds=max(0.2, 2 * d.scale), conns=16)


def echo(d, product, size, raw):
    calls, conns = ECHOES[size]
    fn, args = d.payloads.fn(load.echo), d.payloads.args(b"x" * SIZES[size])
    n = d.count(calls, conns)
    before = memory_kib(product.serve.pid)
    line = d.run(product, "echo-raw" if raw else "echo-base64", fn, args, n=n, conns=conns, warm=2)
    d.payloads.drop(fn, args)
    if "error" not in line:
        line["MBps"] = round(line["calls_per_s"] * SIZES[size] / 1e6, 2)
        line.update(rss_before_mb=round(before / 1e3, 1), peak_rss_mb=round(memory_kib(product.serve.pid, "VmHWM") / 1e3, 1))
    return {"size": SIZES[size], **line}


def mixed(d, product):
    """Latency of small tasks while 64 MiB bodies pass on another connection, one after another: one slot of two is left."""
    fn, args = d.payloads.fn(load.echo), d.payloads.args(b"x" * SIZES["64MiB"])
    words = load.loadgen_words(d.gen, "echo-raw", product.url, fn, args, n=100000, conns=1, timeout=600)
    with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as bulk:
        time.sleep(0.5)
        line = latency(d, product)
        ended = bulk.poll() is not None
        bulk.terminate()
        complaint = bulk.stderr.read()
    d.payloads.drop(fn, args)
    return {"error": "the bulk ended first: " + complaint.strip()[:200]} if ended else line


def idle(d, product):
    """Of a product that has run some tasks: CPU share and memory of the C++ process while nothing comes."""
    d.run(product, "tasks", d.noop, d.none, n=50, conns=2, warm=0)
    time.sleep(SETTLE_SECONDS)
    seconds = max(0.5, IDLE_SECONDS * min(1, d.scale))
    pids = [p.pid for p in (product.serve, product.worker) if p]
    cpu = {pid: cpu_ns(pid) for pid in pids}
    time.sleep(seconds)
    share = {pid: (cpu_ns(pid) - cpu[pid]) / 1e9 / seconds * 100 for pid in pids}
    line = {"seconds": seconds, "cpu_percent": round(share[product.serve.pid], 3), "rss_mib": round(memory_kib(product.serve.pid) / 1024, 2)}
    if product.worker:
        line.update(worker_cpu_percent=round(share[product.worker.pid], 3), worker_rss_mib=round(memory_kib(product.worker.pid) / 1024, 2))
    return line


# ---- each with a product of its own ----

def sleeping(d, store, mode, workers, ms):
    n = workers * d.count(SLEEPS[ms])
    ideal = n / workers * ms / 1000
    with Product(store, mode, workers) as product:
        fn, args = d.payloads.fn(load.nap), d.payloads.args(ms / 1000)
        line = d.run(product, "tasks", fn, args, n=n, conns=min(16, n), warm=min(2 * workers, 16), **{"poll-us": 500})
    if "error" not in line:
        line.update(ideal_s=round(ideal, 4), efficiency=round(ideal / line["done_s"], 4))
    return line


def call(connection, method, path, body=None):
    connection.request(method, path, None if body is None else json.dumps(body), {"Content-Type": "application/json"})
    answer = connection.getresponse()
    return answer.status, json.loads(answer.read())


def first_task(d, store, mode):
    """Seconds from the start of `serve` to the end of the first task, as a client sees it that tries all the time."""
    product = Product(store, mode, 2)
    with product:  # its store (Redis) is up and the disk warm; the clock runs for serve alone
        product.serve.terminate()
        product.serve.wait(10)
        begun = time.perf_counter()
        product.start_again()
        while not product.ready():
            time.sleep(0.002)
        ready = time.perf_counter() - begun
        connection = http.client.HTTPConnection("127.0.0.1", product.port, timeout=20)
        _, made = call(connection, "POST", "/register_function", load.body_of(load.noop))
        _, task = call(connection, "POST", "/execute_function", {"function_id": made["function_id"], "payload": load.text(((), {}))})
        status, result = call(connection, "GET", f"/result/{task['task_id']}?wait=20")
        took = time.perf_counter() - begun
        connection.close()
    if status != 200 or result["status"] != "COMPLETED":
        return {"error": f"the first task ended as {result}"}
    return {"ready_s": round(ready, 4), "first_task_s": round(took, 4)}


def queued(d, store, n):
    """Memory of a service in which n tasks wait; then how fast a worker empties it."""
    with Product(store, "push", 2, worker=False) as product:
        before = memory_kib(product.serve.pid)
        n = max(1000, round(d.count(n) / 1000) * 1000)
        line = d.run(product, "batch", d.noop, d.none, n=n, conns=5, batch=1000, window=n, results=0, warm=0, timeout=600)
        if "error" in line:
            return line
        rss = memory_kib(product.serve.pid)
        line.update(rss_before_mb=round(before / 1e3, 1), rss_mb=round(rss / 1e3, 1), bytes_per_task=round((rss - before) * 1024 / n))
        if product.redis:
            line["redis_rss_mb"] = round(memory_kib(product.redis.pid) / 1e3, 1)
        begun = time.perf_counter()
        product.start_worker()
        connection = http.client.HTTPConnection("127.0.0.1", product.port, timeout=60)
        marks = []
        while not marks or marks[-1][1] > 0:
            _, stats = call(connection, "GET", "/v1/stats")
            marks.append((time.perf_counter() - begun, n - stats["ever"]["completed"]))
            time.sleep(0.1)
            if marks[-1][0] > 300:
                return {"error": f"{marks[-1][1]} of {n} tasks still wait after 300 s"}
        connection.close()
        first = next(t for t, left in marks if left < n)
        line.update(drain_s=round(marks[-1][0], 3), drain_per_s=round(n / max(1e-9, marks[-1][0] - first), 1))
    return line


def after_finished(d, store, finished):
    """No-op throughput of a service that keeps so many finished tasks."""
    with Product(store, "local", 2) as product:
        made = d.run(product, "batch", d.noop, d.none, n=max(1000, round(d.count(finished) / 1000) * 1000), conns=5, batch=1000, window=10000, timeout=600)
        line = noop(d, product)
        return {"finished": made.get("n"), **line} if "error" not in made else made

"""The tables of docs/BENCHMARKS.md: which figures, what they should reach, and which peer they stand beside."""
import dataclasses

MODES = ("local", "push", "pull")
STORE_NAMES = {"strict": "SQLite strict", "fast": "SQLite fast", "redis": "Redis"}


@dataclasses.dataclass
class Row:
    label: str
    figure: str
    store: str
    mode: str
    key: str
    unit: str
    target: float = None
    lower: bool = False  # less is better
    peer: tuple = None  # (figure, peer, key)
    workers: int = 2
    scale: float = 1.0  # of the value in the line
    of: tuple = None  # (figure, store, mode): the value is the share of that one's


@dataclasses.dataclass
class Table:
    name: str
    title: str
    rows: list
    note: str = ""


def single():
    rows = []
    for store, done, fetched in (("fast", 25000, 15000), ("strict", 20000, 12000), ("redis", 15000, 10000)):
        name = STORE_NAMES[store]
        rows.append(Row(f"{name}, end to end", "noop", store, "local", "tasks_per_s", "tasks/s", done, peer=("throughput", "seed-push", "tasks_per_s")))
        rows.append(Row(f"{name}, every result fetched", "noop", store, "local", "fetched_per_s", "tasks/s", fetched,
                        peer=("throughput", "seed-push", "fetched_per_s")))
    return Table("single", "No-op tasks, one request each: LOCAL, 2 slots, 16 connections", rows,
                 "Load driver on the same two cores. n is 20,000 in each run; the rows of long runs below use 200,000, more than the table of recent tasks holds.")


def batches():
    rows = [Row(STORE_NAMES[s], "batch", s, "local", "tasks_per_s", "tasks/s", t, peer=("stream-1", "mp.pool", "tasks_per_s"))
            for s, t in (("fast", 60000), ("strict", 45000), ("redis", None))]
    rows += [Row(f"{STORE_NAMES[s]}, beside ProcessPoolExecutor", "batch", s, "local", "tasks_per_s", "tasks/s",
                 peer=("stream-1", "processpool", "tasks_per_s")) for s in ("fast", "strict")]
    return Table("batch", "No-op tasks, batches of 1,000, every result fetched as it comes", rows,
                 "`POST /v1/tasks:batch` over 4 connections, `POST /v1/tasks:wait` with results over one. The peers are `multiprocessing.Pool.imap_unordered` with"
                 " chunksize 1 and ProcessPoolExecutor.map: no network, nothing durable.")


def modes():
    rows = []
    for figure, key, what in (("noop", "fetched_per_s", "single, fetched"), ("batch", "tasks_per_s", "batches")):
        rows += [Row(f"{STORE_NAMES[s]}, {m.upper()}, {what}", figure, s, m, key, "of LOCAL", 0.8, of=(figure, s, "local"))
                 for s in STORE_NAMES for m in MODES[1:]]
    return Table("modes", "PUSH and PULL beside LOCAL: one worker of 2 slots, loopback", rows)


def closed():
    rows = []
    for store, p50, p99 in (("fast", 250, 800), ("strict", 450, 1500), ("redis", None, None)):
        name = STORE_NAMES[store]
        for q, target in (("p50", p50), ("p95", None), ("p99", p99)):
            rows.append(Row(f"{name}, submit and poll, {q}", "latency", store, "local", f"{q}_us", "us", target, True, ("latency", "processpool", f"{q}_us")
                            if q != "p95" else None))
        for q in ("p50", "p99"):
            rows.append(Row(f"{name}, invoke that waits, {q}", "invoke", store, "local", f"{q}_us", "us", lower=True, peer=("latency", "celery-pickle", f"{q}_us")))
    for store in ("fast", "strict"):
        rows.append(Row(f"{STORE_NAMES[store]}, invoke beside submit and poll, p50", "invoke", store, "local", "p50_us", "of it", 1.0, True, of=("latency", store, "local")))
    return Table("latency", "One call after another: LOCAL, 1 connection", rows, "The target of `strict` is for a disk that syncs in 150 us; this machine's sync is named above.")


def echoes():
    rows = []
    for size, byte in (("1MiB", 1 << 20), ("8MiB", 8 << 20), ("64MiB", 64 << 20)):
        for kind, target in (("raw", 350), ("base64", 250)):
            for store in ("fast", "redis"):
                rows.append(Row(f"{size}, {kind}, {STORE_NAMES[store]}", f"echo-{kind}-{size}", store, "local", "MBps", "MB/s",
                                target if store == "fast" and size != "64MiB" else None,
                                peer=(f"payload-{byte}", "processpool", "MBps") if store == "fast" and size != "64MiB" else None))
    rows += [Row(f"{size}, {kind}, {STORE_NAMES['fast']}, calls", f"echo-{kind}-{size}", "fast", "local", "calls_per_s", "calls/s")
             for size in ("1KiB", "64KiB") for kind in ("raw", "base64")]
    rows += [Row(f"small tasks while 64 MiB bodies pass, {q}", "mixed", "fast", "local", f"{q}_us", "us", lower=True) for q in ("p50", "p99")]
    rows.append(Row("64MiB, raw: most memory of `serve`", "echo-raw-64MiB", "fast", "local", "peak_rss_mb", "MB", lower=True))
    return Table("echo", "Echo of large arguments: LOCAL, 2 slots, argument bytes a second", rows,
                 "4 connections (64 MiB: 2), each submits and waits for its result. Raw: `POST /v1/tasks` and `GET /v1/tasks/{id}/result` as bytes; base64: the seed's routes.")


def sleeps():
    rows = []
    for ms in (10, 100):
        for mode in MODES:
            for width, target in ((1, .985), (4, .985), (16, .97)):
                rows.append(Row(f"{ms} ms, {mode.upper()}, W={width}", f"sleep-{ms}ms", "strict", mode, "efficiency", "of ideal", target if ms == 10 else None,
                                peer=(f"sleep-{ms}ms-weak-W{width}", "processpool", "efficiency"), workers=width))
    return Table("sleep", "Tasks that sleep, weak scaling: share of the ideal (SQLite strict)", rows)


def others():
    rows = [Row(f"GET /status, {STORE_NAMES[s]}", "status", s, "local", "rps", "/s", 80000 if s == "fast" else None,
                peer=("status-poll-c16", "seed-push", "rps")) for s in STORE_NAMES]
    rows += [Row(f"start of `serve` to the first finished task, {STORE_NAMES[s]}", "start", s, "local", "first_task_s", "s", 0.4, True) for s in STORE_NAMES]
    rows += [Row(f"idle CPU of the C++ process, {STORE_NAMES[s]}, {m.upper()}", "idle", s, m, "cpu_percent", "%", 0.2, True)
             for s in STORE_NAMES for m in MODES]
    rows += [Row(f"idle memory of the C++ process, {STORE_NAMES[s]}", "idle", s, "local", "rss_mib", "MiB", 25, True) for s in STORE_NAMES]
    return Table("rest", "Status, start, rest", rows)


def long_queue():
    rows = []
    for store in STORE_NAMES:
        name = STORE_NAMES[store]
        rows.append(Row(f"{name}, 100,000 waiting tasks, memory", "queued-100000", store, "push", "rss_mb", "MB", lower=True))
        rows.append(Row(f"{name}, 1,000,000 waiting tasks, memory", "queued-1000000", store, "push", "rss_mb", "MB", 400 if store != "redis" else None, True))
        rows.append(Row(f"{name}, 1,000,000 waiting tasks, worked off", "queued-1000000", store, "push", "drain_per_s", "tasks/s"))
        rows.append(Row(f"{name}, no-op over 1,000,000 finished tasks", "noop-over-finished", store, "local", "fetched_per_s", "of an empty store", 0.9,
                        of=("noop", store, "local")))
        rows.append(Row(f"{name}, no-op, n = 200,000", "noop-200000", store, "local", "fetched_per_s", "tasks/s"))
        rows.append(Row(f"{name}, 5 % of the tasks fail", "failing", store, "local", "fetched_per_s", "of none failing", 0.9, of=("noop", store, "local")))
    return Table("long", "Long queues, old stores, failing tasks (`--long`)", rows)


def tables():
    return [single(), batches(), modes(), closed(), echoes(), sleeps(), others(), long_queue()]

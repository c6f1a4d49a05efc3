"""The model of docs/scaling.md: what each part carries, from measured lines. Names are stable: the document refers to them."""

CORE = 1e6  # microseconds of one CPU core in a second
FLEETS = (1000, 10000, 130000)
PARTS = ("gateway", "store", "dispatcher", "transport", "supervisor", "executor", "loop", "redis", "other")
PLACES = (("fast", "local"), ("strict", "local"), ("redis", "local"), ("fast", "push"), ("fast", "pull"), ("redis", "push"))


def budgets(found):
    """us a task by place and part, of the budget's lines."""
    out = {}
    for store, mode in PLACES:
        cell = found.get("budget", store, mode, None)
        line = cell.lines[-1] if cell else {}
        for part in PARTS:
            out[f"budget.{store}.{mode}.{part}"] = line.get("parts_us", {}).get(part, 0.0) if line else None
        out[f"budget.{store}.{mode}.all"] = line.get("us_per_task")
    return out


def per_second(*us):
    """Tasks a second of one core that spends so many microseconds on each."""
    return None if None in us or sum(us) == 0 else CORE / sum(us)


def fleets(found):
    out = {}
    for mode in ("push", "pull"):
        for n in FLEETS:
            cell = found.get("core", None, mode, n)
            line = cell.lines[-1] if cell else {}
            name = f"core.{mode}.{n}"
            for key in ("task_ns", "idle_heartbeat_ns", "busy_heartbeat_ns", "bytes_per_worker_after"):
                out[f"{name}.{key}"] = line.get(key)
            for key in ("idle_share", "busy_share"):
                out[f"{name}.{key}_percent"] = line[key] * 100 if key in line else None
            out[f"{name}.tasks_per_s"] = 1e9 / line["task_ns"] if line.get("task_ns") else None
    return out


def measured(found):
    out = {}
    for store in ("strict", "fast", "redis"):
        for mode in ("local", "push", "pull"):
            for figure, key in (("noop", "fetched_per_s"), ("noop", "tasks_per_s"), ("batch", "tasks_per_s"), ("status", "rps")):
                cell = found.get(figure, store, mode)
                out[f"{figure}.{store}.{mode}.{key}"] = cell.median(key) if cell else None
        cell = found.get("queued-100000", store, "push")
        out[f"queued.{store}.bytes_per_task"] = cell.median("bytes_per_task") if cell else None
    return out


def values(found):
    out = {**budgets(found), **fleets(found), **measured(found)}
    b = lambda place, *parts: [out[f"budget.{place}.{part}"] for part in parts]
    store = out["budget.redis.push.store"]  # the client of Redis: it serves the gateway and the dispatcher alike
    half = None if store is None else store / 2
    out["carries.gateway"] = per_second(*b("redis.push", "gateway"), half)
    out["carries.dispatcher"] = per_second(*b("redis.push", "dispatcher", "transport"), half)
    out["carries.sqlite_loop"] = per_second(*b("fast.local", "gateway", "store", "dispatcher", "supervisor", "transport", "loop"))
    out["carries.worker"] = per_second(*b("redis.push", "supervisor"))
    out["carries.redis"] = per_second(*b("redis.push", "redis"))
    out["carries.executor"] = per_second(*b("fast.local", "executor"))
    for partitions in (4, 16):
        out[f"carries.redis_{partitions}"] = out["carries.redis"] and out["carries.redis"] * partitions
    return out

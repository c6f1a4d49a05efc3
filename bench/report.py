#!/usr/bin/python3
"""Readable tables from a results file: report.py results/DATE.jsonl"""
import collections
import json
import statistics
import sys

ORDER = ["ours", "ours-fast", "seed-local", "seed-push", "seed-pull", "local", "push", "pull", "push-2http", "celery-json", "celery-pickle", "rq", "rq-simple", "dask", "processpool", "mp.pool"]


def med(v):
    return statistics.median(v) if v else None


def fmt(x):
    if x is None:
        return "-"
    if isinstance(x, str):
        return x
    return f"{x:,.0f}" if abs(x) >= 100 else f"{x:.1f}" if abs(x) >= 10 else f"{x:.2f}"


def main():
    runs, limits, bad = collections.defaultdict(list), collections.defaultdict(list), []
    for path in sys.argv[1:]:
        for raw in open(path):
            try:
                d = json.loads(raw)
            except ValueError:
                continue
            if "limit" in d:
                limits[d["limit"] + (f" [{d['bytes']} B]" if "bytes" in d else "")].append(d)
            elif "workload" in d and d["server"] != "driver-ceiling":
                if "error" in d or d.get("unfinished") or (d.get("failed") and "failing" not in d["workload"]):
                    bad.append(d)
                if "error" not in d:
                    runs[d["workload"], d["server"]].append(d)
    for k, v in runs.items():  # where quiet runs exist, only they count
        runs[k] = [d for d in v if (d.get("idle_before") is None or d["idle_before"] >= 0.8)] or v
    servers = [s for s in ORDER if any(k[1] == s for k in runs)] + sorted({k[1] for k in runs} - set(ORDER))

    def table(title, rows):
        print(f"\n### {title}\n| workload | " + " | ".join(servers) + " |\n|" + "---|" * (len(servers) + 1))
        for label, workload, key, best in rows:
            cells = []
            for s in servers:
                names = [workload] if isinstance(workload, str) else workload
                v = [d[key] for w in names for d in runs.get((w, s), []) if d.get(key) is not None]
                cells.append(fmt(med(v)) + (f" (best {fmt(best(v))})" if v and best else ""))
            if any(not c.startswith("-") for c in cells):
                print(f"| {label} | " + " | ".join(cells) + " |")

    table("No-op throughput, 2 worker processes", [
        ("tasks/s end to end", "throughput", "tasks_per_s", max), ("submissions/s", "throughput", "submit_rps", None),
        ("tasks/s with every result fetched", "throughput", "fetched_per_s", None), ("16 closed-loop clients, tasks/s", "latency-c16-poll1000", "tasks_per_s", None),
        ("16 closed-loop clients, p50 us", "latency-c16-poll1000", "p50_us", None), ("16 closed-loop clients, p99 us", "latency-c16-poll1000", "p99_us", None),
        ("GET /status per second, 16 connections", "status-poll-c16", "rps", None), ("GET /status p50 us", "status-poll-c16", "p50_us", None)])
    one = ["latency-c1-poll0", "latency"]
    table("Latency of one no-op at a time, us (closed loop; HTTP servers polled without a pause)", [
        ("p50", one, "p50_us", min), ("p95", one, "p95_us", None), ("p99", one, "p99_us", None), ("polls per task", one, "polls_per_task", None),
        ("p50, 1 ms between polls", "latency-c1-poll1000", "p50_us", None), ("p99, 1 ms between polls", "latency-c1-poll1000", "p99_us", None)])
    table("Payload echo, MB/s of argument bytes (results fetched)", [(n, f"payload-{k}", "MBps", max) for n, k in
          (("1 KiB", 1 << 10), ("64 KiB", 1 << 16), ("1 MiB", 1 << 20), ("8 MiB", 8 << 20))])
    table("Sleep efficiency = ideal / actual", [(f"{ms} ms {sc}, W={w}", f"sleep-{ms}ms-{sc}-W{w}", "efficiency", None)
          for ms in (10, 100, 1000) for sc in ("weak", "strong") for w in (1, 2, 4, 8, 16)])
    print("\n### CPU per no-op task, us, by program (throughput workload, median)")
    for s in servers:
        acc = collections.defaultdict(list)
        for d in runs.get(("throughput", s), []):
            for k, v in d.get("cpu_us", {}).items():
                if k == "launch.py" or (k.endswith("_bench.py") and "client" in d["cpu_us"]):
                    continue
                acc[k].append(v)
        if acc:
            m = {k: med(v) for k, v in acc.items()}
            print(f"- {s}: total {sum(m.values()):.0f} = " + ", ".join(f"{ {'from': 'spawned processes', 'import': 'worker processes'}.get(k, k)} {v:.0f}" for k, v in sorted(m.items(), key=lambda x: -x[1])))
    print("\n### Limits (median of the runs)\n| what | figure |\n|---|---|")
    for name, v in limits.items():
        f = []
        for key in ("rps", "mean_us", "p50_us", "p99_us", "cpu_us", "server_cpu_us", "p50_ms"):
            x = [d[key] for d in v if isinstance(d.get(key), (int, float))]
            if x:
                f.append(f"{key} {fmt(med(x))}")
        print(f"| {name} | {', '.join(f)} (n={len(v)}) |")
    if bad:
        print(f"\n{len(bad)} runs ended with errors or unfinished tasks:")
        for d in bad[:20]:
            print("-", json.dumps({k: d.get(k) for k in ("workload", "server", "workers", "rep", "error", "unfinished", "failed", "completed")}))


if __name__ == "__main__":
    main()

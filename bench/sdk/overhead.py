#!/usr/bin/env python3
"""What the SDK costs: no-op calls through treadle.Executor.map and ProcessPoolExecutor.map, in turn in one run, one JSON line for each.

    TREADLE=build/treadle PYTHONPATH=python bench/sdk/overhead.py --n 100000 --reps 3

A server of its own, LOCAL with 2 slots, SQLite with --durability fast; the pool has 2 processes. The last line has the medians and
the ratios ours / pool, for chunksize 1 and 64.
"""

import argparse
import concurrent.futures
import json
import os
import statistics
import sys
import time

import treadle
from treadle.local import LocalServer


def noop(n):
    return n


def measure(name, pool, n, chunksize):
    begun, cpu = time.perf_counter(), time.process_time()
    count = 0
    for at, value in enumerate(pool.map(noop, range(n), chunksize=chunksize)):
        if value != at:
            sys.exit(f"overhead.py: {name} answered {value} for item {at}")
        count += 1
    took = time.perf_counter() - begun
    if count != n:
        sys.exit(f"overhead.py: {name} answered {count} of {n} items")
    line = {"bench": "sdk-overhead", "what": name, "chunksize": chunksize, "n": n, "items_per_s": round(n / took)}
    line["client_cpu_us"] = round((time.process_time() - cpu) / n * 1e6, 2)
    line["load_before"] = round(os.getloadavg()[0], 2)
    print(json.dumps(line), flush=True)
    return n / took


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--n", type=int, default=100_000)
    options.add_argument("--reps", type=int, default=3)
    options.add_argument("--slots", type=int, default=2)
    options = options.parse_args()
    figures = {}
    server = LocalServer(slots=options.slots)
    try:
        with concurrent.futures.ProcessPoolExecutor(options.slots) as peer, treadle.Executor(server.url) as ours:
            for pool in (peer, ours):
                list(pool.map(noop, range(200)))  # processes are there, functions known
            for _ in range(options.reps):
                for chunksize in (1, 64):
                    for name, pool in (("pool", peer), ("treadle", ours)):
                        figures.setdefault((name, chunksize), []).append(measure(name, pool, options.n, chunksize))
    finally:
        server.stop()
    line = {"bench": "sdk-overhead", "what": "summary", "n": options.n, "reps": options.reps, "slots": options.slots}
    for chunksize in (1, 64):
        for name in ("pool", "treadle"):
            line[f"{name}_{chunksize}"] = round(statistics.median(figures[name, chunksize]))
        line[f"ratio_{chunksize}"] = round(line[f"treadle_{chunksize}"] / line[f"pool_{chunksize}"], 3)
    print(json.dumps(line))


if __name__ == "__main__":
    main()

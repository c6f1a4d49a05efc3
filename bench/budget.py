#!/usr/bin/python3
"""Where the CPU time of a task goes: runs a load under perf and gives microseconds per task to the parts of the product.

    TREADLE=build/treadle bench/budget.py --out bench/results/DATE.jsonl [--cells fast:local,strict:local,redis:push] [--n 40000] [--load tasks|batch]

A sample belongs to the innermost part of ours on its call chain, so that the allocator, the kernel and SQLite count for whoever called
them. The executors and Redis are parts by their process. The total is the CPU time that the kernel accounts to the processes; perf only
divides it. One JSON line a cell, with the functions that cost most. The load is the driver's: 16 connections, one request for each task
and one for its result; or batches of 1,000.
"""
import argparse
import collections
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time

import figures
import machine
from product import Product, binary, cpu_of

RATE = 997  # samples a second and CPU
STACK = 16384  # bytes of stack kept with each, to be unwound
# (layer, beginning of the next name) -> part; the first that fits. Layers that stand nowhere here count for their caller.
PARTS = [("gateway", "", "gateway"), ("store", "", "store"), ("core", "Dispatcher", "dispatcher"), ("core", "Supervisor", "supervisor"),
         ("core", "OutcomeBuffer", "supervisor"), ("core", "WorkTable", "supervisor"), ("transport", "", "transport"), ("worker", "", "supervisor"),
         ("runtime", "DispatchLoop", "dispatcher"), ("runtime", "", "loop"), ("cli", "", "loop")]
SHOWN = 25


def own_name(symbol):
    """A demangled symbol without its parameters and template arguments: the name that it has itself."""
    depth, name = 0, []
    for place, c in enumerate(symbol):
        if c == "<" and not symbol.startswith("operator", max(0, place - 8)):
            depth += 1
        elif c == ">" and depth:
            depth -= 1
        elif depth == 0:
            if c == "(" and not symbol.startswith("(anonymous namespace)", place):
                break
            name.append(c)
    return "".join(name).replace("(anonymous namespace)::", "")


def part_of(symbol):
    if symbol.startswith("sqlite3"):
        return "store"
    found = re.search(r"\btreadle::(\w+)::(?:\w+::)*?(\w*)", own_name(symbol))
    if not found:
        return None
    layer, rest = found.group(1), own_name(symbol)[found.start():]
    names = rest.split("::")[2:]
    return next((part for l, start, part in PARTS if l == layer and any(n.startswith(start) for n in names)), None)


def samples(text):
    """(process id, symbols from the innermost out) of each sample that `perf script -F pid,ip,sym` printed."""
    for block in text.split("\n\n"):
        lines = block.strip("\n").split("\n")
        head = re.search(r"(\d+)", lines[0])
        if not head or len(lines) < 2:
            continue
        yield int(head.group(1)), [line.split(None, 1)[1] if len(line.split(None, 1)) > 1 else "?" for line in lines[1:]]


def divide(text, process_of):
    """Counts of samples by part, of those of the kernel by part, and by the innermost symbol of ours or, failing that, of anybody."""
    parts, kernel, functions = collections.Counter(), collections.Counter(), collections.Counter()
    for pid, chain in samples(text):
        process = process_of.get(pid, "executors")
        part, function = process, chain[0]
        if process in ("serve", "worker"):
            at = next((i for i, symbol in enumerate(chain) if part_of(symbol)), None)
            part = "other" if at is None else part_of(chain[at])
            function = own_name(chain[0 if at is None else at]).split(" ")[-1]
            if function.startswith("sqlite3"):
                function = "sqlite3 ..."
        elif process == "executors":
            part, function = "executor", "executor"
        parts[part] += 1
        functions[f"{part}: {function}"] += 1
        if any("syscall_64" in symbol or symbol.startswith("asm_") for symbol in chain):
            kernel[part] += 1
    return parts, kernel, functions


def switches(product):
    """Voluntary switches of all threads of serve and worker: how often they went to sleep."""
    total = 0
    for name in ("serve", "worker"):
        process = getattr(product, name)
        for thread in os.listdir(f"/proc/{process.pid}/task") if process else ():
            with open(f"/proc/{process.pid}/task/{thread}/status") as f:
                total += int(re.search(r"^voluntary_ctxt_switches:\s*(\d+)", f.read(), re.M).group(1))
    return total


def tree_of(pids):
    """The processes and all below them."""
    parents = {}
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{entry}/stat") as f:
                parents[int(entry)] = int(f.read().rsplit(")", 1)[1].split()[1])
        except OSError:
            continue
    found = set(pids)
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return found


def measure(driver, store, mode, n, load):
    run = {"tasks": lambda p: figures.noop(driver, p, n), "batch": lambda p: figures.batch(driver, p, n)}[load]
    with Product(store, mode, 2) as product, tempfile.TemporaryDirectory() as folder:
        figures.noop(driver, product, 2000)
        data = os.path.join(folder, "perf.data")
        processes = {process.pid: name for name, process in product.processes().items()}
        command = ["perf", "record", "-q", "-e", "cpu-clock", "-F", str(RATE), "--call-graph", f"dwarf,{STACK}", "-o", data,
                   "-p", ",".join(map(str, sorted(tree_of(processes))))]
        perf = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        time.sleep(1)
        if perf.poll() is not None:
            return {"error": "perf does not run: " + perf.stderr.read().strip()[-200:]}
        used, slept = cpu_of(product), switches(product)
        line = run(product)
        used = {name: seconds - used.get(name, 0) for name, seconds in cpu_of(product).items()}
        slept = switches(product) - slept
        perf.send_signal(signal.SIGINT)
        perf.wait(60)
        text = subprocess.run(["perf", "script", "-i", data, "--no-inline", "-F", "pid,ip,sym"], capture_output=True, text=True).stdout
    return {**result(text, processes, sum(used.values()) / line["n"] * 1e6), "load": load, "n": line["n"], "tasks_per_s": line["tasks_per_s"],
            "switches_per_task": round(slept / line["n"], 3)} if "error" not in line else line


def result(text, processes, us_per_task):
    parts, kernel, functions = divide(text, processes)
    total = sum(parts.values())
    if not total:
        return {"error": "perf has no samples"}
    us = lambda count: round(count / total * us_per_task, 2)
    return {"us_per_task": round(us_per_task, 2), "samples": total, "parts_us": {p: us(c) for p, c in parts.most_common()},
            "kernel_us": {p: us(c) for p, c in kernel.most_common()}, "functions_us": {f: us(c) for f, c in functions.most_common(SHOWN)}}


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--out", required=True)
    p.add_argument("--cells", default="fast:local,strict:local,redis:local,fast:push,fast:pull")
    p.add_argument("--n", type=int, default=40000)
    p.add_argument("--load", choices=["tasks", "batch"], default="tasks")
    a = p.parse_args()
    driver, number, broken = figures.Driver(), time.strftime("%Y%m%dT%H%M%S"), 0
    with open(a.out, "a") as out:
        about = machine.describe(binary(), os.environ.get("TREADLE_PYTHON", "/usr/bin/python3"))
        print(json.dumps({"run": number, "machine": about, "command": "bench/budget.py " + " ".join(sys.argv[1:])}), file=out)
        for cell in a.cells.split(","):
            store, mode = cell.split(":")
            line = measure(driver, store, mode, a.n, a.load)
            broken += "error" in line
            print(json.dumps({"figure": "budget", "run": number, "store": store, "mode": mode, **line}), file=out, flush=True)
            print(f"{cell:14} {line.get('us_per_task', line.get('error'))} us a task: {line.get('parts_us')}", flush=True)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())

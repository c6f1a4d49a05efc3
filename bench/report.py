#!/usr/bin/python3
"""docs/BENCHMARKS.md and its plots from results files: report.py [--docs docs] FILE...

Of each figure the newest run counts; a ratio to a peer is only given where both stand in one run.
"""
import argparse
import pathlib
import re
import sys

import model
import plot
import results
import targets

MOST = 3.0  # targets that a bar shows; beyond it is cut


def number(x):
    if x is None:
        return "-"
    size = abs(x)
    return f"{x:,.0f}" if size >= 100 else f"{x:.1f}" if size >= 10 else f"{x:.3f}" if size < 2 else f"{x:.2f}"


class Figure:
    """A row of a table with its values."""

    def __init__(self, row, found):
        self.row = row
        self.cell = found.get(row.figure, row.store, row.mode, row.workers)
        self.value = self.range = self.ratio = None
        if not self.cell:
            return
        self.value, self.range = self.cell.median(row.key), self.cell.range(row.key)
        if row.of:
            self.of_another(found.get(*row.of))
        if self.value is not None and row.peer:
            peer = found.peer(row.peer[0], row.peer[1], row.workers)
            theirs = peer.median(row.peer[2]) if peer and peer.run == self.cell.run else None
            if theirs and self.value:
                self.ratio = theirs / self.value if row.lower else self.value / theirs

    def of_another(self, other):
        base = other.median(self.row.key) if other else None
        self.value = self.value / base if base and self.value is not None else None
        self.range = tuple(v / base for v in self.range) if self.value is not None else None

    @property
    def reached(self):
        if self.value is None or self.row.target is None:
            return None
        return self.value <= self.row.target if self.row.lower else self.value >= self.row.target

    @property
    def share(self):
        """How much of its target it reaches; more is better."""
        if self.value is None or self.row.target is None:
            return None
        return min(MOST, (self.row.target / self.value if self.value else MOST) if self.row.lower else self.value / self.row.target)

    def cells(self):
        row = self.row
        target = "-" if row.target is None else f"{'at most' if row.lower else 'at least'} {number(row.target)}"
        reached = {None: "-", True: "yes", False: "**no**"}[self.reached]
        runs = len(self.cell.values(row.key))
        ratio = f"{number(self.ratio)} x {row.peer[1]}" if self.ratio is not None else "-"
        return [row.label, f"{number(self.value)} {row.unit}", f"{number(self.range[0])} to {number(self.range[1])} ({runs})", target, reached, ratio]


def table_text(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def section(table, found, plots):
    figures = [f for f in (Figure(row, found) for row in table.rows) if f.value is not None]
    if not figures:
        return f"## {table.title}\n\nNot measured in these runs.\n"
    bars = [(f.row.label, f.share, f"{number(f.value)} {f.row.unit}", f.reached) for f in figures if f.share is not None]
    picture = ""
    if bars:
        plots[f"{table.name}.svg"] = plot.bars("share of the target; the line is the target", bars, 1.0)
        picture = f"\n![{table.title}](benchmarks/{table.name}.svg)\n"
    head = ["figure", "median", "range (runs)", "target", "reached", "ratio"]
    note = f"{table.note}\n\n" if table.note else ""
    return f"## {table.title}\n\n{note}{table_text(head, [f.cells() for f in figures])}\n{picture}"


def budget(found, plots):
    cells = [cell for (figure, *_), cell in found.cells.items() if figure == "budget"]
    if not cells:
        return "## CPU of a task\n\nNot measured in these runs (`./dev bench --budget`).\n"
    lines = [cell.lines[-1] for cell in cells]
    parts = sorted({p for line in lines for p in line["parts_us"]}, key=lambda p: -lines[0]["parts_us"].get(p, 0))
    head = ["part", *(f"{line['store']}, {line['mode']}" for line in lines)]
    rows = [[part, *(number(line["parts_us"].get(part, 0)) + f" ({number(line['kernel_us'].get(part, 0))})" for line in lines)] for part in parts]
    rows.append(["all", *(number(line["us_per_task"]) for line in lines)])
    rows.append(["voluntary switches", *(number(line["switches_per_task"]) for line in lines)])
    first = lines[0]
    plots["budget.svg"] = plot.bars(f"us a task, {first['store']}, {first['mode']}", [(p, us, f"{us:.2f} us", None) for p, us in first["parts_us"].items()])
    functions = [[name, number(us)] for name, us in first["functions_us"].items()]
    return (f"## CPU of a task\n\nMicroseconds of CPU for each task by part, of them in the kernel (in brackets); `perf` divides what the kernel accounts to the"
            f" processes. Load: {first['load']}, n = {first['n']:,}. A part has the allocator, the kernel and SQLite that it called.\n\n{table_text(head, rows)}\n\n"
            f"![CPU of a task](benchmarks/budget.svg)\n\nThe functions that cost most ({first['store']}, {first['mode']}):\n\n{table_text(['function', 'us a task'], functions)}\n")


def core(found, plots):
    lines = [line for (figure, *_), cell in found.cells.items() if figure == "core" for line in cell.lines]
    if not lines:
        return "## The dispatcher core with many workers\n\nNot measured in these runs (`./dev bench --core`).\n"
    keys = ["task_ns", "task_turn_longest_us", "register_ns", "idle_heartbeat_ns", "idle_share", "busy_heartbeat_ns", "busy_share", "busy_turn_longest_us",
            "same_body_ns", "no_slot_turn_us", "store_away_ns", "bytes_per_worker", "bytes_per_worker_after"]
    head = ["figure", *(f"{line['mode']}, {line['workers']:,}" for line in lines)]
    rows = [[key, *(number(line.get(key)) for line in lines)] for key in keys]
    plots["core.svg"] = plot.bars("ns a task in the core", [(f"{line['mode']}, {line['workers']:,} workers", line["task_ns"], f"{number(line['task_ns'])} ns", None)
                                                           for line in lines])
    return (f"## The dispatcher core with many workers\n\n`bench/scale`, {lines[0]['tasks']:,} tasks, {lines[0]['slots']} slots a worker, core alone, one thread; the keys are"
            f" explained in `bench/scale/scale_bench.cpp`.\n\n{table_text(head, rows)}\n\n![ns a task](benchmarks/core.svg)\n")


def machine_text(found):
    out = []
    for name, head in sorted(found.runs.items()):
        if not any(cell.run == name for cell in found.cells.values()):
            continue
        m = head["machine"]
        out.append(f"- run `{name}`: {m['cpu']}, {m['cpus']} CPUs, {m['memory_gib']} GiB, Linux {m['kernel']}, {m['system']}; a sync of the disk takes {m['sync_us']} us;"
                   f" {m['treadle']}, revision {m['revision']}; {m['python']}, {m['redis'].split(' sha')[0]}; {m['compiler']}. Command: `{head['command']}`")
    return "\n".join(out)


def document(found):
    """The text, and the plots by file name."""
    plots = {}
    tables = targets.tables()
    figures = [f for t in tables for f in (Figure(row, found) for row in t.rows)]
    judged = [f for f in figures if f.reached is not None]
    missed = [f for f in judged if not f.reached]
    text = ["# Benchmarks\n", "Made by `./dev bench --report` from `bench/results/`; do not edit. `./dev bench` measures, `bench/README.md` tells how. Driver, service and"
            " executors share the same two cores. A ratio above 1 means that Treadle is better; it is given only where the peer ran in the same run.\n", machine_text(found) + "\n",
            f"{len(judged) - len(missed)} of {len(judged)} targets measured here are reached."]
    text.append("\n".join(f"- not reached: {f.row.label} ({f.row.figure}): {number(f.value)} {f.row.unit}, target {number(f.row.target)}" for f in missed) + "\n")
    text += [section(t, found, plots) for t in tables]
    text += [budget(found, plots), core(found, plots)]
    if found.broken:
        text.append("## Runs that failed\n\n" + "\n".join(f"- {line['figure']} {line.get('peer') or line.get('store')} {line.get('mode') or ''}: "
                    f"{str(line.get('error') or 'unfinished or failed tasks')[:160]}" for line in found.broken) + "\n")
    return "\n".join(text), plots


def renew(text, values):
    """Puts today's values between the marks <!--=name--> and <!--/--> of a hand-written text."""
    def put(found):
        name = found.group(1).strip()
        if name not in values:
            raise SystemExit(f"no such value: {name}; there are {', '.join(sorted(values))}")
        return f"<!--={name}-->{number(values[name])}<!--/-->"
    return re.sub(r"<!--=([^>]*?)-->.*?<!--/-->", put, text, flags=re.S)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("files", nargs="+")
    p.add_argument("--docs", default="docs", type=pathlib.Path)
    p.add_argument("--any-scale", action="store_true", help="also runs with --scale: to try this program")
    a = p.parse_args()
    found = results.Results(results.read(a.files), a.any_scale)
    if not found.cells:
        raise SystemExit("no figures in " + ", ".join(a.files) + "; ./dev bench writes them")
    text, plots = document(found)
    (a.docs / "benchmarks").mkdir(parents=True, exist_ok=True)
    (a.docs / "BENCHMARKS.md").write_text(text)
    for name, svg in plots.items():
        (a.docs / "benchmarks" / name).write_text(svg)
    scaling = a.docs / "scaling.md"
    if scaling.exists():
        scaling.write_text(renew(scaling.read_text(), model.values(found)))
    print(f"{a.docs / 'BENCHMARKS.md'}, {len(plots)} plots")


if __name__ == "__main__":
    sys.exit(main())

"""./dev chaos: the rows, one JSON line each, and the table. See README.md."""

import argparse
import collections
import concurrent.futures
import json
import pathlib
import subprocess
import sys
import time
import traceback

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "system")]

import netns  # noqa: E402
import report  # noqa: E402
import rows_disk  # noqa: E402, F401
import rows_failover  # noqa: E402, F401
import rows_kill  # noqa: E402, F401
import rows_net  # noqa: E402, F401
import rows_netns  # noqa: E402, F401
import rows_peer  # noqa: E402, F401
import rows_redis  # noqa: E402, F401
from rows import ROWS  # noqa: E402
from scene import Scene  # noqa: E402

JOBS = 5  # rows side by side: most of a row is waiting
ROW_LIMIT = 900  # seconds after which a row has hung


def play(name, cell, rounds, seed):
    """The line of one row in one cell; whatever goes wrong in it is its verdict."""
    row = ROWS[name]
    if why := row.why_not and row.why_not():
        return {"row": name, "cell": cell, "verdict": "skipped", "skipped": why}
    scene = Scene(row, cell, rounds, seed)
    try:
        return scene.play()
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        text = "".join(traceback.format_exception_only(type(error), error))
        (scene.home / "error").write_text(traceback.format_exc())
        return {"row": name, "cell": cell, "verdict": "FAIL", "error": text[-3000:], "kept": str(scene.home)}


def play_apart(name, cell, rounds, seed):
    """The same in a process of its own."""
    argv = [sys.executable, __file__, "--one", name, cell, str(rounds), str(seed)]
    try:
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, timeout=ROW_LIMIT)
        return json.loads(done.stdout.splitlines()[-1])
    except (subprocess.TimeoutExpired, ValueError, IndexError) as error:
        return {"row": name, "cell": cell, "verdict": "FAIL", "error": f"the row did not end well: {error!r}"}


def short_jobs(rows):
    return [(row.name, cell, row.rounds) for row in rows for cell in row.short_cells()]


def long_jobs(rows):
    return [(row.name, cell, row.rounds) for row in rows for cell in row.cells]


def campaign(jobs, seed, out, deadline=None, jobs_at_once=JOBS):
    """Plays the jobs, again and again until the deadline if there is one; returns all lines."""
    lines = []
    with concurrent.futures.ThreadPoolExecutor(jobs_at_once) as pool:
        turn = 0
        while turn == 0 or (deadline and time.monotonic() < deadline):
            futures = [pool.submit(play_if_time, deadline if turn else None, *job, seed + turn) for job in jobs]
            try:
                for future in concurrent.futures.as_completed(futures):
                    line = future.result()
                    if line:
                        lines.append(line)
                        tell(line, out)
            except KeyboardInterrupt:
                pool.shutdown(cancel_futures=True)  # those that play have heard of it, too, and clean up
                raise
            turn += 1
    return lines


def play_if_time(deadline, *job):
    return None if deadline and time.monotonic() > deadline else play_apart(*job)


def tell(line, out):
    print(json.dumps(line), file=out, flush=True)
    if out is not sys.stdout:
        words = " ".join(f"{name}={line[name]}" for name in FIGURES if name in line)
        print(f"{line['verdict']}  {line['row']} [{line['cell']}] {words}", flush=True)
        for name in ("skipped", "error", "offences", "missed", "kept"):
            if name in line:
                print(f"      {name}: {line[name]}", flush=True)


FIGURES = ("accepted", "lost", "double_terminal", "stale_applied", "illegal", "at_most_once_twice", "ran_again",
           "late_refused", "recovery_p50", "recovery_max", "seconds")  # fmt: skip


def chosen(names):
    """The rows with these names, or with a name that begins so."""
    if not names:
        return list(ROWS.values())
    found = []
    for name in [names] if names in ROWS else map(str.strip, names.split(",")):
        matches = [row for row in ROWS.values() if row.name == name] or [
            row for row in ROWS.values() if row.name.startswith(name)
        ]
        if not matches:
            sys.exit(f"dev chaos: no row is called {name!r}; ./dev chaos --list names them all")
        found += [row for row in matches if row not in found]
    return found


def main():
    parser = argparse.ArgumentParser(prog="./dev chaos", description="Faults against the real programs, and the verdict.")
    parser.add_argument("--rows", default="", help="only these, by name or its beginning, separated by commas")
    parser.add_argument("--cell", help="only on this one of the six forms, e.g. redis-push")
    parser.add_argument("--minutes", type=float, help="the long campaign: all rows on all cells, for about so long")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=JOBS, help="rows side by side")
    parser.add_argument("--json", help="a file for the lines; without it they go to stdout")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--one", nargs=4, metavar=("ROW", "CELL", "ROUNDS", "SEED"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        name, cell, rounds, seed = given.one
        print(json.dumps(play(name, cell, int(rounds), int(seed))))
        return
    rows = chosen(given.rows)
    if given.list:
        for row in rows:
            print(f"{row.name:34} {row.about}\n{'':34} {' '.join(row.cells)}")
        return
    rows.sort(key=lambda row: -row.lasts)  # long ones first, so that none is waited for at the end
    jobs = long_jobs(rows) if given.minutes else short_jobs(rows)
    if given.cell:
        jobs = [(row.name, given.cell, row.rounds) for row in rows if given.cell in row.cells]
    out = open(given.json, "w") if given.json else sys.stdout
    begun = time.monotonic()
    try:
        lines = campaign(jobs, given.seed, out, begun + 60 * given.minutes if given.minutes else None, given.jobs)
    finally:
        netns.sweep()  # of rows that were killed
    if given.minutes and not given.rows and not given.cell:
        report.write(report.ROOT / "docs" / "RELIABILITY.md", lines, ROWS, f"./dev chaos --minutes {given.minutes:g}")
    count = collections.Counter(line["verdict"] for line in lines)
    skipped = f"{count['skipped']} skipped, " if count["skipped"] else ""
    took = time.monotonic() - begun
    print(f"{count['pass']} passed, {count['FAIL']} failed, {skipped}{took:.0f} s", file=sys.stderr)
    sys.exit(1 if count["FAIL"] else 0)


if __name__ == "__main__":
    main()
